#include "tools/train/trainer.h"

#include <cmath>
#include <csignal>
#include <limits>

#include "core/checkpoint.h"
#include "core/fault.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/memory_limit.h"
#include "tools/train/metrics_log.h"
#include "tools/train/placement.h"

namespace xlstm::train {
namespace {

std::string optimizer_bytes(const std::string& checkpoint) {
  return real_file_system().read_file(join_path(checkpoint, "optimizer.safetensors"));
}

std::string newest(const Trainer& trainer) {
  return find_latest_checkpoint(join_path(trainer.run_folder(), "checkpoints")).value();
}

TEST_CASE("a run that was stopped and resumed equals one that was not, bit for bit") {
  for (const char* precision : {"32-true", "64-true"}) {
    TinyRun whole, parts;
    whole.config.trainer.precision = parts.config.trainer.precision = precision;
    Trainer unbroken(whole.config, whole.services());
    const FitReport want = unbroken.fit();
    CHECK(want.steps == 12);

    parts.config.trainer.max_steps = 5;  // in the middle of an epoch and of a validation interval
    {
      Trainer first(parts.config, parts.services());
      first.fit();
    }
    parts.config.trainer.max_steps = 12;
    Trainer second(parts.config, parts.services());
    second.resume("last");
    CHECK(second.steps_done() == 5);
    const FitReport got = second.fit();
    CHECK(weight_bytes(second.model()) == weight_bytes(unbroken.model()));
    CHECK(optimizer_bytes(newest(second)) == optimizer_bytes(newest(unbroken)));
    CHECK(got.validation->loss == want.validation->loss);
    CHECK(got.train_loss == want.train_loss);
  }
}

TEST_CASE("the number of threads and activation checkpointing change no bit of a run") {
  std::string first;
  for (const int64_t threads : {1, 2, 3}) {
    TinyRun run;
    run.config.trainer.num_threads = threads;
    run.config.trainer.activation_checkpointing = threads == 3;
    Trainer trainer(run.config, run.services());
    trainer.fit();
    if (first.empty()) first = weight_bytes(trainer.model());
    CHECK(weight_bytes(trainer.model()) == first);
  }
}

TEST_CASE(
    "a run may be continued with other sLSTM stretches, and gives the same but for rounding") {
  TinyRun whole, parts, refused;
  Trainer unbroken(whole.config, whole.services());
  const FitReport want = unbroken.fit();
  parts.config.trainer.max_steps = 5;
  {
    Trainer first(parts.config, parts.services());
    first.fit();
  }
  parts.config.trainer.max_steps = 12;
  parts.config.trainer.slstm_recompute_steps = 7;
  Trainer second(parts.config, parts.services());
  second.resume("last");
  const FitReport got = second.fit();
  CHECK(std::abs(got.train_loss - want.train_loss) < 1e-4);
  CHECK(std::abs(got.validation->loss - want.validation->loss) < 1e-4);
  // The number reaches the op, which reading a configuration would have refused to begin with.
  refused.config.trainer.slstm_recompute_steps = -1;
  Trainer third(refused.config, refused.services());
  CHECK_THROWS_WITH(third.step(), test::contains("recompute_steps"));
}

TEST_CASE("the metrics of a resumed run have every step once") {
  TinyRun run;
  run.config.trainer.max_steps = 8;
  run.config.checkpoint.every_n_train_steps = 5;
  Trainer first(run.config, run.services());
  first.fit();
  // As if the process had died after step 8, before its checkpoint.
  const std::string folder = first.run_folder();
  for (const std::string& path : list_checkpoints(join_path(folder, "checkpoints")))
    if (Checkpoint::open(path).step() == 8) real_file_system().remove_all(path);
  run.config.trainer.max_steps = 12;
  Trainer second(run.config, run.services());
  second.resume(folder);
  second.fit();
  CHECK(second.run_folder() == folder);
  std::vector<int64_t> steps;
  for (const Json& row : MetricsLog::read(join_path(folder, "metrics.jsonl"), real_file_system()))
    if (row.find("split")->as_string() == "train") steps.push_back(row.find("step")->as_int());
  CHECK(steps == std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
}

TEST_CASE("a run is not continued on other data, or as another model") {
  TinyRun run;
  run.config.trainer.max_steps = 2;
  Trainer first(run.config, run.services());
  first.fit();
  const std::string checkpoint = newest(first);
  std::get<layers::XlstmModelConfig>(run.config.model).embedding_dim = 32;
  Trainer wider(run.config, run.services());
  CHECK_THROWS_WITH(wider.resume(checkpoint), test::contains("model.embedding_dim"));
  std::get<layers::XlstmModelConfig>(run.config.model).embedding_dim = 16;
  run.config.data.batch_size = 4;
  Trainer larger(run.config, run.services());
  CHECK_THROWS_WITH(larger.resume(checkpoint), test::contains("data.batch_size"));
  run.config.data.batch_size = 2;
  data::write_story_corpus(run.dir.path("text"), 4, 80);
  Trainer other(run.config, run.services());
  CHECK_THROWS_AS(other.resume(checkpoint), ConfigError);
}

TEST_CASE("a gradient that is not finite changes nothing, and three in a row end the run") {
  TinyRun run;
  Trainer trainer(run.config, run.services());
  trainer.step();
  Tensor weight = trainer.model().parameters().back();
  const std::string before = weight_bytes(trainer.model());
  const float good = weight.data<float>()[0];
  weight.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  const std::string poisoned = weight_bytes(trainer.model());
  CHECK(trainer.step().skipped);
  CHECK(weight_bytes(trainer.model()) == poisoned);
  weight.data<float>()[0] = good;
  CHECK(weight_bytes(trainer.model()) == before);
  CHECK_FALSE(trainer.step().skipped);
  CHECK(weight_bytes(trainer.model()) != before);
  weight.data<float>()[0] = std::numeric_limits<float>::infinity();
  trainer.step();
  trainer.step();
  CHECK_THROWS_AS(trainer.step(), NonFiniteError);
}

TEST_CASE("SIGTERM ends a run after the running step, with a checkpoint that continues it") {
  TinyRun whole, parts;
  Trainer unbroken(whole.config, whole.services());
  unbroken.fit();
  // The clock is asked in every step; at the chosen call it sends the signal.
  struct SignallingClock : SteadyClock {
    mutable int calls = 0;
    double seconds() const override {
      if (++calls == 20) std::raise(SIGTERM);
      return SteadyClock::seconds();
    }
  } clock;
  TrainerServices services = parts.services();
  services.clock = &clock;
  Trainer first(parts.config, services);
  const FitReport report = first.fit();
  CHECK(report.reason == StopReason::terminated);
  CHECK(report.steps > 0);
  CHECK(report.steps < 12);
  Trainer second(parts.config, parts.services());
  second.resume(report.run_folder);
  CHECK(second.steps_done() == report.steps);
  second.fit();
  CHECK(weight_bytes(second.model()) == weight_bytes(unbroken.model()));
}

TEST_CASE("a full disk during training costs a checkpoint, not the run") {
  TinyRun run;
  FaultyFileSystem files(real_file_system());
  TrainerServices services = run.services();
  services.files = &files;
  run.config.checkpoint.every_n_train_steps = 1;
  run.config.trainer.max_steps = 3;
  Trainer trainer(run.config, services);
  trainer.step();
  trainer.save();
  files.fail_at(60, Fault::no_space);
  trainer.fit();
  CHECK(files.fired());
  CHECK(verify_checkpoint(newest(trainer)).empty());
  CHECK(Checkpoint::open(newest(trainer)).step() == 3);
}

TEST_CASE("the vocabulary may be larger than the tokenizer's, not smaller") {
  TinyRun run;
  std::get<layers::XlstmModelConfig>(run.config.model).vocab_size = 20;
  CHECK_THROWS_WITH(Trainer(run.config, run.services()), test::contains("model.vocab_size"));
  std::get<layers::XlstmModelConfig>(run.config.model).vocab_size = 320;
  Trainer trainer(run.config, run.services());
  CHECK(trainer.model().n_vocab() == 320);
  CHECK(std::isfinite(trainer.step().loss));
}

TEST_CASE("the sequences of all accumulated batches count against the training text") {
  TinyRun run;
  const int64_t n = Trainer(run.config, run.services()).steps_per_epoch() * 4;
  run.config.trainer.accumulate_grad_batches = n / 2;
  CHECK_NOTHROW(Trainer(run.config, run.services()));
  run.config.trainer.accumulate_grad_batches = n / 2 + 2;
  CHECK_THROWS_WITH(Trainer(run.config, run.services()),
                    test::contains("trainer.accumulate_grad_batches"));
}

TEST_CASE("without validation a run ends and reports none") {
  TinyRun run;
  run.config.trainer.limit_val_batches = 0;
  Trainer trainer(run.config, run.services());
  const FitReport report = trainer.fit();
  CHECK(report.steps == 12);
  CHECK_FALSE(report.validation.has_value());
  CHECK_THROWS_AS(trainer.validate(), ConfigError);
}

TEST_CASE("a model that memory cannot hold is refused before anything is read") {
  TinyRun run;
  run.config.data.root = "nowhere";
  auto& model = std::get<layers::XlstmModelConfig>(run.config.model);
  model.embedding_dim = 1 << 16;
  model.num_blocks = 1024;
  CHECK_THROWS_AS(Trainer(run.config, run.services()), OutOfMemory);
  model.embedding_dim = 1 << 24;  // more bytes than 64 bits can count
  CHECK_THROWS_AS(Trainer(run.config, run.services()), OutOfMemory);
}

TEST_CASE("where a run computes, and what is refused there") {
  TrainerConfig config;
  config.accelerator = "cpu";
  CHECK(training_placement(config).device == kCpu);
  for (const char* precision : {"bf16-mixed", "bf16-true", "16-mixed"}) {
    config.precision = precision;
    CHECK_THROWS_AS(training_placement(config), ConfigError);
    // A model that was trained on a GPU runs on a CPU all the same.
    CHECK(inference_placement(config).compute == DType::f32);
  }
  config.precision = "64-true";
  CHECK(training_placement(config).parameters == DType::f64);
  config.accelerator = "cuda";
  CHECK_THROWS_AS(training_placement(config), ConfigError);
  config.precision = "32-true";
  if (cuda_device_count() == 0) CHECK_THROWS_AS(training_placement(config), ConfigError);
}

TEST_CASE("memory for weights, gradients and moments is predicted to the byte") {
  TinyRun run;
  auto& model = std::get<layers::XlstmModelConfig>(run.config.model);
  model.vocab_size = 300;
  const int64_t n = layers::make_language_model(run.config.model, 1)->n_parameters();
  const auto check_need = [&](ModelUse use, int64_t bytes) {
    CHECK_NOTHROW(require_model_fits(run.config, use, bytes));
    CHECK_THROWS_AS(require_model_fits(run.config, use, bytes - 1), OutOfMemory);
  };
  check_need(ModelUse::inference, 4 * n);
  check_need(ModelUse::training, 16 * n);
  run.config.trainer.precision = "bf16-mixed";
  check_need(ModelUse::inference, 2 * n);
  check_need(ModelUse::training, 18 * n);
  run.config.trainer.precision = "32-true";
  run.config.optimizer.name = "sgd";
  check_need(ModelUse::training, 12 * n);
  run.config.optimizer.momentum = 0;
  check_need(ModelUse::training, 8 * n);
  run.config.trainer.precision = "64-true";
  check_need(ModelUse::training, 16 * n);
}

}  // namespace
}  // namespace xlstm::train
