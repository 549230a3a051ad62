// xlstm bench scaling: what training on many GPUs would reach.
#include <iostream>
#include <memory>
#include <optional>

#include "core/device.h"
#include "core/error.h"
#include "core/file_system.h"
#include "tools/bench/end_to_end.h"
#include "tools/bench/scaling_report.h"
#include "tools/commands.h"

namespace xlstm::cli {
namespace {

using namespace bench;

struct Arguments {
  std::string gpus = "8..4096", preset, config, algorithm = "ring", json;
  bool markdown = false, measure = false;
  int64_t steps = 10;
  double memory_gb = 80;
  std::optional<double> step_ms, update_ms, activation_gb, nvlink_us, network_us;
  Cluster cluster;
};

bool is_given(const Overrides& overrides, const std::string& key) {
  for (const auto& [name, value] : overrides)
    if (name == key) return true;
  return false;
}

bool measures_on_cpu(const Arguments& a, const Overrides& overrides) {
  if (!a.measure) return false;
  for (const auto& [name, value] : overrides)
    if (name == "trainer.accelerator" && value == "cpu") return true;
  return cuda_device_count() == 0;
}

// What a model of this size needs to fit at all, where nothing else was said.
void add_defaults(const std::string& preset, const Arguments& a, Overrides& overrides) {
  const auto add = [&](const char* key, const char* value) {
    if (!is_given(overrides, key)) overrides.emplace_back(key, value);
  };
  // A CPU has no 16 bits to measure.
  if (a.config.empty())
    add("trainer.precision", measures_on_cpu(a, overrides) ? "32-true" : "bf16-mixed");
  if (!a.config.empty() || preset != "large-7b") return;
  add("data.batch_size", "4");
  add("trainer.activation_checkpointing", "true");
}

// Steps of one process here: the time, and what they held beside weights and the like.
StepGiven measured(const std::string& name, train::RunConfig config, const Arguments& a) {
  config.trainer.devices = 1;
  const Row row = bench_train(name, config, a.steps);
  require<ConfigError>(row.failure.empty(), "bench scaling: --measure: ", row.failure);
  StepGiven given;
  given.step_ms = row.ms.median;
  // The update is not timed by itself; the default is an H100's.
  given.update_ms = a.update_ms;
  const bool on_gpu = row.device != "cpu";
  if (!on_gpu && !given.update_ms) given.update_ms = 0;
  given.source = "measured now on " + row.device;
  StepGiven none;
  none.step_ms = row.ms.median;
  none.update_ms = 0;
  none.activation_bytes = 0;
  const Workload state = scaling_model(name, config, none).work;
  given.activation_bytes = std::max(0.0, row.peak_bytes - memory_bytes(state, Strategy::ddp, 1));
  return given;
}

int run(Arguments& a, const CLI::App& command) {
  require<ConfigError>(!a.measure || !a.step_ms,
                       "bench scaling: got --measure and --step_ms, expected one of them");
  require<ConfigError>(a.preset.empty() || a.config.empty(),
                       "bench scaling: got --preset and --config, expected one of them");
  const bool one_model = !a.preset.empty() || !a.config.empty();
  require<ConfigError>(one_model || (!a.measure && !a.step_ms && !a.update_ms && !a.activation_gb),
                       "bench scaling: got numbers of one model (--measure, --step_ms, --update_ms "
                       "or --activation_gb), expected --preset or --config beside them");
  require<ConfigError>(a.memory_gb > 0, "bench scaling: --memory_gb: got ", a.memory_gb,
                       ", expected more than 0");
  require<ConfigError>(a.steps >= 1, "bench scaling: --steps: got ", a.steps,
                       ", expected at least 1");
  a.cluster.algorithm = algorithm_of(a.algorithm);
  require<ConfigError>(a.nvlink_us.has_value() == a.network_us.has_value(),
                       "bench scaling: got one of --nvlink_us and --network_us, expected both");
  if (a.nvlink_us) {
    require<ConfigError>(*a.nvlink_us >= 0 && *a.network_us >= 0,
                         "bench scaling: --nvlink_us and --network_us: got ", *a.nvlink_us, " and ",
                         *a.network_us, ", expected at least 0");
    a.cluster.protocols = {Protocol{.nvlink_us = *a.nvlink_us, .network_us = *a.network_us}};
  }
  a.cluster.validate();
  const std::vector<int64_t> gpus = parse_gpus(a.gpus, a.cluster.gpus_per_node);
  std::vector<std::string> names{a.config.empty() ? a.preset : a.config};
  if (!one_model) names = {"paper-120m", "large-1.4b", "large-7b"};
  std::cout << describe(a.cluster);
  std::vector<ScalingTable> tables;
  for (const std::string& name : names) {
    Overrides overrides = parse_overrides(command.remaining());
    add_defaults(name, a, overrides);
    const train::RunConfig config = config_of(name, a.config, overrides);
    StepGiven given;
    given.step_ms = a.step_ms;
    given.update_ms = a.update_ms;
    if (a.measure) given = measured(name, config, a);
    if (a.activation_gb) given.activation_bytes = *a.activation_gb * 1e9;
    ScalingTable table{scaling_model(name, config, given), {}};
    for (const Strategy strategy : {Strategy::ddp, Strategy::zero1})
      for (const int64_t n : gpus)
        table.rows.push_back(predict(table.model.work, a.cluster, strategy, n));
    std::cout << "\n"
              << (a.markdown ? markdown(table, a.memory_gb) : aligned_text(table, a.memory_gb));
    tables.push_back(table);
  }
  if (!a.json.empty())
    real_file_system().write_file(a.json, to_text(to_json(a.cluster, tables), 1) + "\n");
  return 0;
}

}  // namespace

void add_bench_scaling(CLI::App& bench, Action& action) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = bench.add_subcommand(
      "scaling", "predict training on many GPUs by a model of cost (nothing is measured)");
  command->allow_extras();
  command->footer(
      "docs/distributed.md explains the model and where the defaults come from. Any configuration "
      "key is an option, as for fit: data.batch_size, trainer.bucket_mb, trainer.reduce_dtype.");
  command->add_option("--gpus", a->gpus, "FIRST..LAST, doubled, or a list: 8,64,512")
      ->default_str(a->gpus);
  command->add_option("--preset", a->preset,
                      "a model of bench train; default: paper-120m, large-1.4b and large-7b");
  command->add_option("--config,-c", a->config, "a configuration instead of a preset");
  command->add_option("--step_ms", a->step_ms,
                      "a step of one GPU; default: as docs/benchmarks.md has it for an H100");
  command->add_flag("--measure", a->measure, "time steps of one process here instead");
  command->add_option("--steps", a->steps, "timed steps of --measure")->default_val(a->steps);
  command->add_option("--update_ms", a->update_ms,
                      "of these for AdamW; default: 1.419 per 2^27 weights, of an H100");
  command->add_option("--activation_gb", a->activation_gb,
                      "memory beside weights and the like; default: estimated, or measured");
  command->add_option("--memory_gb", a->memory_gb, "what a GPU has")->default_val(a->memory_gb);
  Cluster& c = a->cluster;
  command->add_option("--gpus_per_node", c.gpus_per_node, "joined by NVLink")
      ->default_val(c.gpus_per_node);
  command->add_option("--nvlink_gb_s", c.nvlink_gb_s, "bus bandwidth of collectives in a node")
      ->default_val(c.nvlink_gb_s);
  command->add_option("--network_gbit_s", c.network_gbit_s, "line rate of a GPU's network card")
      ->default_val(c.network_gbit_s);
  command->add_option("--network_efficiency", c.network_efficiency, "what of it is reached")
      ->default_val(c.network_efficiency);
  command->add_option("--nvlink_us", a->nvlink_us,
                      "latency of a hop in a node; default: NCCL's three protocols");
  command->add_option("--network_us", a->network_us, "latency of a hop between nodes");
  command->add_option("--algorithm", a->algorithm, "ring, hierarchical or tree")
      ->default_str(a->algorithm);
  command->add_option("--json", a->json, "write the predictions to this file");
  command->add_flag("--markdown", a->markdown, "print tables in Markdown");
  command->callback([&action, a, command] { action = [a, command] { return run(*a, *command); }; });
}

}  // namespace xlstm::cli
