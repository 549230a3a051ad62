// xlstm bench: times of every op, of training steps and of generation.
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/file_system.h"
#include "tools/bench/checkpoint_bench.h"
#include "tools/bench/end_to_end.h"
#include "tools/bench/op_bench.h"
#include "tools/bench/report.h"
#include "tools/commands.h"
#include "tools/launch.h"

namespace xlstm::cli {
namespace {

using namespace bench;

struct Arguments {
  bool list = false, markdown = false, skip_check = false;
  std::string filter, device = "auto", variant, dtype, sizes, json, compare, svg;
  double seconds = 0.3;
  // End to end.
  std::string preset, config;
  int64_t steps = 10, saves = 5;
  GenerateShape shape;
};

Device device_of(const std::string& name) {
  if (name == "cpu") return kCpu;
  if (name == "auto") return cuda_device_count() > 0 ? Device{DeviceType::cuda, 0} : kCpu;
  require<ConfigError>(name == "cuda", "bench: --device: got ", name,
                       ", expected cpu, cuda or auto");
  require<DeviceError>(cuda_device_count() > 0,
                       "bench: --device cuda: no CUDA device was found (is the driver loaded, is "
                       "this a CUDA build?)");
  return {DeviceType::cuda, 0};
}

DType dtype_of(const std::string& name, Device device) {
  const bool on_cpu = device == kCpu;
  if (name.empty()) return on_cpu ? DType::f32 : DType::bf16;
  if (name == "float32") return DType::f32;
  if (on_cpu && name == "float64") return DType::f64;
  if (!on_cpu && name == "bfloat16") return DType::bf16;
  if (!on_cpu && name == "float16") return DType::f16;
  throw_error<ConfigError>(
      "bench: --dtype: got ", name, ", expected ",
      on_cpu ? "float32 or float64 on the CPU" : "float32, bfloat16 or float16 on CUDA");
}

Sizes sizes_of(const std::string& name, Device device) {
  if (name.empty()) return device == kCpu ? Sizes::small : Sizes::all;
  if (name == "small") return Sizes::small;
  if (name == "large") return Sizes::large;
  require<ConfigError>(name == "all", "bench: --sizes: got ", name,
                       ", expected small, large or all");
  return Sizes::all;
}

void check(const Arguments& a) {
  require<ConfigError>(a.seconds > 0 && a.seconds <= 60, "bench: --seconds: got ", a.seconds,
                       ", expected more than 0 and at most 60");
  require<ConfigError>(a.steps >= 1, "bench: --steps: got ", a.steps, ", expected at least 1");
  require<ConfigError>(a.saves >= 1, "bench: --saves: got ", a.saves, ", expected at least 1");
  const GenerateShape& s = a.shape;
  require<ConfigError>(s.batch >= 1 && s.prompt_tokens >= 1 && s.new_tokens >= 4,
                       "bench: got batch ", s.batch, ", prompt_tokens ", s.prompt_tokens,
                       ", new_tokens ", s.new_tokens, ", expected at least 1, 1 and 4");
}

Report open_report(const Ceilings& ceilings, Device device) {
  return {describe_machine(device), XLSTM_VERSION, ceilings, {}};
}

Report read_report(const std::string& path) {
  return report_from_json(parse_json(real_file_system().read_file(path), path), path);
}

void print_head(const Report& report) {
  char text[200];
  std::snprintf(text, sizeof text, "copy %.1f GB/s, matrix product %.1f GFLOP/s, measured now\n",
                report.ceilings.copy_bytes_per_second / 1e9,
                report.ceilings.product_flops_per_second / 1e9);
  std::cout << report.machine << "\n" << text << heading() << std::flush;
}

// Files and the comparison; the exit code.
int finish(const Arguments& a, const Report& report, const std::optional<Report>& base) {
  FileSystem& files = real_file_system();
  if (!a.json.empty()) files.write_file(a.json, to_text(to_json(report), 1) + "\n");
  if (!a.svg.empty()) files.write_file(a.svg, roofline_svg(report));
  if (a.markdown) std::cout << "\n" << markdown(report);
  int64_t n_failed = 0;
  for (const Row& row : report.rows) n_failed += row.failure.empty() ? 0 : 1;
  int64_t n_slower = 0;
  if (base) {
    const Comparison comparison = compare(report, *base);
    n_slower = comparison.n_slower;
    std::cout << "\n"
              << comparison.text << comparison.n_compared << " rows compared, " << n_slower
              << " slower\n";
    require<ConfigError>(comparison.n_compared > 0, "bench: --compare: ", a.compare,
                         " has none of these rows (another device, type or filter?)");
  }
  if (n_failed > 0) std::cerr << "xlstm: error: bench: " << n_failed << " rows failed\n";
  return n_failed > 0 ? 9 : n_slower > 0 ? 8 : 0;
}

// "slstm: small (16 bits, D at most 128), spread, step, reference"
std::string variants_line(const OpInfo& op, Device device) {
  std::string line;
  for (const KernelVariant& variant : variants_of(op, device.type)) {
    line += (line.empty() ? "" : ", ") + std::string(variant.name);
    if (*variant.computes != '\0') line += std::string(" (") + variant.computes + ")";
  }
  return std::string(op.name) + ": " + line + (op.composed != nullptr ? ", reference\n" : "\n");
}

std::optional<Report> base_of(const Arguments& a) {
  return a.compare.empty() ? std::nullopt : std::optional(read_report(a.compare));
}

int run_ops(const Arguments& a) {
  check(a);
  const Device device = device_of(a.device);
  OpBenchOptions options{.filter = a.filter,
                         .variant = a.variant,
                         .dtype = dtype_of(a.dtype, device),
                         .sizes = sizes_of(a.sizes, device),
                         .verify = !a.skip_check,
                         .seconds = a.seconds};
  if (a.list) {
    const OpInfo* last = nullptr;
    for (const Listed& listed : list_ops(options)) {
      if (listed.op != last) std::cout << variants_line(*listed.op, device);
      last = listed.op;
      std::cout << listed.op->name << " | " << listed.sample
                << (listed.is_large ? " | large\n" : "\n");
    }
    return 0;
  }
  const std::optional<Report> base = base_of(a);
  Meter meter(device);
  Report report = open_report(measure_ceilings(meter, options.dtype), device);
  print_head(report);
  bench_ops(options, meter, [&](const Row& row) {
    report.rows.push_back(row);
    std::cout << line_of(row, report.ceilings) << std::flush;
  });
  require<ConfigError>(!report.rows.empty(), "bench: no sample matches, got --filter \"", a.filter,
                       "\", expected OP or OP | SAMPLE as in bench --list");
  return finish(a, report, base);
}

enum class EndToEnd { train, generate, checkpoint };

// The rows of one of the end-to-end benchmarks.
int run_end_to_end(const Arguments& a, const CLI::App& command, EndToEnd which) {
  check(a);
  const bool training = which != EndToEnd::generate;
  require<ConfigError>(a.variant.empty() && a.filter.empty() && a.dtype.empty(),
                       "bench: --variant, --filter and --dtype choose ops, got one beside ",
                       command.get_name(), " (--trainer.precision is its type)");
  const Device device = device_of(a.device);
  Overrides overrides = parse_overrides(command.remaining());
  const auto is_given = [&](const std::string& key) {
    for (const auto& [name, value] : overrides)
      if (name == key) return true;
    return false;
  };
  if (!is_given("trainer.accelerator"))
    overrides.emplace_back("trainer.accelerator", device == kCpu ? "cpu" : "cuda");
  if (device == kCpu && !training && !is_given("trainer.precision") && a.config.empty())
    overrides.emplace_back("trainer.precision", "32-true");
  if (device != kCpu && training && !is_given("trainer.precision") && a.config.empty())
    overrides.emplace_back("trainer.precision", "bf16-mixed");
  const train::RunConfig config = config_of(a.preset, a.config, overrides);
  const std::string name = a.config.empty() ? a.preset : a.config;
  if (training && !one_process_a_device(config.trainer).is_first()) {
    if (which == EndToEnd::train) bench_train(name, config, a.steps);
    if (which == EndToEnd::checkpoint) bench_checkpoint(name, config, a.saves);
    return 0;
  }
  const std::optional<Report> base = base_of(a);
  Report report = [&] {
    Meter meter(device);
    return open_report(measure_ceilings(meter, device == kCpu ? DType::f32 : DType::bf16), device);
  }();
  print_head(report);
  report.rows = which == EndToEnd::train      ? std::vector<Row>{bench_train(name, config, a.steps)}
                : which == EndToEnd::generate ? bench_generate(name, config, a.shape)
                                              : bench_checkpoint(name, config, a.saves);
  for (const Row& row : report.rows) std::cout << line_of(row, report.ceilings);
  if (which == EndToEnd::checkpoint) std::cout << stall_text(report.rows);
  return finish(a, report, base);
}

void add_common(CLI::App* command, Arguments& a) {
  command->add_option("--device", a.device, "cpu, cuda or auto");
  command->add_option("--json", a.json, "write the report to this file");
  command->add_option("--compare", a.compare, "an earlier report; exit code 8 if a row is slower");
  command->add_flag("--markdown", a.markdown, "print a table in Markdown at the end");
  command->add_option("--svg", a.svg, "draw a roofline into this file");
}

CLI::App* add_end_to_end(CLI::App* parent, const char* name, const char* summary, Arguments& a,
                         const char* preset) {
  CLI::App* command = parent->add_subcommand(name, summary);
  command->allow_extras();
  add_common(command, a);
  std::string footer = "Presets:\n";
  for (const Preset& p : presets()) footer += std::string("  ") + p.name + ": " + p.summary + "\n";
  command->footer(footer + "Any configuration key is an option, as for fit.");
  command->add_option("--preset", a.preset, "a model by name")->default_str(preset);
  command->add_option("--config,-c", a.config, "a configuration instead of a preset");
  return command;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto ops = std::make_shared<Arguments>(), train = std::make_shared<Arguments>(),
       generate = std::make_shared<Arguments>(), checkpoint = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("bench", "time every op, training steps, generation, checkpoints");
  command->footer(
      "Exit codes: 8 if --compare finds a slower row, 9 if a row fails.\n"
      "docs/benchmarking.md says what is measured and how.");
  add_common(command, *ops);
  command->add_flag("--list", ops->list,
                    "list the kernel variants of every op and what would be timed, and stop");
  command->add_option("--filter", ops->filter,
                      "OP or \"OP | SAMPLE\": parts of the names in --list");
  command->add_option("--variant", ops->variant,
                      "the kernel variant to run, of those in --list; a row fails if another ran");
  command->add_option("--dtype", ops->dtype, "float32, float64 (CPU), bfloat16, float16 (CUDA)");
  command->add_option("--sizes", ops->sizes, "small, large or all; default: small on the CPU");
  command->add_option("--seconds", ops->seconds, "of repeated calls, per row");
  command->add_flag("--skip_check", ops->skip_check, "do not verify results; rows say so");

  train->preset = "didactic";
  CLI::App* train_command =
      add_end_to_end(command, "train", "whole training steps", *train, "didactic");
  train_command->add_option("--steps", train->steps, "timed steps");
  generate->preset = "large-7b";
  CLI::App* generate_command =
      add_end_to_end(command, "generate", "reading prompts and decoding", *generate, "large-7b");
  generate_command->add_option("--batch", generate->shape.batch, "texts at once");
  generate_command->add_option("--prompt_tokens", generate->shape.prompt_tokens, "of each text");
  generate_command->add_option("--new_tokens", generate->shape.new_tokens, "of each text");

  checkpoint->preset = "paper-120m";
  CLI::App* checkpoint_command =
      add_end_to_end(command, "checkpoint", "how long training stands still for a checkpoint",
                     *checkpoint, "paper-120m");
  checkpoint_command->add_option("--saves", checkpoint->saves, "timed saves of each kind");
  add_bench_scaling(*command, action);

  command->require_subcommand(0, 1);
  command->callback([&action, command, ops] {
    if (command->get_subcommands().empty()) action = [ops] { return run_ops(*ops); };
  });
  train_command->callback([&action, train, train_command] {
    action = [train, train_command] {
      return run_end_to_end(*train, *train_command, EndToEnd::train);
    };
  });
  generate_command->callback([&action, generate, generate_command] {
    action = [generate, generate_command] {
      return run_end_to_end(*generate, *generate_command, EndToEnd::generate);
    };
  });
  checkpoint_command->callback([&action, checkpoint, checkpoint_command] {
    action = [checkpoint, checkpoint_command] {
      return run_end_to_end(*checkpoint, *checkpoint_command, EndToEnd::checkpoint);
    };
  });
}

}  // namespace xlstm::cli
