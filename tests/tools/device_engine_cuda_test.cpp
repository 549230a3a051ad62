// Training on a GPU: with and without a graph, against the CPU, after a resume, short of memory,
// with planned faults.
#include <algorithm>
#include <cstdlib>

#include "core/allocator.h"
#include "core/checkpoint.h"
#include "core/variant_log.h"
#include "tests/cuda_device.h"
#include "tests/tools/run_command.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/config_io.h"
#include "tools/train/metrics_log.h"

namespace xlstm::train {
namespace {

using test::has_cuda_device;

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr int64_t kSteps = 5;         // two one by one, then recorded
constexpr int64_t kScaledSteps = 16;  // until the loss scale is small enough for updates

std::vector<double> weights_of(const layers::LanguageModel& model) {
  std::vector<double> all;
  for (const Tensor& parameter : model.parameters())
    for (const double x : parameter.to_vector<double>()) all.push_back(x);
  return all;
}

struct Ending {
  std::vector<double> losses, norms, weights;
  bool operator==(const Ending&) const = default;
};

Ending steps(TinyRun& run) {
  const bool is_scaled = run.config.trainer.precision == "16-mixed";
  const int64_t n = is_scaled ? kScaledSteps : kSteps;
  run.config.trainer.max_steps = run.config.lr_scheduler.total_steps = std::max<int64_t>(12, n);
  Trainer trainer(run.config, run.services());
  Ending ending;
  for (int64_t i = 0; i < n; ++i) {
    const StepReport report = trainer.step();
    CHECK((!report.skipped || is_scaled));
    CHECK(report.step == i + 1);
    ending.losses.push_back(report.loss);
    ending.norms.push_back(report.skipped ? -1 : report.grad_norm);
  }
  CHECK(std::isfinite(ending.norms.back()));
  CHECK(ending.norms.back() > 0);  // the last ones were updates
  ending.weights = weights_of(trainer.model());
  return ending;
}

void set_dropout(TinyRun& run, double p) {
  std::get<layers::XlstmModelConfig>(run.config.model).dropout = p;
}

TEST_CASE("a graph, prefetch and recomputed blocks change no bit of training on a GPU") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"32-true", "bf16-mixed", "bf16-true", "16-mixed"}) {
    for (const bool reset : {false, true}) {
      CAPTURE(precision, reset);
      Ending want;
      for (const bool graph : {false, true}) {
        for (const int64_t prefetch : {0, 3}) {
          CAPTURE(graph, prefetch);
          TinyRun run;  // with dropout
          run.config.trainer.accelerator = "gpu";
          run.config.trainer.precision = precision;
          run.config.trainer.cuda_graph = graph;
          run.config.trainer.activation_checkpointing = prefetch == 3;
          run.config.data.document_reset = reset;
          run.config.data.prefetch = prefetch;
          const Ending got = steps(run);
          if (want.losses.empty()) want = got;
          CHECK(got.losses == want.losses);
          CHECK(got.norms == want.norms);
          CHECK(got.weights == want.weights);
        }
      }
    }
  }
}

// Blocks that share a head exchange h while they run, so all of them must be resident, in a graph
// too.
TEST_CASE("a graph changes no bit of training where heads of the sLSTM are spread over blocks") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"32-true", "bf16-mixed", "bf16-true"}) {
    CAPTURE(precision);
    Ending want;
    for (const bool graph : {false, true}) {
      CAPTURE(graph);
      TinyRun run;
      std::get<layers::XlstmModelConfig>(run.config.model).embedding_dim = 320;  // 2 heads of 160
      run.config.trainer.accelerator = "gpu";
      run.config.trainer.precision = precision;
      run.config.trainer.cuda_graph = graph;
      const VariantLog log;
      const Ending got = steps(run);
      const std::vector<std::string>& ran = log.names();
      const auto has = [&](const char* name) {
        return std::find(ran.begin(), ran.end(), name) != ran.end();
      };
      CHECK((has("spread") || has("cluster")));  // cluster: Hopper, 16 bits
      CHECK(!has("small"));
      if (want.losses.empty()) want = got;
      CHECK(got.losses == want.losses);
      CHECK(got.norms == want.norms);
      CHECK(got.weights == want.weights);
    }
  }
}

TEST_CASE("in float32 a GPU trains as the CPU does") {
  if (!has_cuda_device()) return;
  for (const bool reset : {false, true}) {
    TinyRun cpu, gpu;
    for (TinyRun* run : {&cpu, &gpu}) {
      set_dropout(*run, 0);
      run->config.data.document_reset = reset;
    }
    cpu.config.trainer.accelerator = "cpu";
    gpu.config.trainer.accelerator = "gpu";
    const Ending want = steps(cpu), got = steps(gpu);
    for (size_t i = 0; i < want.losses.size(); ++i) {
      CAPTURE(reset, i);
      CHECK(std::abs(got.losses[i] - want.losses[i]) < 1e-4);
      CHECK(got.norms[i] == Approx(want.norms[i]).epsilon(1e-3));
    }
  }
}

TEST_CASE("dropout draws the same numbers on a GPU as on the CPU") {
  if (!has_cuda_device()) return;
  TinyRun cpu, gpu;
  cpu.config.trainer.accelerator = "cpu";
  gpu.config.trainer.accelerator = "gpu";
  const Ending want = steps(cpu), got = steps(gpu);
  for (size_t i = 0; i < want.losses.size(); ++i)
    CHECK(std::abs(got.losses[i] - want.losses[i]) < 1e-4);
}

