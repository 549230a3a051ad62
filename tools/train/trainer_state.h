// The inside of Trainer, shared by trainer.cpp, trainer_fit.cpp and trainer_checkpoint.cpp.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "core/checkpoint.h"
#include "core/comm/communicator.h"
#include "optim/data_parallel.h"
#include "optim/schedule.h"
#include "optim/update.h"
#include "tools/train/carried_state.h"
#include "tools/train/checkpoint_staging.h"
#include "tools/train/checkpoint_writer.h"
#include "tools/train/memory_limit.h"
#include "tools/train/placement.h"
#include "tools/train/saved_model.h"
#include "tools/train/step_engine.h"
#include "tools/train/trainer.h"
#include "tools/train/training_data.h"
#include "tools/train/training_state.h"

namespace xlstm::train {

// Fills what the caller left open.
TrainerServices with_defaults(TrainerServices services, bool is_first);
void use_threads(int64_t n_threads, int n_processes);  // 0: all processors, a share of them each
// All parameters, those that an optimizer treats alike together: with a low-precision copy first,
// and of these the decaying ones first. With a communicator, filled up for equal parts on its
// ranks, in memory that it moves fastest.
std::unique_ptr<layers::ParameterArena> make_arena(const RunConfig& config,
                                                   const layers::LanguageModel& model,
                                                   const Placement& placement,
                                                   comm::Communicator* communicator = nullptr);
std::unique_ptr<optim::Optimizer> make_optimizer(
    const RunConfig& config, const layers::ParameterArena& arena,
    std::optional<std::vector<optim::Range>> shard = std::nullopt);
std::unique_ptr<comm::Communicator> make_communicator(const TrainerConfig& config,
                                                      const comm::World& world, Device device);
// Sums of gradients where the strategy asks for them; null: one process without a strategy.
std::unique_ptr<optim::DataParallel> make_data_parallel(const TrainerConfig& config,
                                                        comm::Communicator& communicator,
                                                        const layers::ParameterArena& arena);
// The first process of each host finds or makes what the others then find.
TrainingData prepare_data(const RunConfig& config, FileSystem& files,
                          comm::Communicator& communicator);
// Of each block: the first element of the arena from which on the early gradients (n_early,
// optim/data_parallel.h) are final when the backward pass has left the block.
std::vector<int64_t> final_elements(const layers::LanguageModel& model,
                                    const layers::ParameterArena& arena, int64_t n_early);

// What ranks tell each other with every step, added up: so many of them want ...
struct Votes {
  static constexpr double kTerminate = 1, kInterrupt = 1 << 12, kSave = 1 << 24;
  static constexpr double kTimeIsUp = 68719476736.0;  // 2^36
  int64_t terminate = 0, interrupt = 0, save = 0, time_is_up = 0;
  explicit Votes(double sum = 0) {
    const auto bits = static_cast<int64_t>(sum);
    terminate = bits & 4095, interrupt = bits >> 12 & 4095, save = bits >> 24 & 4095;
    time_is_up = bits >> 36;
  }
};
optim::ScheduleConfig make_schedule(const RunConfig& config, int64_t max_steps);

// The order of members matters: the vocabulary must be known before the model is built.
struct Trainer::State {
  RunConfig config;
  comm::World world;
  TrainerServices services;
  Placement placement;
  std::unique_ptr<comm::Communicator> communicator;
  TrainingData data;
  std::unique_ptr<layers::LanguageModel> model;
  std::unique_ptr<layers::ParameterArena> arena;
  std::unique_ptr<optim::DataParallel> parallel;  // or null
  std::vector<int64_t> final_from;                // final_elements, with `parallel`
  std::unique_ptr<optim::Optimizer> optimizer;
  optim::StepGuard guard;
  optim::ScheduleConfig schedule;
  TrainingState progress;
  std::optional<CarriedState> carried;  // with data.stateful
  Monitored monitored;                  // at the step of `progress`
  std::string run_folder;
  double vote = 0;  // of this rank, with the next step
  CheckpointStaging staging{placement.device};
  std::optional<bool> stages;  // whether there is memory for it; once reserve_staging() was called
  std::unique_ptr<StepEngine> engine;
  CheckpointWriter writer;  // last: its thread reads what stands above

