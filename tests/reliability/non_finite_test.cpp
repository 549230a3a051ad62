// NaN in the loss or in any gradient of any rank changes neither weights nor moments.
#include "tests/ranks.h"
#include "tests/reliability/proof.h"
#include "tests/reliability/small_run.h"
#include "tools/train/config_io.h"
#include "tools/train/trainer_state.h"

namespace xlstm::proof {
namespace {

// The first, last and a random element of every gradient, as their places in the arena.
std::vector<int64_t> places(const SmallRuns& runs, std::mt19937_64& random) {
  train::RunConfig config = train::load_run_config({runs.dir.path("c.yaml")}, device_options());
  std::visit([](auto& model) { model.vocab_size = 300; }, config.model);
  const auto model = layers::make_language_model(config.model, 1);
  const auto arena = train::make_arena(config, *model, train::training_placement(config.trainer));
  std::vector<int64_t> found;
  for (const auto& entry : arena->entries()) {
    const auto n = static_cast<uint64_t>(entry.numel);
    found.push_back(entry.offset + static_cast<int64_t>(random() % n));
    if (!is_long()) continue;
    found.push_back(entry.offset);
    found.push_back(entry.offset + entry.numel - 1);
  }
  return found;
}

std::string file_of(const SmallRuns& runs, const std::string& name, int64_t step,
                    const char* file) {
  char folder[32];
  std::snprintf(folder, sizeof folder, "/step-%09lld/", static_cast<long long>(step));
  return real_file_system().read_file(runs.checkpoints(name) + folder + file);
}

TEST_CASE("NaN in the loss or in a gradient of any rank changes no weight and no moment") {
  const SmallRuns runs;
  std::mt19937_64 random = random_source();
  Promise promise(10,
                  "NaN in the loss or one element of every gradient, on any of 1, 2 or 4 ranks");
  int64_t n_zero1 = 0;
  for (const int n_ranks : {1, 2, 4}) {
    if (n_ranks == 4 && !is_long()) continue;
    if (n_ranks > 1 && !has_ranks(n_ranks)) continue;
    // zero1 keeps each rank's part of weights and moments with that rank alone, so one that
    // decided otherwise would show in the checkpoint; ddp would show it in the next step's. What a
    // graph replays and what is launched anew take NaN from the same place.
    std::vector<std::pair<std::string, std::string>> variants;
    if (n_ranks > 1) variants.emplace_back("zero1", " --trainer.strategy zero1");
    if (n_ranks > 1 && is_long()) variants.emplace_back("ddp", " --trainer.strategy ddp");
    if (n_ranks == 1) variants.emplace_back("one", "");
    if (n_ranks == 1 && on_cuda()) variants.emplace_back("eager", " --trainer.cuda_graph false");
    for (const auto& [variant, options] : variants) {
      std::string faults;
      int64_t step = 1;
      const auto add = [&](const std::string& what) {
        step += 2;
        faults += (faults.empty() ? "" : ";") + std::string("nan@rank=") +
                  std::to_string(random() % static_cast<uint64_t>(n_ranks)) +
                  ",step=" + std::to_string(step) + what;
      };
      for (int i = 0; i < n_ranks; ++i) add(",of=loss");
      for (const int64_t element : places(runs, random)) add(",element=" + std::to_string(element));
      const std::string name = variant + std::to_string(n_ranks);
      Process job("env XLSTM_FAULT='" + faults + "' " +
                      (n_ranks == 1 ? std::string() : start_ranks(n_ranks)) +
                      runs.fit(name, "--trainer.max_steps " + std::to_string(step + 1) +
                                         " --checkpoint.every_n_train_steps 1 "
                                         "--checkpoint.keep_last 100000 "
                                         "--trainer.val_check_interval 1000000 --data.batch_size " +
                                         std::to_string(4 / n_ranks) + options),
                  runs.dir.path(), runs.dir.path("log"));
      const std::optional<int> code = job.wait(300);
      INFO(job.output());
      REQUIRE(code == 0);
      for (int64_t bad = 3; bad <= step; bad += 2) {
        const auto same = [&](const char* file) {
          return file_of(runs, name, bad - 1, file) == file_of(runs, name, bad, file);
        };
        const bool moved = file_of(runs, name, bad, "model.safetensors") !=
                           file_of(runs, name, bad + 1, "model.safetensors");
        promise.point(same("model.safetensors") && same("optimizer.safetensors") && moved,
                      name + ", step " + std::to_string(bad));
        n_zero1 += n_ranks > 1;
      }
      int64_t n_skipped = 0;
      for (const Json& row : train::MetricsLog::read(
               runs.dir.path("runs/" + name + "/version_0/metrics.jsonl"), real_file_system()))
        n_skipped += row.find("split")->as_string() == "skipped";
      CHECK(n_skipped == (step - 1) / 2);
      runs.forget(name);
    }
  }
  promise.figure(std::to_string(n_zero1) + " of them on several ranks; every skip logged");
}

TEST_CASE("k steps that are not finite in a row end a run with code 4, on all ranks") {
  const SmallRuns runs;
  Promise promise(10, "max_non_finite steps in a row: exit code 4, one less: none");
  for (const int n_ranks : {1, 2}) {
    if (n_ranks == 1 && !is_long()) continue;
    if (n_ranks > 1 && !has_ranks(n_ranks)) continue;
    for (const int k : {1, 2, 3}) {
      if (!is_long() && k != 2) continue;
      for (const int in_a_row : {k - 1, k}) {
        if (!is_long() && in_a_row < k) continue;
        std::string faults;
        for (int i = 0; i < in_a_row; ++i)
          faults += (i == 0 ? "" : ";") + std::string("nan@rank=") + std::to_string(n_ranks - 1) +
                    ",step=" + std::to_string(4 + i);
        Process job("env XLSTM_FAULT='" + faults + "' " +
                        (n_ranks == 1 ? std::string() : start_ranks(n_ranks)) +
                        runs.fit("k", "--trainer.max_steps 8 --trainer.max_non_finite " +
                                          std::to_string(k) + " --data.batch_size " +
                                          std::to_string(4 / n_ranks)),
                    runs.dir.path(), runs.dir.path("log"));
        const std::optional<int> code = job.wait(60);
        const std::string output = job.output();
        const bool stopped = output.find("training stopped: " + std::to_string(k)) != output.npos;
        const int n_at_least = in_a_row == k ? 1 : 0;
        promise.point(code == (in_a_row == k ? 4 : 0) && stopped == (n_at_least == 1),
                      std::to_string(in_a_row) + " of " + std::to_string(k) + " on " +
                          std::to_string(n_ranks) + " ranks: code " +
                          std::to_string(code.value_or(-1)) + "\n" + output);
        runs.forget("k");
      }
    }
  }
}

}  // namespace
}  // namespace xlstm::proof
