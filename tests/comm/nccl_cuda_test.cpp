// The communicator of CUDA tensors, as far as one GPU goes: streams, graphs, the watch.
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
  CollectiveWatch& watch = c->watch();
  watch.begin_recording();
  cuda::Graph graph(kGpu, [&] {
    x.copy_from(ops::add(x, x));
    c->all_reduce(x, "x");
    c->all_gather(x, "x");
    c->join();
  });
  const auto calls = watch.end_recording();
  CHECK(calls.size() == 2);
  for (int i = 0; i < 7; ++i) {
    watch.replays(calls);
    graph.launch();
  }
  cuda::synchronize(kGpu);
  CHECK(x.to(kCpu).to_vector<float>() == std::vector<float>(4096, 128));
  CHECK(watch.counters().begun == 1 + 2 * 7);
  CHECK(watch.counters().ended == 1 + 2 * 7);
  CHECK_THAT(watch.record(), xlstm::test::contains("\"started\": 15"));
  c->close();
}

TEST_CASE("tensors of the host are refused") {
  if (!has_nccl_and_gpu()) return;
  const auto c = make_nccl_communicator(World{}, kGpu, {});
  CHECK_THROWS_AS(c->all_reduce(Tensor::zeros({4}), "x"), DeviceError);
  c->close();
}
