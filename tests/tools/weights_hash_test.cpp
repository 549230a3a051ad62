// What a run notices of itself: hashes of its weights, and spikes of its loss.
#include <cstdlib>

#include "core/log.h"
#include "tests/catch.h"
#include "tests/ranks.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/metrics_log.h"

namespace xlstm::train {
namespace {

using test::contains;

std::vector<Json> rows_of(const Trainer& trainer, const std::string& split) {
  std::vector<Json> rows;
  for (const Json& row :
       MetricsLog::read(join_path(trainer.run_folder(), "metrics.jsonl"), real_file_system()))
    if (row.find("split")->as_string() == split) rows.push_back(row);
  return rows;
}

TEST_CASE("three runs log the same hashes of their weights, another seed does not") {
  std::vector<Json> first;
  for (const int64_t threads : {1, 2, 3}) {
    TinyRun run;
    run.config.trainer.num_threads = threads;
    run.config.trainer.hash_every_n_steps = 4;
    Trainer trainer(run.config, run.services());
    trainer.fit();
    const std::vector<Json> rows = rows_of(trainer, "hash");
    REQUIRE(rows.size() == 3);
    CHECK(rows[1].find("step")->as_int() == 8);
    CHECK(rows[0].find("weights_hash")->as_string() != rows[1].find("weights_hash")->as_string());
    CHECK(rows[2].find("weights_hash")->as_string() == trainer.weights_hash());
    if (first.empty()) first = rows;
    CHECK(rows == first);
  }
  TinyRun run;
  run.config.seed_everything = 43;
  run.config.trainer.hash_every_n_steps = 4;
  Trainer trainer(run.config, run.services());
  trainer.fit();
  CHECK(rows_of(trainer, "hash") != first);
}

TEST_CASE("one bit of one weight is another hash") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  const std::string before = trainer.weights_hash();
  CHECK(before.size() == 32);
  for (const Tensor& parameter : trainer.model().parameters()) {
    auto* bytes = static_cast<unsigned char*>(parameter.raw());
    bytes[0] ^= 1;
    CHECK(trainer.weights_hash() != before);
    bytes[0] ^= 1;
  }
  CHECK(trainer.weights_hash() == before);
}

// On two ranks: rank 1's memory loses a bit after the third step.
TEST_CASE("ranks: a flipped bit is found at the next hash", "[.]") {
  TinyRun run;
  const comm::World world = comm::world_from_environment();
  run.config.data.prefetch = 0;
  run.config.trainer.hash_every_n_steps = 4;
  const std::string folder = std::getenv("FOLDER");  // of both
  run.config.data.root = join_path(folder, "text");
  run.config.trainer.default_root_dir = join_path(folder, "runs");
  Trainer trainer(run.config, run.services());
  trainer.step();
  CHECK_NOTHROW(trainer.weights_hash());
  for (int i = 0; i < 2; ++i) trainer.step();
  if (world.rank == 1) {
    const Tensor weight = trainer.model().parameters().front();
    static_cast<unsigned char*>(weight.raw())[2] ^= 1;
  }
  std::string text;
  try {
    trainer.fit();
  } catch (const CommError& error) {
    text = error.what();
  }
  CHECK_THAT(text,
             contains("the hash of the weights after step 4 differs from rank 0's on rank 1"));
  trainer.close();
}

TEST_CASE("a weight that differs on one of two processes is found, and the rank named") {
  if (!test::has_mpirun()) return;
  const TinyRun run;  // its text is that of the processes
  const test::Outcome outcome = test::run_ranks(2, "ranks: a flipped bit is found at the next hash",
                                                "FOLDER=" + run.dir.path());
  INFO(outcome.output);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output, contains("(2 assertions in 1 test case)"));
}

TEST_CASE("a loss that leaps is a warning and a row; without noise there is none") {
  TinyRun run;
  run.config.trainer.max_steps = 200;
  run.config.trainer.log_every_n_steps = 50;
  run.config.trainer.limit_val_batches = 0;
  run.config.trainer.enable_checkpointing = false;
  run.config.optimizer.lr = 1e-3;
  run.config.lr_scheduler.total_steps = 200;
  std::string text;
  const LogSink before =
      set_log_sink([&](LogLevel, const std::string& message) { text += message + "\n"; });
  Trainer* running = nullptr;
  // The clock is asked in every step; at a chosen one the head is blown up.
  struct Spoiler : SteadyClock {
    Trainer** trainer;
    mutable std::vector<float> kept;
    double seconds() const override {
      if (*trainer == nullptr) return SteadyClock::seconds();
      const int64_t step = (*trainer)->steps_done();
      const Tensor head = (*trainer)->model().parameters().back();
      float* x = head.data<float>();
      if (step == 160 && kept.empty()) {
        kept.assign(x, x + head.numel());
        for (int64_t i = 0; i < head.numel(); ++i) x[i] *= 30;
      }
      if (step == 161 && !kept.empty()) {
        std::copy(kept.begin(), kept.end(), x);
        kept.clear();
      }
      return SteadyClock::seconds();
    }
  } clock;
  clock.trainer = &running;
  TrainerServices services = run.services();
  services.clock = &clock;
  Trainer trainer(run.config, services);
  running = &trainer;
  trainer.fit();
  set_log_sink(before);
  const std::vector<Json> rows = rows_of(trainer, "spike");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].find("step")->as_int() == 161);
  CHECK(rows[0].find("loss_z")->as_double() > 6);
  CHECK_THAT(text, contains("step 161: the loss leaps out of the 128 steps before"));
}

}  // namespace
}  // namespace xlstm::train