  State(const RunConfig& c, const TrainerServices& s)
      : config(fitting(for_trial(c))),
        world(s.world != nullptr ? *s.world : comm::world_from_environment()),
        services(with_defaults(s, world.is_first())),
        placement(training_placement(config.trainer, world.local_rank)),
        communicator(make_communicator(config.trainer, world, placement.device)),
        data(prepare_data(config, *services.files, *communicator)),
        guard(config.trainer.max_non_finite) {
    use_threads(config.trainer.num_threads, world.local_size);
    fit_vocabulary();
    require_model_fits(config, ModelUse::training);
    const uint64_t seed = static_cast<uint64_t>(config.seed_everything);
    model = layers::make_language_model(config.model, seed, placement.parameters);
    place(*model, placement);
    arena = make_arena(config, *model, placement, communicator.get());
    parallel = make_data_parallel(config.trainer, *communicator, *arena);
    if (parallel != nullptr) final_from = final_elements(*model, *arena, parallel->n_early());
    optimizer = make_optimizer(config, *arena,
                               shards() ? std::optional(parallel->own_parts()) : std::nullopt);
    share_out_masters();
    schedule = make_schedule(config, max_steps());
    progress.generator = {seed + 1, 0};  // dropout must not replay the initialiser's numbers
    require_same_job();
    progress.data_fingerprint = data.fingerprint();
    if (config.data.stateful)
      carried.emplace(*model, config.trainer.accumulate_grad_batches, config.data.batch_size);
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

  // With zero1 each rank has updated its part of the weights alone: for all that reads them between
  // steps. Every rank calls it.
  void complete_weights() {
    if (parallel != nullptr) parallel->gather_weights();
  }
  bool is_first() const { return world.is_first(); }
  // Ranks that would compute something else are found before the first step.
  void require_same_job();
  // What dropout draws from in this rank: other numbers than the others.
  Generator rank_generator() const {
    return {progress.generator.seed + 0x9e3779b97f4a7c15u * static_cast<uint64_t>(world.rank),
            progress.generator.offset};
  }
  // Batches whose gradients are averaged in a step, by all ranks.
  int64_t n_averaged() const {
    return config.trainer.accumulate_grad_batches * static_cast<int64_t>(world.size);
  }
  int64_t sequences_per_step() const { return n_averaged() * config.data.batch_size; }

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
    try {
      with_memory_advice(config, ModelUse::training, placement.device, [&] { engine->enqueue(); });
      if (carried) carried->end_step();
    } catch (...) {
      if (carried) carried->forget_half_step();
      throw;
    }
  }

  // Makes the folder of a new run unless there is one already.
  void open_run_folder();
  void make_new_run_folder();
  bool shards() const { return parallel != nullptr && parallel->shards_optimizer(); }
  // Masters of weights with copies too: no rank's device holds all of them.
  bool shards_masters() const { return shards() && arena->n_copied() > 0; }
  // Once the arena's weights are those to go on with: each rank keeps its parts of the masters.
  void share_out_masters();
  // Whether rank 0 has this parameter only in parts.
  bool is_shared_out(const Tensor& parameter) const;
  // These parameters of the model in full precision, by all ranks: on rank 0 or `everywhere`;
  // elsewhere, perhaps, none. Those that are shared out are gathered, in `memory` if given
  // (optim/data_parallel.h); the others are live.
  NamedTensors in_full_precision(NamedTensors parameters, bool everywhere,
                                 const optim::HostMemory& memory = {}) const;
  // What a checkpoint of this step holds, by all ranks: weights and moments as in_full_precision(),
  // weights by the names of this program. On other ranks than the first tensors alone, and what is
  // gathered may be missing.
  CheckpointContents gather_contents(const optim::HostMemory& memory = {});
  // Writes, when all tensors are on the CPU, and removes what need not be kept. Reads nothing that
  // training changes.
  std::string write_checkpoint(const std::string& root, CheckpointContents contents) const;
  std::string save_and_wait();   // by all ranks, until it is written; on rank 0 the path
  int64_t staged_bytes() const;  // what copies of weights and moments take
  void reserve_staging();        // by all ranks, or none if there is no memory; once
  // The end of the save in flight, if it has ended or `wait`: whether there was one. A FileError
  // becomes a warning, since training goes on; what else it threw, this throws.
  bool collect_save(bool wait);
  // Before the next save, by all ranks.
  void finish_save_in_flight();
  // Until rank 0 is through with what it alone does.
  void wait_for_first(const char* what);

  int64_t epoch() const { return progress.step / steps_per_epoch(); }
};

}  // namespace xlstm::train
