// What people who come from Lightning expect of a trainer, besides that it trains.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/checkpoint.h"
#include "data/token_file.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/metrics_log.h"
#include "tools/train/run_folder.h"
#include "tools/train/training_data.h"
#include "tools/train/training_state.h"

namespace xlstm::train {
namespace {

std::string checkpoints_of(const Trainer& trainer) {
  return join_path(trainer.run_folder(), "checkpoints");
}

std::vector<int64_t> steps_kept(const Trainer& trainer) {
  std::vector<int64_t> steps;
  for (const std::string& path : list_checkpoints(checkpoints_of(trainer)))
    steps.push_back(Checkpoint::open(path).step());
  return steps;
}

// The validation losses of a run by step.
std::map<int64_t, double> validation_losses(const Trainer& trainer) {
  std::map<int64_t, double> losses;
  const std::string path = join_path(trainer.run_folder(), "metrics.jsonl");
  for (const Json& row : MetricsLog::read(path, real_file_system()))
    if (row.find("split")->as_string() == "valid")
      losses[row.find("step")->as_int()] = row.find("loss")->as_double();
  return losses;
}

TEST_CASE("a trial of the run trains and validates, and writes nothing") {
  TinyRun run;
  run.config.trainer.fast_dev_run = 2;
  Trainer trainer(run.config, run.services());
  const FitReport report = trainer.fit();
  CHECK(report.steps == 2);
  CHECK(report.validation.has_value());
  CHECK(trainer.run_folder().empty());
  CHECK_FALSE(real_file_system().exists(run.dir.path("runs/xlstm")));
}

TEST_CASE("without checkpoints a run leaves its log and no weights") {
  TinyRun run;
  run.config.trainer.enable_checkpointing = false;
  Trainer trainer(run.config, run.services());
  CHECK(trainer.fit().steps == 12);
  CHECK(list_checkpoints(checkpoints_of(trainer)).empty());
  CHECK(validation_losses(trainer).size() == 4);
}

TEST_CASE("a trial validation changes no bit of a run") {
  std::string first;
  for (const int64_t n : {0, 1, 1000}) {
    TinyRun run;
    run.config.trainer.num_sanity_val_steps = n;
    Trainer trainer(run.config, run.services());
    trainer.fit();
    if (first.empty()) first = weight_bytes(trainer.model());
    CHECK(weight_bytes(trainer.model()) == first);
    CHECK(validation_losses(trainer).size() == 4);
  }
}

TEST_CASE("an epoch of some of the batches is short, and orders differ from epoch to epoch") {
  TinyRun run;
  run.config.trainer.limit_train_batches = 6;
  run.config.trainer.max_steps = -1;
  run.config.trainer.max_epochs = 2;
  Trainer trainer(run.config, run.services());
  CHECK(trainer.steps_per_epoch() == 3);
  CHECK(trainer.max_steps() == 6);

  const TrainingData all(run.config.data, 2, 42, run.dir.path("cache"), real_file_system());
  const TrainingData some(run.config.data, 2, 42, run.dir.path("cache"), real_file_system(),
                          {.batches = 6});
  const TrainingData few(run.config.data, 2, 42, run.dir.path("cache"), real_file_system(),
                         {.overfit = 3});
  const auto tokens = [](const TrainingData& data, int64_t step, int64_t micro) {
    const Tensor t = data.batch(step, micro).tokens;
    return std::vector<int64_t>(t.data<int64_t>(), t.data<int64_t>() + t.numel());
  };
  for (int64_t step = 0; step < 3; ++step)
    for (const int64_t micro : {0, 1}) CHECK(tokens(some, step, micro) == tokens(all, step, micro));
  // The second epoch has the order of the second epoch.
  CHECK(tokens(some, 3, 0) != tokens(all, 3, 0));
  CHECK(tokens(some, 3, 0) != tokens(all, 0, 0));
  // Three batches again and again, also across steps.
  CHECK(tokens(few, 0, 0) == tokens(all, 0, 0));
  CHECK(tokens(few, 1, 0) == tokens(all, 1, 0));
  CHECK(tokens(few, 1, 1) == tokens(all, 0, 0));
  CHECK(tokens(few, 3, 0) == tokens(all, 0, 0));
}

TEST_CASE("validation in every second epoch only") {
  TinyRun run;
  run.config.trainer.limit_train_batches = 4;  // two steps an epoch
  run.config.trainer.val_check_interval = {1.0, true};
  run.config.trainer.check_val_every_n_epoch = 2;
  run.config.trainer.max_steps = 9;
  Trainer trainer(run.config, run.services());
  trainer.fit();
  std::vector<int64_t> steps;
  for (const auto& [step, loss] : validation_losses(trainer)) steps.push_back(step);
  CHECK(steps == std::vector<int64_t>{4, 8, 9});  // and at the end
}

TEST_CASE("the best checkpoints are kept beside the newest, and best finds the best") {
  for (const std::string mode : {"min", "max"}) {
    TinyRun run;
    run.config.trainer.val_check_interval = {4, false};  // two steps
    run.config.checkpoint.keep_last = 1;
    run.config.checkpoint.save_top_k = 2;
    run.config.checkpoint.mode = mode;
    Trainer trainer(run.config, run.services());
    trainer.fit();
    const std::map<int64_t, double> losses = validation_losses(trainer);
    REQUIRE(losses.size() == 6);
    std::vector<std::pair<double, int64_t>> order;
    for (const auto& [step, loss] : losses) order.emplace_back(mode == "min" ? loss : -loss, step);
    std::sort(order.begin(), order.end());
    std::set<int64_t> want{order[0].second, order[1].second, 12};
    const std::vector<int64_t> kept = steps_kept(trainer);
    CHECK(std::set<int64_t>(kept.begin(), kept.end()) == want);
    const std::string best =
        resolve_checkpoint("best", run.dir.path("runs"), "xlstm", real_file_system());
    CHECK(Checkpoint::open(best).step() == order[0].second);
    // A damaged best one is passed over.
    const std::string weights = join_path(best, "model.safetensors");
    real_file_system().write_file(weights, "short");
    const std::string next =
        resolve_checkpoint("best", run.dir.path("runs"), "xlstm", real_file_system());
    CHECK(Checkpoint::open(next).step() == order[1].second);
  }
}

TEST_CASE("all checkpoints, or none of the best") {
  for (const int64_t top_k : {-1, 0}) {
    TinyRun run;
    run.config.checkpoint.every_n_train_steps = 3;
    run.config.checkpoint.keep_last = 1;
    run.config.checkpoint.save_top_k = top_k;
    Trainer trainer(run.config, run.services());
    trainer.fit();
    CHECK(steps_kept(trainer) ==
          (top_k < 0 ? std::vector<int64_t>{3, 6, 9, 12} : std::vector<int64_t>{12}));
  }
}

TEST_CASE("a checkpoint between validations is ranked by the training loss alone") {
  TinyRun run;
  run.config.checkpoint.every_n_train_steps = 5;
  Trainer trainer(run.config, run.services());
  trainer.fit();
  // Validations are at steps 3, 6, 9, 12.
  const auto ranked = ranked_checkpoints(checkpoints_of(trainer), real_file_system());
  REQUIRE(ranked.size() == 1);
  CHECK(Checkpoint::open(ranked[0]).step() == 12);

  TinyRun other;
  other.config.checkpoint.every_n_train_steps = 5;
  other.config.checkpoint.monitor = "train_loss";
  Trainer second(other.config, other.services());
  second.fit();
  CHECK(ranked_checkpoints(checkpoints_of(second), real_file_system()).size() == 3);
}

TEST_CASE("a run that gets nowhere ends early, also where it was interrupted") {
  const auto stalled = [] {
    TinyRun run;
    run.config.trainer.val_check_interval = {2, false};  // every step
    run.config.trainer.max_steps = 10;
    run.config.early_stopping.patience = 3;
    run.config.early_stopping.min_delta = 1e6;  // nothing counts
    return run.config;
  };
  TinyRun place;
  RunConfig config = stalled();
  config.data.root = place.config.data.root;
  config.trainer.default_root_dir = place.config.trainer.default_root_dir;
  Trainer trainer(config, place.services());
  const FitReport report = trainer.fit();
  CHECK(report.reason == StopReason::early_stopping);
  CHECK(report.steps == 4);  // the first sets the mark, then three wait
  CHECK(place.out.str().find("stopping early: val_loss has not improved") != std::string::npos);

  config.trainer.name = "parts";
  config.trainer.max_steps = 2;
  Trainer(config, place.services()).fit();
  config.trainer.max_steps = 10;
  Trainer second(config, place.services());
  second.resume("last");
  CHECK(second.fit().steps == 4);

  config.trainer.name = "long";
  config.trainer.min_steps = 7;
  Trainer patient(config, place.services());
  CHECK(patient.fit().steps == 7);
}

TEST_CASE("a tokenizer is found by its name in two places, and missing in both") {
  TinyRun run;
  const Trainer made(run.config, run.services());
  const std::string folder = run.dir.path("by_name/openai/tiny");
  real_file_system().make_dirs(folder);
  made.tokenizer().save(join_path(folder, "tokenizer.json"));
  run.config.data.tokenizer = "openai/tiny";
  unsetenv("XLSTM_TOKENIZERS");
  CHECK_THROWS_WITH(
      Trainer(run.config, run.services()),
      test::contains("$XLSTM_TOKENIZERS/openai/tiny (the variable is not set) or in") &&
          test::contains(".cache/xlstm/tokenizers/openai/tiny") &&
          test::contains("vocab.json and merges.txt"));
  setenv("XLSTM_TOKENIZERS", run.dir.path("by_name").c_str(), 1);
  CHECK(Trainer(run.config, run.services()).tokenizer().fingerprint() ==
        made.tokenizer().fingerprint());
  for (const char* name : {"../by_name/openai/tiny", "openai/../openai/tiny"}) {
    run.config.data.tokenizer = name;
    CHECK_THROWS_AS(Trainer(run.config, run.services()), FileError);
  }
  unsetenv("XLSTM_TOKENIZERS");
}

TEST_CASE("token shards and several sources train as texts do") {
  TinyRun run;
  const Trainer made(run.config, run.services());
  const std::string tokenizer = run.dir.path("t.json");
  made.tokenizer().save(tokenizer);
  run.config.data.tokenizer = tokenizer;
  Trainer on_text(run.config, run.services());
  on_text.fit();
  const std::string shards = run.dir.path("shards");
  real_file_system().make_dirs(shards);
  for (const char* split : {"train", "valid"})
    data::write_token_file(join_path(run.config.data.root, std::string(split) + ".txt"),
                           made.tokenizer(), join_path(shards, std::string(split) + "-0.tokens"));
  const std::string text = run.config.data.root;
  run.config.data.root = shards;
  run.config.trainer.name = "shards";
  Trainer on_shards(run.config, run.services());
  on_shards.fit();
  CHECK(weight_bytes(on_shards.model()) == weight_bytes(on_text.model()));

  run.config.data.tokenizer = "train";
  CHECK_THROWS_WITH(Trainer(run.config, run.services()), test::contains("data.tokenizer"));
  run.config.data.tokenizer = tokenizer;
  run.config.data.sources = {{text, 1}, {shards, 3}};
  run.config.trainer.name = "both";
  Trainer on_both(run.config, run.services());
  CHECK(on_both.fit().steps == 12);
  CHECK(weight_bytes(on_both.model()) != weight_bytes(on_text.model()));
  real_file_system().remove_file(join_path(shards, "valid-0.tokens"));
  CHECK_THROWS_WITH(Trainer(run.config, run.services()), test::contains("0 for validation"));
}

TEST_CASE("patience counts what does not improve") {
  Patience patience;
  CHECK_FALSE(patience.exhausted(2.0, "min", 0, 2));
  CHECK_FALSE(patience.exhausted(2.0, "min", 0, 2));
  CHECK_FALSE(patience.exhausted(1.9, "min", 0, 2));
  CHECK_FALSE(patience.exhausted(1.85, "min", 0.1, 2));
  CHECK(patience.exhausted(std::nan(""), "min", 0, 2));
  Patience rising;
  CHECK_FALSE(rising.exhausted(1.0, "max", 0, 1));
  CHECK_FALSE(rising.exhausted(2.0, "max", 0, 1));
  CHECK(rising.exhausted(2.0, "max", 0, 1));
  CHECK_FALSE(rising.exhausted(0.0, "max", 0, 0));
}

}  // namespace
}  // namespace xlstm::train