TEST_CASE("a run on a GPU that was stopped and resumed equals one that was not, bit for bit") {
  if (!has_cuda_device()) return;
  for (const char* precision : {"32-true", "16-mixed"}) {
    TinyRun whole, parts;
    for (TinyRun* run : {&whole, &parts}) {
      run->config.trainer.accelerator = "gpu";
      run->config.trainer.precision = precision;
    }
    Trainer unbroken(whole.config, whole.services());
    unbroken.fit();
    parts.config.trainer.max_steps = 5;
    {
      Trainer first(parts.config, parts.services());
      first.fit();
    }
    parts.config.trainer.max_steps = 12;
    Trainer second(parts.config, parts.services());
    second.resume("last");
    second.fit();
    CHECK(weights_of(second.model()) == weights_of(unbroken.model()));
  }
}

TEST_CASE("NaN that are planned strike a graph as steps one by one, and only in their steps") {
  if (!has_cuda_device()) return;
  TinyRun run;
  run.config.trainer.accelerator = "gpu";
  run.config.trainer.precision = "bf16-mixed";
  run.config.sample.prompts = {};
  real_file_system().write_file(run.dir.path("run.yaml"), run_config_to_yaml(run.config));
  // The faults live as long as a process.
  const auto fit = [&](const std::string& name, const std::string& faults, bool graph) {
    ::setenv("XLSTM_FAULT", faults.c_str(), 1);
    const testing::CommandResult result =
        testing::run_command({"fit", "--config", "run.yaml", "--trainer.name", name,
                              "--trainer.cuda_graph", graph ? "true" : "false"},
                             run.dir.path(""));
    ::unsetenv("XLSTM_FAULT");
    INFO(result.err);
    REQUIRE(result.code == 0);
    return run.dir.path("runs/" + name + "/version_0");
  };
  const auto weights = [](const std::string& folder) {
    const std::string path = find_latest_checkpoint(join_path(folder, "checkpoints")).value();
    return real_file_system().read_file(join_path(path, "model.safetensors"));
  };
  const auto skipped = [](const std::string& folder) {
    std::vector<int64_t> steps;
    for (const Json& row : MetricsLog::read(join_path(folder, "metrics.jsonl"), real_file_system()))
      if (row.find("split")->as_string() == "skipped") steps.push_back(row.find("step")->as_int());
    return steps;
  };
  const std::string faults =
      "nan@step=2,of=loss;nan@step=4,element=7;nan@step=6,of=loss;nan@step=9,element=7;"
      "nan@step=9,element=3000";
  const std::vector<int64_t> want = {2, 4, 6, 9};
  const std::string recorded = fit("recorded", faults, true), eager = fit("eager", faults, false);
  CHECK(skipped(recorded) == want);
  CHECK(skipped(eager) == want);
  CHECK(weights(recorded) == weights(eager));
  const std::string late = fit("late", "nan@step=99,of=loss;nan@step=99,element=7", true);
  const std::string none = fit("none", "", true);
  CHECK(skipped(late).empty());
  CHECK(weights(late) == weights(none));
  CHECK(weights(late) != weights(recorded));
  ::setenv("XLSTM_FAULT", "nan@step=3,element=123456789", 1);
  const auto refused = testing::run_command({"fit", "--config", "run.yaml"}, run.dir.path(""));
  ::unsetenv("XLSTM_FAULT");
  testing::check_refused(refused, 2, {"XLSTM_FAULT: element", "123456789", "less than"});
}

TEST_CASE("whichever allocation of a step on a GPU fails, training can go on") {
  if (!has_cuda_device()) return;
  const MemoryStats start = memory_stats(kCuda);
  for (const bool graph : {false, true}) {
    CAPTURE(graph);
    TinyRun run;
    run.config.trainer.accelerator = "gpu";
    run.config.trainer.cuda_graph = graph;
    Trainer trainer(run.config, run.services());
    trainer.step();
    if (graph) trainer.step();  // the next is recorded, or fails on the way
    const MemoryStats before = memory_stats(kCuda);
    int64_t n = 1;
    for (bool failed = true; failed; n += 7) {
      fail_allocation(n, kCuda);
      failed = false;
      try {
        trainer.step();
      } catch (const OutOfMemory& error) {
        failed = true;
        CHECK_THAT(error.what(), test::contains("out of memory on cuda:0"));
        CHECK_THAT(error.what(), test::contains("Try data.batch_size at most "));
      }
      CHECK(memory_stats(kCuda).in_use_bytes == before.in_use_bytes);
      CHECK(memory_stats(kCuda).in_use_by == before.in_use_by);
    }
    fail_allocation(0, kCuda);
    CHECK(n > 100);
    CHECK(std::isfinite(trainer.step().loss));
    run.config.data.batch_size = 1;
    Trainer smaller(run.config, run.services());
    CHECK(std::isfinite(smaller.step().loss));
  }
  CHECK(memory_stats(kCuda).in_use_bytes == start.in_use_bytes);
  CHECK(memory_stats(kCuda).in_use_by == start.in_use_by);
}

}  // namespace
}  // namespace xlstm::train
