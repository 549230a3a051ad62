// Collective calls over processes on this machine's CPUs, and what happens when a rank fails.
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <thread>

#include "core/allocator.h"
#include "core/comm/shared_storage.h"
#include "core/error.h"
#include "core/random.h"
#include "tests/core/temporary_dir.h"
#include "tests/ranks.h"

using namespace xlstm;
using namespace xlstm::comm;
using xlstm::test::run_ranks;

namespace {

std::unique_ptr<Communicator> communicator(double limit = 60) {
  return make_communicator(world_from_environment(), kCpu, {.start = limit, .call = limit});
}

float value_of(int rank, int64_t i) {
  return std::sin(static_cast<float>(i) * 0.37f + static_cast<float>(rank)) * 3;
}

template <class T>
Tensor tensor_of(int rank, int64_t n, DType dtype) {
  Tensor x = Tensor::empty({n}, dtype);
  for (int64_t i = 0; i < n; ++i) x.data<T>()[i] = static_cast<T>(value_of(rank, i) * 100);
  return x;
}

// The sum in the order of ranks.
template <class T>
T sum_at(int size, int64_t i) {
  T sum = static_cast<T>(value_of(0, i) * 100);
  for (int r = 1; r < size; ++r) sum += static_cast<T>(value_of(r, i) * 100);
  return sum;
}

template <class T>
void check_calls(Communicator& c, DType dtype, int64_t part) {
  const int64_t n = part * c.size();
  const auto [rank, size] = std::pair(c.rank(), c.size());
  // n + 1 elements: no multiple of the ranks.
  Tensor all = tensor_of<T>(rank, n + 1, dtype);
  c.all_reduce(all, "all");
  for (int64_t i = 0; i <= n; ++i) REQUIRE(all.data<T>()[i] == sum_at<T>(size, i));

  Tensor scattered = tensor_of<T>(rank, n, dtype);
  c.reduce_scatter(scattered, "parts");
  for (int64_t i = rank * part; i < (rank + 1) * part; ++i)
    REQUIRE(scattered.data<T>()[i] == sum_at<T>(size, i));
  c.all_gather(scattered, "parts");
  for (int64_t i = 0; i < n; ++i) REQUIRE(scattered.data<T>()[i] == sum_at<T>(size, i));

  const Tensor mine = tensor_of<T>(rank, n, dtype), exchanged = c.zeros(n, dtype);
  c.all_to_all(mine, exchanged, "exchange");
  for (int r = 0; r < size; ++r)
    for (int64_t i = 0; i < part; ++i)
      REQUIRE(exchanged.data<T>()[r * part + i] ==
              static_cast<T>(value_of(r, rank * part + i) * 100));

  Tensor sent = tensor_of<T>(rank, n, dtype);
  c.broadcast(sent, "first");
  for (int64_t i = 0; i < n; ++i)
    REQUIRE(sent.data<T>()[i] == static_cast<T>(value_of(0, i) * 100));
}

}  // namespace

TEST_CASE("ranks: sums, parts and copies", "[.ranks][.calls]") {
  const auto c = communicator();
  REQUIRE(c->size() > 1);
  for (int64_t part : {1, 7, 1000, (2 << 20) + 3}) {
    check_calls<float>(*c, DType::f32, part);
    if (part > 1000) continue;
    check_calls<double>(*c, DType::f64, part);
    check_calls<int64_t>(*c, DType::i64, part);
  }
  // What is only moved may be of any type.
  Tensor gathered = Tensor::zeros({3 * c->size()}, DType::bf16);
  gathered.strided_view({3}, {1}, 3 * c->rank()).fill(c->rank() + 1);
  c->all_gather(gathered, "rounded");
  for (int64_t i = 0; i < gathered.numel(); ++i)
    CHECK(gathered.to_vector<double>()[static_cast<size_t>(i)] == static_cast<double>(i / 3 + 1));
  CHECK_THROWS_AS(c->all_reduce(gathered, "rounded"), ShapeError);
  c->all_reduce(Tensor::empty({0}), "nothing");
  CHECK(gather(*c, c->rank() * 2.5, "values").back() == (c->size() - 1) * 2.5);
  barrier(*c, "end");
  require_same(*c, 0xfedcba9876543210u, "a number");
  c->close();
}

