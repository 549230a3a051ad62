// Copies of tensors for a checkpoint, in memory of one process or of several.
#include "tools/train/checkpoint_staging.h"

#include "core/error.h"
#include "tests/ranks.h"

using namespace xlstm;
using xlstm::train::CheckpointStaging;

TEST_CASE("copies keep what was there, and places are used again in the next save") {
  CheckpointStaging staging(kCpu);
  CHECK(CheckpointStaging::bytes_of(17, DType::f32) == 128);
  staging.reserve(128 + 64);
  for (float value : {1.0f, 2.0f}) {
    staging.begin();
    const Tensor x = Tensor::full({17}, value), y = Tensor::full({3, 2}, -value);
    NamedTensors tensors = {{"x", x}, {"y", y}};
    staging.copy(tensors);
    Tensor(x).fill(7);
    staging.end();
    staging.wait();
    CHECK(tensors[0].second.to_vector<float>() == std::vector<float>(17, value));
    CHECK(tensors[1].second.to_vector<float>() == std::vector<float>(6, -value));
    const Tensor before = tensors[0].second;
    staging.copy(tensors);  // those are copies already
    CHECK(tensors[0].second.raw() == before.raw());
    CHECK_THROWS_AS(staging.place({1}, DType::f32), ShapeError);
  }
}

TEST_CASE("ranks: each copies its part, and the first waits for all", "[.ranks][.staging]") {
  const auto c =
      comm::make_communicator(comm::world_from_environment(), kCpu, {.start = 60, .call = 3});
  CheckpointStaging staging(kCpu);
  REQUIRE(staging.share(2 * 64 * c->size(), *c));
  const optim::HostMemory memory = staging.memory();
  REQUIRE(memory.copy);
  for (int save = 1; save <= 50; ++save) {
    staging.begin();
    const Tensor all = memory.place({16 * c->size()}, DType::f32);
    memory.copy(all.strided_view({16}, {1}, 16 * c->rank()),
                Tensor::full({16}, save * 10 + c->rank()));
    staging.end();
    if (c->rank() == 0) {
      staging.wait();
      const auto values = all.to_vector<float>();
      for (size_t i = 0; i < values.size(); ++i)
        REQUIRE(values[i] == static_cast<float>(save * 10) + static_cast<float>(i / 16));
    }
    comm::barrier(*c, "the save before");
  }
  const comm::CollectiveWatch::LongCall takes_long(c->watch());
  staging.begin();
  if (c->rank() == 0) {
    staging.end();
    CHECK_THROWS_WITH(staging.wait(), test::contains("copies of rank 1, got none within 3 s"));
  }
  comm::barrier(*c, "end");
  c->close();
}

TEST_CASE("two processes copy into memory that both see") {
  if (!test::has_mpirun()) return;
  const auto outcome = test::run_ranks(2, "[.staging]");
  INFO(outcome.output);
  CHECK(outcome.code == 0);
}
