// The communicator of CUDA tensors, as far as one GPU goes: streams, graphs, the watch.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "core/comm/communicator.h"
#include "core/cuda/graph.h"
#include "core/cuda/runtime.h"
#include "core/error.h"
#include "core/ops/elementwise.h"
#include "tests/catch.h"
#include "tests/skip.h"

using namespace xlstm;
using namespace xlstm::comm;

namespace {

constexpr Device kGpu{DeviceType::cuda, 0};

bool has_nccl_and_gpu() {
  if (cuda_device_count() > 0 && has_nccl()) return true;
  xlstm::test::skipped("no CUDA device or no NCCL here");
  return false;
}

// A graph with calls, and one launch of it.
std::vector<CollectiveCall> record(Communicator& c, std::optional<cuda::Graph>& graph,
                                   const std::function<void()>& work) {
  c.watch().begin_recording();
  graph.emplace(c.device(), work);
  return c.watch().end_recording();
}

void replay(Communicator& c, std::optional<cuda::Graph>& graph,
            const std::vector<CollectiveCall>& calls) {
  c.replays(calls);
  graph->launch();
}

}  // namespace

TEST_CASE("a world of one through NCCL: every call leaves its tensor, in order with other work") {
  if (!has_nccl_and_gpu()) return;
  const auto c = make_nccl_communicator(World{}, kGpu, {});
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64}) {
    if (dtype == DType::f64 || dtype == DType::i64) {
      const Tensor x = Tensor::full({1000}, 3, dtype, kCpu).to(kGpu);
      c->all_reduce(x, "x");
      c->join();
      CHECK(x.to(kCpu).to_vector<double>() == std::vector<double>(1000, 3));
      continue;
    }
    Tensor x = Tensor::full({1 << 20}, 1, dtype, kGpu);
    // What came before must be seen by the call, and its result by what comes after.
    for (int i = 0; i < 5; ++i) {
      x = ops::add(x, x);
      c->reduce_scatter(x, "x");
      c->all_gather(x, "x");
      c->broadcast(x, "x");
      c->all_reduce(x, "x");
      c->join();
    }
    const std::vector<double> values = x.to(kCpu).to_vector<double>();
    CHECK(values == std::vector<double>(values.size(), 32));
  }
  CHECK(gather(*c, 2.5, "value") == std::vector<double>{2.5});
  barrier(*c, "end");
  c->close();
}

TEST_CASE("calls inside a CUDA graph are counted at every replay") {
  if (!has_nccl_and_gpu()) return;
  const auto c = make_nccl_communicator(World{}, kGpu, {});
  Tensor x = Tensor::full({4096}, 1, DType::f32, kGpu);
  c->all_reduce(x, "before");  // the connections are made outside
  c->join();
  const CollectiveWatch& watch = c->watch();
  std::optional<cuda::Graph> graph;
  const auto calls = record(*c, graph, [&] {
    x.copy_from(ops::add(x, x));
    c->all_reduce(x, "x");
    c->all_gather(x, "x");
    c->join();
  });
  CHECK(calls.size() == 2);
  const auto check_record = [&](int n) {
    cuda::synchronize(kGpu);
    for (const char* key : {"started", "begun", "ended"})
      CHECK_THAT(watch.record(),
                 xlstm::test::contains("\"" + std::string(key) + "\": " + std::to_string(n) + ","));
  };
  check_record(1);
  for (int i = 0; i < 7; ++i) {
    replay(*c, graph, calls);
  }
  CHECK(x.to(kCpu).to_vector<float>() == std::vector<float>(4096, 128));
  check_record(15);
  // And in turn with calls outside.
  c->all_reduce(x, "between");
  c->join();
  check_record(16);
  replay(*c, graph, calls);
  check_record(18);
  graph.reset();
  c->close();
}

TEST_CASE("tensors of the host are refused") {
  if (!has_nccl_and_gpu()) return;
  const auto c = make_nccl_communicator(World{}, kGpu, {});
  CHECK_THROWS_AS(c->all_reduce(Tensor::zeros({4}), "x"), DeviceError);
  c->close();
}

// mpirun -np N test_comm_nccl_cuda '[.ranks]' on a machine with N GPUs.
TEST_CASE("ranks: sums and copies over GPUs, each time the same bits", "[.ranks]") {
  const World world = world_from_environment();
  const Device device{DeviceType::cuda, world.local_rank};
  const auto c = make_communicator(world, device, {.start = 60, .call = 60});
  REQUIRE(c->size() > 1);
  for (const int64_t part : {1, 33, 1 << 16, (1 << 20) + 1}) {
    const int64_t n = part * c->size();
    Tensor mine = Tensor::empty({n}, DType::f32), total = Tensor::zeros({n}, DType::f64);
    for (int r = 0; r < c->size(); ++r)
      for (int64_t i = 0; i < n; ++i) {
        const auto x = static_cast<float>((i * 7919 + r * 104729) % 2001 - 1000) / 512.0f;
        if (r == c->rank()) mine.data<float>()[i] = x;
        total.data<double>()[i] += static_cast<double>(x);
      }
    const std::vector<double> want = total.to_vector<double>();
    std::vector<double> first;
    for (int repeat = 0; repeat < 20; ++repeat) {
      Tensor x = mine.to(device).clone();
      c->reduce_scatter(x, "parts");
      c->all_gather(x, "parts");
      c->join();
      const std::vector<double> got = x.to(kCpu).to_vector<double>();
      if (first.empty()) first = got;
      REQUIRE(got == first);
      Tensor y = mine.to(device).clone();
      c->all_reduce(y, "all");
      c->join();
      const std::vector<double> all = y.to(kCpu).to_vector<double>();
      for (size_t i = 0; i < want.size(); ++i) {
        REQUIRE(std::abs(got[i] - want[i]) <= 1e-5);
        REQUIRE(std::abs(all[i] - want[i]) <= 1e-5);
      }
    }
  }
  CHECK_THROWS_WITH(require_same(*c, c->rank() == 1 ? 7 : 8, "the configuration"),
                    xlstm::test::contains("differs from rank 0's on rank 1"));
  // In a graph, which must be gone before the communicator is closed.
  Tensor x = Tensor::full({1 << 16}, 1, DType::f32, device);
  std::optional<cuda::Graph> graph;
  const auto calls = record(*c, graph, [&] {
    c->all_reduce(x, "x");
    c->join();
  });
  for (int i = 0; i < 3; ++i) replay(*c, graph, calls);
  const double want = std::pow(c->size(), 3);
  CHECK(x.to(kCpu).to_vector<double>() == std::vector<double>(1 << 16, want));
  graph.reset();
  c->close();
}