TEST_CASE("ranks: memory that all of them see", "[.ranks][.shared]") {
  const auto c = communicator();
  const auto storage = make_shared_storage(*c, 1 << 20);
  REQUIRE(storage != nullptr);
  CHECK(memory_stats().in_use_bytes >= 1 << 20);
  auto* numbers = static_cast<int64_t*>(storage->data);
  for (int64_t i = 0; i < 1 << 17; ++i) REQUIRE(numbers[i] == 0);
  barrier(*c, "read");
  numbers[c->rank()] = numbers[(1 << 17) - 1 - c->rank()] = c->rank() + 1;
  barrier(*c, "written");
  for (int r = 0; r < c->size(); ++r) {
    CHECK(numbers[r] == r + 1);
    CHECK(numbers[(1 << 17) - 1 - r] == r + 1);
  }
  // One without room: none for anybody.
  for (int without = 0; without < c->size(); ++without) {
    set_memory_limit(c->rank() == without ? 2 << 20 : 0);
    CHECK(make_shared_storage(*c, 3 << 20) == nullptr);
  }
  set_memory_limit(0);
  // Nor if rank 0 may not make so long a file, which it must not die of.
  struct rlimit usual {};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &usual) == 0);
  const struct rlimit tight { 1 << 20, usual.rlim_max };
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  CHECK(make_shared_storage(*c, 2 << 20) == nullptr);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &usual) == 0);
  CHECK(make_shared_storage(*c, 2 << 20) != nullptr);
  c->close();
}

TEST_CASE("ranks: on hosts of their own", "[.ranks][.apart]") {
  World apart = world_from_environment();
  apart.local_size = 1;
  const auto c = make_communicator(apart, kCpu);
  CHECK(make_shared_storage(*c, 1 << 20) == nullptr);
  c->close();
}

TEST_CASE("ranks: one differs", "[.ranks][.differs]") {
  const auto c = communicator();
  CHECK_THROWS_WITH(require_same(*c, c->rank() == 1 ? 7 : 8, "the configuration"),
                    test::contains("the configuration differs from rank 0's on rank 1"));
  c->close();
}

TEST_CASE("ranks: another size", "[.ranks][.size]") {
  const auto c = communicator();
  const Tensor x = Tensor::zeros({c->rank() == 1 ? 10 : 12});
  CHECK_THROWS_WITH(c->all_reduce(x, "gradients"), test::contains("makes another call"));
  c->close();
}

TEST_CASE("ranks: one leaves out a call", "[.ranks][.skips]") {
  const auto c = communicator();
  const Tensor x = Tensor::zeros({12});
  if (c->rank() != 1)
    CHECK_THROWS_WITH(c->all_reduce(x, "gradients"), test::contains("another call"));
  if (c->rank() == 1) CHECK_THROWS_WITH(c->broadcast(x, "weights"), test::contains("another call"));
  c->close();
}

TEST_CASE("ranks: one is stopped", "[.ranks][.stopped]") {
  const auto c = communicator(2);
  c->watch().set_folder(std::getenv("XLSTM_TEST_RECORDS"));
  c->watch().set_step(41);
  const Tensor x = Tensor::zeros({12});
  c->all_reduce(x, "gradients");
  c->watch().set_step(42);
  if (c->rank() == 1) std::raise(SIGSTOP);
  c->all_reduce(x, "gradients");
  c->close();
}

TEST_CASE("ranks: one is slow, but not lost", "[.ranks][.slow]") {
  const auto c = communicator(2);
  const Tensor x = Tensor::zeros({12});
  for (int i = 0; i < 3; ++i) {
    if (c->rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(700));
    c->all_reduce(x, "gradients");
  }
  // Longer than the limit, and said so.
  {
    const CollectiveWatch::LongCall takes_long(c->watch());
    if (c->rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(3));
    barrier(*c, "tokens");
  }
  c->close();
}

TEST_CASE("ranks: one dies", "[.ranks][.dies]") {
  const auto c = communicator(2);
  const Tensor x = Tensor::zeros({12});
  c->all_reduce(x, "gradients");
  if (c->rank() == 1) std::raise(SIGKILL);
  c->all_reduce(x, "gradients");
  c->close();
}

