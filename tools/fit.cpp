// xlstm fit
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <memory>

#include "tools/commands.h"
#include "tools/launch.h"
#include "tools/train/config_io.h"
#include "tools/train/dry_run.h"
#include "tools/train/memory_limit.h"
#include "tools/train/run_folder.h"
#include "tools/train/saved_model.h"
#include "tools/train/trainer.h"

namespace xlstm::cli {
namespace {

struct Arguments {
  std::vector<std::string> configs;
  std::string ckpt_path;
  bool print_config = false, check = false, dry_run = false;
};

// --dry_run
int predict(const train::RunConfig& config) {
  const int64_t n =
      std::max<int64_t>(comm::world_from_environment().size, n_devices(config.trainer));
  require<ConfigError>(n == 1, "fit: --dry_run predicts the memory of one device, got ", n,
                       " (add --trainer.devices 1; with zero1 each takes less)");
  const train::MemoryPrediction prediction = train::predict_memory(config);
  train::print_prediction(std::cout, prediction);
  return prediction.fits() ? 0 : 5;
}

int run(const Arguments& arguments, const CLI::App& command) {
  const auto overrides = parse_overrides(command.remaining());
  train::RunConfig config = train::load_run_config(arguments.configs, overrides);
  std::string checkpoint;
  if (!arguments.ckpt_path.empty()) {
    // What the command line leaves open is as it was when the run was started.
    checkpoint = train::resolve_checkpoint(arguments.ckpt_path, config.trainer.default_root_dir,
                                           config.trainer.name, real_file_system());
    config =
        train::load_checkpoint_config(checkpoint, arguments.configs, overrides, real_file_system());
  }
  if (arguments.print_config) {
    std::cout << train::run_config_to_yaml(config);
    return 0;
  }
  if (arguments.check) {
    train::require_model_fits(config, train::ModelUse::training);
    std::cout << "the configuration is valid\n";
    return 0;
  }
  if (arguments.dry_run) return predict(config);
  one_process_a_device(config.trainer);
  // "Save and go on": until training begins there is nothing to save.
  std::signal(SIGUSR2, SIG_IGN);
  train::Trainer trainer(config, {.is_terminal = isatty(STDOUT_FILENO) != 0});
  if (!checkpoint.empty()) trainer.resume(checkpoint);
  const train::FitReport report = trainer.fit();
  trainer.close();
  switch (report.reason) {
    case train::StopReason::terminated:
      return 3;
    case train::StopReason::interrupted:
      return 130;
    case train::StopReason::finished:
    case train::StopReason::early_stopping:
    case train::StopReason::time_limit:
      break;
  }
  return 0;
}

}  // namespace

void add_fit(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("fit", "train a language model");
  command->allow_extras();
  command->footer(
      "Any configuration key is an option: --trainer.max_steps 100 --optimizer.lr=3e-4.\n"
      "All keys with their defaults: --print_config; what they mean: docs/configuration.md");
  command->add_option("--config,-c", arguments->configs, "YAML or JSON; several: the later wins");
  command->add_option("--ckpt_path", arguments->ckpt_path,
                      "continue from this checkpoint: a folder, last or best");
  command->add_flag("--print_config", arguments->print_config,
                    "print the effective config and exit");
  command->add_flag("--check", arguments->check, "check the config and exit");
  command->add_flag("--dry_run", arguments->dry_run,
                    "predict the peak memory and the largest batch, and exit: code 5 if this one "
                    "does not fit");
  command->callback([&action, arguments, command] {
    action = [arguments, command] { return run(*arguments, *command); };
  });
}

}  // namespace xlstm::cli
