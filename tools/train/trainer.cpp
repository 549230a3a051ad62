#include "tools/train/trainer.h"

#include <omp.h>

#include <iostream>

#include "tools/train/trainer_state.h"

namespace xlstm::train {
namespace {

const SteadyClock kSteadyClock;

}  // namespace

namespace {

bool decays_embedding(const RunConfig& config) {
  const auto* paper = std::get_if<layers::XlstmModelConfig>(&config.model);
  return paper != nullptr && paper->weight_decay_on_embedding;
}

}  // namespace

std::unique_ptr<layers::ParameterArena> make_arena(const RunConfig& config,
                                                   const layers::LanguageModel& model,
                                                   const Placement& placement, int n_ranks) {
  const auto is_copied = [placement](const std::string&, const Tensor& parameter) {
    return has_copy(placement, parameter);
  };
  const auto group = [is_copied, decay_embedding = decays_embedding(config)](
                         const std::string& name, const Tensor& parameter) {
    return (is_copied(name, parameter) ? 0 : 2) + (optim::decays(name, decay_embedding) ? 0 : 1);
  };
  return std::make_unique<layers::ParameterArena>(
      model, layers::ArenaOptions{.group = group,
                                  .multiple_of = n_ranks * kFlatAlignment,
                                  .copy_dtype = placement.compute,
                                  .copied = is_copied});
}

// In the order of the arena, so that neighbours are updated together.
std::unique_ptr<optim::Optimizer> make_optimizer(const RunConfig& config,
                                                 const layers::ParameterArena& arena) {
  const OptimizerConfig& o = config.optimizer;
  NamedTensors named;
  for (const layers::ParameterArena::Entry& entry : arena.entries())
    named.emplace_back(entry.name, entry.parameter);
  optim::Parameters parameters = optim::make_parameters(named, decays_embedding(config));
  if (o.name == "sgd")
    return std::make_unique<optim::Sgd>(
        std::move(parameters),
        optim::SgdConfig{.momentum = o.momentum, .weight_decay = o.weight_decay});
  require<ConfigError>(o.name == "adamw", "optimizer.name: got ", o.name,
                       ", expected adamw or sgd");
  return std::make_unique<optim::AdamW>(
      std::move(parameters),
      optim::AdamWConfig{
          .beta1 = o.betas[0], .beta2 = o.betas[1], .eps = o.eps, .weight_decay = o.weight_decay});
}

optim::ScheduleConfig make_schedule(const RunConfig& config, int64_t max_steps) {
  const SchedulerConfig& c = config.lr_scheduler;
  optim::ScheduleConfig schedule{.decay = optim::parse_decay(c.name),
                                 .lr = config.optimizer.lr,
                                 .min_lr = c.min_lr,
                                 .warmup_steps = c.warmup_steps,
                                 .total_steps = c.total_steps > 0 ? c.total_steps : max_steps,
                                 .cooldown_steps = c.cooldown_steps};
  schedule.validate();
  return schedule;
}

TrainerServices with_defaults(TrainerServices services) {
  if (services.clock == nullptr) services.clock = &kSteadyClock;
  if (services.files == nullptr) services.files = &real_file_system();
  if (services.out == nullptr) services.out = &std::cout;
  return services;
}

void use_threads(int64_t n_threads) {
  omp_set_num_threads(n_threads > 0 ? static_cast<int>(n_threads) : omp_get_num_procs());
}

Trainer::Trainer(const RunConfig& config, const TrainerServices& services)
    : state_(with_memory_advice(config, ModelUse::training, kCpu,
                                [&] { return std::make_unique<State>(config, services); })) {}
Trainer::~Trainer() = default;

const RunConfig& Trainer::config() const {
  return state_->config;
}
layers::LanguageModel& Trainer::model() {
  return *state_->model;
}
const data::Tokenizer& Trainer::tokenizer() const {
  return state_->data.tokenizer();
}
int64_t Trainer::steps_done() const {
  return state_->progress.step;
}
int64_t Trainer::steps_per_epoch() const {
  return state_->steps_per_epoch();
}
int64_t Trainer::max_steps() const {
  return state_->max_steps();
}
const std::string& Trainer::run_folder() const {
  return state_->run_folder;
}

StepReport Trainer::step() {
  state_->enqueue();
  return state_->engine->finished(true).back();
}

Evaluation Trainer::validate() {
  return validate(state_->config.trainer.limit_val_batches);
}
Evaluation Trainer::validate(int64_t n_batches) {
  return with_memory_advice(state_->config, ModelUse::inference, state_->placement.device, [&] {
    return evaluate(*state_->model, state_->data.validation(n_batches));
  });
}

}  // namespace xlstm::train
