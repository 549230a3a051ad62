#include "tools/train/config_check.h"

#include "core/device.h"
#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm::train {
namespace {

void check_model(const RunConfig& config, Problems& problems) {
  if (!problems.clean("model")) return;
  std::visit(
      [&](auto model) {
        // Whether it holds the tokenizer's vocabulary is checked against the tokenizer itself.
        if (model.vocab_size == 0) model.vocab_size = 1;  // filled in from the tokenizer later
        try {
          model.validate();
        } catch (const ConfigError& error) {
          problems.add("model", error.what());
        }
      },
      config.model);
}

void check_optimizer(const OptimizerConfig& optimizer, Problems& problems) {
  if (problems.clean("optimizer.betas") && optimizer.betas.size() != 2)
    problems.add("optimizer.betas", detail::concat("got ", optimizer.betas.size(),
                                                   " numbers, expected 2, such as [0.9, 0.95]"));
  if (problems.clean("optimizer") && optimizer.name == "adamw" && optimizer.eps == 0)
    problems.add("optimizer.eps", "got 0, expected a positive number for adamw");
}

void check_scheduler(const RunConfig& config, Problems& problems) {
  const SchedulerConfig& scheduler = config.lr_scheduler;
  if (!problems.clean("lr_scheduler")) return;
  const int64_t total =
      scheduler.total_steps > 0 ? scheduler.total_steps : config.trainer.max_steps;
  const int64_t ends = scheduler.warmup_steps + scheduler.cooldown_steps;
  if (problems.clean("trainer.max_steps") && total > 0 && ends > total)
    problems.add("lr_scheduler.warmup_steps",
                 detail::concat("with cooldown_steps longer than the run, got ", ends,
                                ", expected at most ", total, " steps"));
  if (problems.clean("optimizer.lr") && scheduler.min_lr > config.optimizer.lr)
    problems.add("lr_scheduler.min_lr", detail::concat("above optimizer.lr, got ", scheduler.min_lr,
                                                       ", expected at most ", config.optimizer.lr));
  if (scheduler.name == "exponential" && scheduler.min_lr == 0)
    problems.add("lr_scheduler.min_lr", "got 0, expected a positive end for an exponential decay");
}

void check_names(const RunConfig& config, Problems& problems) {
  const std::string& name = config.trainer.name;
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    problems.add("trainer.name", "got " + excerpt(name) + ", expected a folder name without '/'");
  if (config.trainer.default_root_dir.empty())
    problems.add("trainer.default_root_dir", "is empty, expected a folder");
  if (config.data.root.empty()) problems.add("data.root", "is empty, expected a folder or stories");
  if (config.data.tokenizer.empty())
    problems.add("data.tokenizer", "is empty, expected a file, a folder or train");
}

void check_sources(const DataConfig& data, Problems& problems) {
  for (size_t i = 0; i < data.sources.size(); ++i) {
    const std::string path = detail::concat("data.sources[", i, "]");
    const DataSource& source = data.sources[i];
    if (problems.clean(path) && source.root.empty())
      problems.add(path + ".root", "is missing, expected a folder or stories");
    if (problems.clean(path) && !(source.weight > 0))
      problems.add(path + ".weight",
                   detail::concat("got ", source.weight, ", expected a positive number"));
  }
  if (data.sources.size() > 1024)
    problems.add("data.sources",
                 detail::concat("got ", data.sources.size(), " sources, expected at most 1024"));
}

}  // namespace

void check_run_config(const RunConfig& config, Problems& problems) {
  check_model(config, problems);
  check_optimizer(config.optimizer, problems);
  check_scheduler(config, problems);
  check_names(config, problems);
  check_sources(config.data, problems);
}

std::string reason_for_refusal(const std::string& path, const std::string& value) {
  if (path == "trainer.precision" && value == "16-true")
    return " (weights in float16 lose small updates; take 16-mixed)";
  return "";
}

}  // namespace xlstm::train
