#include "tools/train/trainer.h"

#include <omp.h>

#include <iostream>

#include "core/fault_plan.h"
#include "core/hash.h"
#include "tools/train/build_info.h"
#include "tools/train/config_io.h"
#include "tools/train/trainer_state.h"

namespace xlstm::train {
namespace {

const SteadyClock kSteadyClock;

bool decays_embedding(const RunConfig& config) {
  const auto* paper = std::get_if<layers::XlstmModelConfig>(&config.model);
  return paper != nullptr && paper->weight_decay_on_embedding;
}

}  // namespace

std::unique_ptr<layers::ParameterArena> make_arena(const RunConfig& config,
                                                   const layers::LanguageModel& model,
                                                   const Placement& placement,
                                                   comm::Communicator* communicator) {
  const auto is_copied = [placement](const std::string&, const Tensor& parameter) {
    return has_copy(placement, parameter);
  };
  const auto group = [decay_embedding = decays_embedding(config)](const std::string& name,
                                                                  const Tensor&) {
    return optim::decays(name, decay_embedding) ? 0 : 1;
  };
  layers::ArenaOptions options;
  options.group = group;
  options.copy_dtype = placement.compute;
  options.copied = is_copied;
  if (communicator != nullptr) {
    options.zeros = [communicator](int64_t n, DType dtype) {
      return communicator->zeros(n, dtype);
    };
    options.multiple_of = communicator->size() * kFlatAlignment;
  }
  return std::make_unique<layers::ParameterArena>(model, options);
}

// In the order of the arena, so that neighbours are updated together.
std::unique_ptr<optim::Optimizer> make_optimizer(const RunConfig& config,
                                                 const layers::ParameterArena& arena,
                                                 std::optional<std::vector<optim::Range>> shard) {
  const OptimizerConfig& o = config.optimizer;
  NamedTensors named;
  for (const layers::ParameterArena::Entry& entry : arena.entries())
    named.emplace_back(entry.name, entry.parameter);
  optim::Parameters parameters = optim::make_parameters(named, decays_embedding(config));
  if (o.name == "sgd")
    return std::make_unique<optim::Sgd>(
        std::move(parameters),
        optim::SgdConfig{.momentum = o.momentum, .weight_decay = o.weight_decay}, std::move(shard));
  require<ConfigError>(o.name == "adamw", "optimizer.name: got ", o.name,
                       ", expected adamw or sgd");
  return std::make_unique<optim::AdamW>(
      std::move(parameters),
      optim::AdamWConfig{
          .beta1 = o.betas[0], .beta2 = o.betas[1], .eps = o.eps, .weight_decay = o.weight_decay},
      std::move(shard));
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

std::unique_ptr<comm::Communicator> make_communicator(const TrainerConfig& config,
                                                      const comm::World& world, Device device) {
  const comm::WatchLimits limits{.start = config.start_timeout, .call = config.collective_timeout};
  // A strategy that is named takes its whole way with one process too.
  if (world.size == 1 && device != kCpu && config.strategy != "auto" && comm::has_nccl())
    return comm::make_nccl_communicator(world, device, limits, config.copy_engines);
  return comm::make_communicator(world, device, limits, config.copy_engines);
}

std::unique_ptr<optim::DataParallel> make_data_parallel(const TrainerConfig& config,
                                                        comm::Communicator& communicator,
                                                        const layers::ParameterArena& arena) {
  if (communicator.size() == 1 && config.strategy == "auto") return nullptr;
  require<ConfigError>(config.reduce_dtype == "float32" || communicator.device() != kCpu,
                       "trainer.reduce_dtype: got ", config.reduce_dtype,
                       ", expected float32 on the CPU");
  optim::FlatParameters flat{.gradients = arena.gradients(),
                             .n_early = arena.end_of_group(0),
                             .n_copied = arena.n_copied(),
                             .copies = arena.copies(),
                             .weights = arena.weights()};
  // The decaying ones of the first kind lie in the order of the model.
  if (flat.n_copied > 0) flat.n_early = std::min(flat.n_early, flat.n_copied);
  return std::make_unique<optim::DataParallel>(
      communicator, flat,
      optim::DataParallelConfig{
          .shards_optimizer = config.strategy == "zero1",
          .bucket_bytes = config.bucket_mb << 20,
          .reduce_dtype = config.reduce_dtype == "bfloat16" ? DType::bf16 : DType::f32,
          .adds_parts = communicator.has_copy_engines()});
}

TrainingData prepare_data(const RunConfig& config, FileSystem& files,
                          comm::Communicator& communicator) {
  const comm::World& world = communicator.world();
  const auto make = [&] {
    return TrainingData(config.data, config.trainer.accumulate_grad_batches,
                        static_cast<uint64_t>(config.seed_everything), cache_dir_of(config), files,
                        {config.trainer.limit_train_batches, config.trainer.overfit_batches,
                         world.rank, world.size});
  };
  const comm::CollectiveWatch::LongCall takes_long(communicator.watch());
  if (world.local_rank != 0) comm::barrier(communicator, "data of the first process of each host");
  TrainingData data = make();
  if (world.local_rank == 0) comm::barrier(communicator, "data of the first process of each host");
  return data;
}

void Trainer::State::require_same_job() {
  if (communicator->size() == 1) return;
  RunConfig shared = config;
  shared.trainer.default_root_dir = shared.trainer.name = "";
  comm::require_same(*communicator, hash_number(build_version()), "the version of the program");
  comm::require_same(*communicator, hash_number(to_text(run_config_to_json(shared))),
                     "the configuration");
  comm::require_same(*communicator, data.fingerprint(), "the training data");
}

TrainerServices with_defaults(TrainerServices services, bool is_first) {
  if (services.clock == nullptr) services.clock = &kSteadyClock;
  if (services.files == nullptr) services.files = &real_file_system();
  if (FaultPlan* plan = FaultPlan::of_environment()) services.files = &plan->files(*services.files);
  static std::ostream nowhere(nullptr);
  if (services.out == nullptr) services.out = is_first ? &std::cout : &nowhere;
  services.is_terminal = services.is_terminal && is_first;
  return services;
}

void use_threads(int64_t n_threads, int n_processes) {
  const int share = std::max(1, omp_get_num_procs() / std::max(1, n_processes));
  omp_set_num_threads(n_threads > 0 ? static_cast<int>(n_threads) : share);
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
const comm::World& Trainer::world() const {
  return state_->world;
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
  return steps(1).back();
}

std::vector<StepReport> Trainer::steps(int64_t n) {
  std::vector<StepReport> reports;
  for (int64_t i = 0; i < n; ++i) {
    state_->enqueue();
    for (const StepReport& report : state_->engine->finished(i == n - 1)) reports.push_back(report);
  }
  state_->complete_weights();
  return reports;
}

Evaluation Trainer::validate() {
  return validate(state_->config.trainer.limit_val_batches);
}
Evaluation Trainer::validate(int64_t n_batches) {
  state_->complete_weights();
  return with_memory_advice(state_->config, ModelUse::inference, state_->placement.device, [&] {
    return evaluate(*state_->model, state_->data.validation(n_batches), state_->communicator.get());
  });
}

void Trainer::close() {
  state_->engine->finished(true);
  // A recorded graph keeps hold of the communicator, which would wait for its end.
  state_->engine.reset();
  state_->communicator->close();
}

}  // namespace xlstm::train
