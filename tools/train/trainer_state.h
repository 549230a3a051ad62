// The inside of Trainer, shared by trainer.cpp, trainer_fit.cpp and trainer_checkpoint.cpp.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "optim/schedule.h"
#include "optim/update.h"
#include "tools/train/memory_limit.h"
#include "tools/train/placement.h"
#include "tools/train/saved_model.h"
#include "tools/train/step_engine.h"
#include "tools/train/trainer.h"
#include "tools/train/training_data.h"
#include "tools/train/training_state.h"

namespace xlstm::train {

// Fills what the caller left open.
TrainerServices with_defaults(TrainerServices services);
void use_threads(int64_t n_threads);  // 0: all processors
// All parameters, those that an optimizer treats alike together: with a low-precision copy first,
// and of these the decaying ones first. Filled up for equal parts on n_ranks.
std::unique_ptr<layers::ParameterArena> make_arena(const RunConfig& config,
                                                   const layers::LanguageModel& model,
                                                   const Placement& placement, int n_ranks = 1);
std::unique_ptr<optim::Optimizer> make_optimizer(const RunConfig& config,
                                                 const layers::ParameterArena& arena);
optim::ScheduleConfig make_schedule(const RunConfig& config, int64_t max_steps);

// The order of members matters: the vocabulary must be known before the model is built.
struct Trainer::State {
  RunConfig config;
  TrainerServices services;
  Placement placement;
  TrainingData data;
  std::unique_ptr<layers::LanguageModel> model;
  std::unique_ptr<layers::ParameterArena> arena;
  std::unique_ptr<optim::Optimizer> optimizer;
  optim::StepGuard guard;
  optim::ScheduleConfig schedule;
  TrainingState progress;
  Monitored monitored;  // at the step of `progress`
  std::string run_folder;
  std::unique_ptr<StepEngine> engine;

  State(const RunConfig& c, const TrainerServices& s)
      : config(fitting(for_trial(c))),
        services(with_defaults(s)),
        placement(training_placement(config.trainer)),
        data(config.data, config.trainer.accumulate_grad_batches,
             static_cast<uint64_t>(config.seed_everything), cache_dir_of(config), *services.files,
             {config.trainer.limit_train_batches, config.trainer.overfit_batches}),
        guard(config.trainer.max_non_finite) {
    use_threads(config.trainer.num_threads);
    fit_vocabulary();
    require_model_fits(config, ModelUse::training);
    const uint64_t seed = static_cast<uint64_t>(config.seed_everything);
    model = layers::make_language_model(config.model, seed, placement.parameters);
    place(*model, placement);
    arena = make_arena(config, *model, placement);
    optimizer = make_optimizer(config, *arena);
    schedule = make_schedule(config, max_steps());
    progress.generator = {seed + 1, 0};  // dropout must not replay the initialiser's numbers
    progress.data_fingerprint = data.fingerprint();
    engine = placement.device == kCpu ? make_host_engine(*this) : make_device_engine(*this);
  }

  // trainer.fast_dev_run as the keys that it stands for.
  static RunConfig for_trial(RunConfig config) {
    TrainerConfig& t = config.trainer;
    if (t.fast_dev_run == 0) return config;
    t.max_steps = t.fast_dev_run;
    t.limit_val_batches = t.fast_dev_run;
    t.num_sanity_val_steps = 0;
    t.enable_checkpointing = false;
    return config;
  }

  // Too large is too large with any vocabulary: that is found before text is read.
  static const RunConfig& fitting(const RunConfig& config) {
    require_model_fits(config, ModelUse::training);
    return config;
  }

  // vocab_size 0 means the tokenizer's; a larger one is padding; a smaller one cannot work.
  void fit_vocabulary() {
    const int64_t tokens = data.tokenizer().n_vocab();
    std::visit(
        [tokens](auto& model_config) {
          if (model_config.vocab_size == 0) model_config.vocab_size = tokens;
          require<ConfigError>(model_config.vocab_size >= tokens,
                               "model.vocab_size: smaller than the tokenizer's vocabulary, got ",
                               model_config.vocab_size, ", expected at least ", tokens,
                               " (0 takes the tokenizer's)");
        },
        config.model);
  }

  int64_t steps_per_epoch() const {
    return std::max<int64_t>(1, data.n_batches() / config.trainer.accumulate_grad_batches);
  }

  // The first limit that is reached. Without any, 1000 epochs.
  int64_t max_steps() const {
    const TrainerConfig& t = config.trainer;
    const int64_t epochs = t.max_epochs >= 0 ? t.max_epochs : 1000;
    const int64_t by_epochs = epochs * steps_per_epoch();
    if (t.max_steps < 0) return by_epochs;
    return t.max_epochs >= 0 ? std::min(t.max_steps, by_epochs) : t.max_steps;
  }

  // Begins the next step of the engine.
  void enqueue() {
    with_memory_advice(config, ModelUse::training, placement.device, [&] { engine->enqueue(); });
  }

  // Makes the folder of a new run unless there is one already.
  void open_run_folder();

  int64_t epoch() const { return progress.step / steps_per_epoch(); }
};

}  // namespace xlstm::train