TEST_CASE("a world of one leaves everything as it is") {
  const auto c = make_communicator(World{}, kCpu);
  const Tensor x = tensor_of<float>(0, 5, DType::f32);
  c->all_reduce(x, "x");
  c->reduce_scatter(x, "x");
  c->all_gather(x, "x");
  c->broadcast(x, "x");
  for (int64_t i = 0; i < 5; ++i) CHECK(x.data<float>()[i] == value_of(0, i) * 100);
  CHECK(gather(*c, 3, "x") == std::vector<double>{3});
  c->close();
}

TEST_CASE("tensors that cannot be sent are refused before anything is sent") {
  const auto c = make_communicator(World{}, kCpu);
  CHECK_THROWS_AS(c->all_reduce(Tensor{}, "x"), ShapeError);
  CHECK_THROWS_AS(c->all_reduce(Tensor::zeros({3}, DType::u8), "x"), ShapeError);
  const Tensor apart = Tensor::zeros({3, 4}).strided_view({3}, {4});
  CHECK_THROWS_AS(c->all_reduce(apart, "x"), ShapeError);
}

TEST_CASE("collective calls on 2, 3 and 4 processes") {
  if (!xlstm::test::has_mpirun()) return;
  for (int n : {2, 3, 4}) {
    const auto outcome = run_ranks(n, "[.calls]");
    INFO(outcome.output);
    CHECK(outcome.code == 0);
  }
}

TEST_CASE("memory that 2 and 4 processes share, or none of them has") {
  if (!xlstm::test::has_mpirun()) return;
  for (const auto& [n, name] : {std::pair(2, "[.shared]"), {4, "[.shared]"}, {2, "[.apart]"}}) {
    const auto outcome = run_ranks(n, name);
    INFO(outcome.output);
    CHECK(outcome.code == 0);
  }
}

TEST_CASE("ranks that differ find out, and say who") {
  if (!xlstm::test::has_mpirun()) return;
  for (const char* name : {"[.differs]", "[.size]", "[.skips]"}) {
    const auto outcome = run_ranks(3, name);
    INFO(name << ": " << outcome.output);
    CHECK(outcome.code == 0);
  }
}

TEST_CASE("a stopped rank ends the job, with a record of what it was waited for") {
  if (!xlstm::test::has_mpirun()) return;
  const TemporaryDir dir;
  const auto begin = std::chrono::steady_clock::now();
  const auto outcome = run_ranks(3, "[.stopped]", "XLSTM_TEST_RECORDS='" + dir.path() + "'");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  INFO(outcome.output);
  CHECK(outcome.code == 6);
  CHECK(took.count() < 2 + 5 + 3);  // limit, what is promised, start and compilation of nothing
  CHECK_THAT(
      outcome.output,
      test::contains("waited 2 s in all_reduce \"gradients\" (number 2, step 42, 48 bytes)"));
  const std::string record = real_file_system().read_file(join_path(dir.path(), "hang-rank0.json"));
  CHECK_THAT(record, test::contains("\"state\": \"begun\""));
  CHECK_FALSE(real_file_system().exists(join_path(dir.path(), "hang-rank1.json")));
}

TEST_CASE("a slow rank does not end the job") {
  if (!xlstm::test::has_mpirun()) return;
  const auto outcome = run_ranks(2, "[.slow]");
  INFO(outcome.output);
  CHECK(outcome.code == 0);
}

TEST_CASE("a dead rank ends the job") {
  if (!xlstm::test::has_mpirun()) return;
  const auto outcome = run_ranks(3, "[.dies]");
  INFO(outcome.output);
  CHECK(outcome.code != 0);
}

TEST_CASE("without the library the error says where it was looked for") {
  if (!xlstm::test::has_mpirun()) return;
  const auto outcome = run_ranks(2, "[.calls]", "XLSTM_MPI_LIBRARY=/no/libmpi.so");
  CHECK(outcome.code != 0);
  CHECK_THAT(outcome.output, test::contains("XLSTM_MPI_LIBRARY"));
}