// Copy engines wait for each other on numbers in memory, in another way inside a graph than
// outside.
TEST_CASE("ranks: copies between GPUs, inside and outside a graph in any order", "[.ranks]") {
  const World world = world_from_environment();
  const Device device{DeviceType::cuda, world.local_rank};
  for (const bool copy_engines : {true, false}) {
    const auto c = make_communicator(world, device, {.start = 60, .call = 60}, copy_engines);
    if (c->rank() == 0) std::printf("copy engines: %s\n", c->has_copy_engines() ? "yes" : "no");
    if (!copy_engines) CHECK_FALSE(c->has_copy_engines());
    const int64_t part = (1 << 18) + 32, n = part * c->size();
    const Tensor from = c->zeros(n, DType::f32), to = c->zeros(n, DType::f32),
                 all = c->zeros(n, DType::bf16);

    const auto own = [&](const Tensor& x) { return x.strided_view({part}, {1}, c->rank() * part); };
    // Part r of `from` grows by (rank + 1) each time, and travels to rank r; the first part of what
    // has come goes to everybody.
    const Tensor step = Tensor::full({n}, c->rank() + 1, DType::f32, device);
    const auto work = [&] {
      Tensor(from).copy_from(ops::add(from, step));
      c->all_to_all(from, to, "exchange");
      c->join();
      Tensor(own(all)).copy_from(to.strided_view({part}, {1}, (c->size() - 1) * part));
      c->all_gather(all, "gather");
      c->join();
    };
    int times = 0;
    const auto check = [&] {
      const std::vector<float> came = to.to(kCpu).to_vector<float>(),
                               everywhere = all.to(kCpu).to_vector<float>();
      for (int64_t i = 0; i < n; ++i) {
        REQUIRE(came[static_cast<size_t>(i)] == static_cast<float>(times * (i / part + 1)));
        REQUIRE(everywhere[static_cast<size_t>(i)] == static_cast<float>(times * c->size()));
      }
    };
    for (int i = 0; i < 2; ++i, ++times) work();
    check();
    std::optional<cuda::Graph> graph;
    const auto calls = record(*c, graph, work);
    check();
    for (const int replays : {1, 3, 0, 2, 5}) {
      for (int i = 0; i < replays; ++i, ++times) replay(*c, graph, calls);
      check();
      for (int i = 0; i < 1 + replays % 2; ++i, ++times) work();
      check();
      // One comes late.
      if (c->rank() == replays % c->size())
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    graph.reset();
    c->close();
  }
}

// Bus bandwidth as nccl-tests counts it: of an all-reduce 2 (n - 1) / n times the bytes, of the
// others (n - 1) / n, over the time.
TEST_CASE("ranks: bandwidth over GPUs", "[.bandwidth]") {
  const World world = world_from_environment();
  const Device device{DeviceType::cuda, world.local_rank};
  const auto c = make_communicator(world, device, {.start = 60, .call = 60});
  const double n = c->size();
  if (c->rank() == 0)
    std::printf("%d GPUs, bus bandwidth in GB/s (time in us)\n%10s %20s %20s %20s %20s\n",
                c->size(), "MiB", "all_reduce", "reduce_scatter", "all_gather", "all_to_all");
  for (const int64_t mib : {1, 4, 16, 64, 256, 1024}) {
    const Tensor x = c->zeros(mib << 18, DType::f32), y = c->zeros(mib << 18, DType::f32);
    if (c->rank() == 0) std::printf("%10lld", static_cast<long long>(mib));
    for (int call = 0; call < 4; ++call) {
      const auto run = [&] {
        if (call == 0) c->all_reduce(x, "x");
        if (call == 1) c->reduce_scatter(x, "x");
        if (call == 2) c->all_gather(x, "x");
        if (call == 3) c->all_to_all(x, y, "x");
      };
      const int repeats = mib > 100 ? 10 : 30;
      for (int i = 0; i < 5; ++i) run();
      c->join();
      cuda::synchronize(device);
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < repeats; ++i) run();
      c->join();
      cuda::synchronize(device);
      const double s =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
      const double bytes = static_cast<double>(mib << 20) * (n - 1) / n * (call == 0 ? 2 : 1);
      if (c->rank() == 0) std::printf("  %8.1f (%8.1f)", bytes / s / 1e9, s * 1e6);
    }
    if (c->rank() == 0) std::printf("\n");
  }
  c->close();
}
