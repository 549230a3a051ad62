// Predictions of memory against runs.
#include "tools/train/dry_run.h"

#include <cstdlib>

#include "tests/catch.h"
#include "tests/tools/measured_peak.h"
#include "tests/tools/run_command.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/config_io.h"

namespace xlstm::train {
namespace {

using testing::measured_peak;
using xlstm::test::contains;

void check_near(const char* what, const RunConfig& config, const MemoryPrediction& predicted,
                int64_t added, int64_t measured) {
  const double ratio =
      static_cast<double>(predicted.peak_bytes + added) / static_cast<double>(measured);
  std::printf("%s, batch %d: predicted %.3f MB, measured %.3f MB, %+.2f %%\n", what,
              static_cast<int>(config.data.batch_size),
              static_cast<double>(predicted.peak_bytes + added) / 1e6,
              static_cast<double>(measured) / 1e6, 100 * (ratio - 1));
  CAPTURE(what, config.data.batch_size);
  CHECK(ratio > 0.95);
  CHECK(ratio < 1.05);
}

TEST_CASE("the peak of training is predicted within 5 % from two small batches") {
  TinyRun run;
  run.config.trainer.accumulate_grad_batches = 1;
  const auto check = [&](const char* what) {
    for (const int64_t batch : {3, 5, 9}) {
      run.config.data.batch_size = batch;
      const MemoryPrediction predicted = predict_memory(run.config, run.services());
      check_near(what, run.config, predicted, 0, measured_peak(run.config, run.services(), false));
      CHECK(predicted.reserved_bytes >= predicted.peak_bytes);
      CHECK(predicted.fits());
    }
  };
  auto& model = std::get<layers::XlstmModelConfig>(run.config.model);
  check("tiny");
  run.config.trainer.activation_checkpointing = true;
  model.num_blocks = 4;
  check("activation checkpointing");
  run.config.trainer.accumulate_grad_batches = 3;
  check("activation checkpointing and accumulation");
  run.config.trainer.activation_checkpointing = false;
  check("accumulation");
  run.config.trainer.accumulate_grad_batches = 1;
  run.config.data.max_length = 40;
  model.embedding_dim = 64;
  check("wider and longer");
  run.config.optimizer.name = "sgd";
  run.config.trainer.precision = "64-true";
  run.config.data.document_reset = true;
  check("float64, SGD, document resets");
  run.config.data.document_reset = false;
  run.config.trainer.slstm_recompute_steps = 7;
  run.config.data.stateful = true;
  check("stateful, recomputed cells");
  layers::XlstmLargeConfig large;
  large.embedding_dim = 64;
  large.num_heads = 2;
  large.num_blocks = 2;
  run.config.model = large;
  run.config.data.stateful = false;
  run.config.trainer.precision = "32-true";
  check("xlstm_large");
}

TEST_CASE("a whole run takes the copies for checkpoints besides") {
  TinyRun run;
  run.config.data.batch_size = 4;
  run.config.checkpoint.every_n_train_steps = 5;
  const MemoryPrediction with = predict_memory(run.config, run.services());
  check_near("fit, checkpoint.async", run.config, with, with.staging_bytes,
             measured_peak(run.config, run.services(), true));
  run.config.checkpoint.async = false;
  const MemoryPrediction without = predict_memory(run.config, run.services());
  CHECK(with.staging_bytes > 0);
  CHECK(without.staging_bytes == 0);
  check_near("fit", run.config, without, 0, measured_peak(run.config, run.services(), true));
}

// Threads have memory of their own, until each has some.
TEST_CASE("the peak is predicted with any number of threads, few and many to a batch") {
  TinyRun run;
  run.config.trainer.accumulate_grad_batches = 1;
  for (const int64_t threads : {1, 3, 16, 64}) {
    run.config.trainer.num_threads = threads;
    const std::string what = std::to_string(threads) + " threads";
    for (const int64_t batch : {2, 6, 30}) {
      run.config.data.batch_size = batch;
      const MemoryPrediction predicted = predict_memory(run.config, run.services());
      check_near(what.c_str(), run.config, predicted, 0,
                 measured_peak(run.config, run.services(), false));
    }
  }
}

TEST_CASE("the largest batch fits under a limit, and one more does not") {
  TinyRun run;
  run.config.trainer.accumulate_grad_batches = 1;
  run.config.trainer.enable_checkpointing = false;
  for (const int64_t threads : {2, 32}) {
    CAPTURE(threads);
    run.config.trainer.num_threads = threads;
    run.config.data.batch_size = 2;
    ::setenv("XLSTM_MEMORY_LIMIT", "6M", 1);
    const MemoryPrediction predicted = predict_memory(run.config, run.services());
    ::unsetenv("XLSTM_MEMORY_LIMIT");
    CHECK(predicted.usable_bytes == 6 << 20);
    REQUIRE(predicted.largest_batch > 2);
    run.config.data.batch_size = predicted.largest_batch;
    CHECK(measured_peak(run.config, run.services(), false) <= 6 << 20);
    run.config.data.batch_size = predicted.largest_batch + predicted.largest_batch / 20 + 1;
    CHECK(measured_peak(run.config, run.services(), false) > 6 << 20);
  }
}

TEST_CASE(
    "the command prints the prediction, writes no run and says by its code what does not fit") {
  TinyRun run;
  real_file_system().write_file(run.dir.path("run.yaml"), run_config_to_yaml(run.config));
  const auto dry_run = [&](const std::string& batch) {
    return testing::Command(
               {"fit", "--config", "run.yaml", "--dry_run", "--data.batch_size", batch},
               run.dir.path(""))
        .wait();
  };
  const auto fits = dry_run("4");
  INFO(fits.err);
  CHECK(fits.code == 0);
  CHECK_THAT(fits.out, contains("predicted peak  "));
  CHECK_THAT(fits.out, contains(" a sequence"));
  CHECK_THAT(fits.out, contains("largest data.batch_size that fits: "));
  CHECK_FALSE(real_file_system().exists(run.dir.path("runs/xlstm")));
  ::setenv("XLSTM_MEMORY_LIMIT", "2M", 1);
  const auto not_so = dry_run("256");
  ::unsetenv("XLSTM_MEMORY_LIMIT");
  INFO(not_so.err);
  CHECK(not_so.code == 5);
  CHECK_THAT(not_so.out, contains(" of 2.00 MiB on cpu"));
}

}  // namespace
}  // namespace xlstm::train
