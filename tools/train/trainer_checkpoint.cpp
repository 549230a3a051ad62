// Saving a run, and continuing it.
#include "core/log.h"
#include "layers/official_names.h"
#include "tools/train/config_io.h"
#include "tools/train/run_folder.h"
#include "tools/train/trainer_state.h"

namespace xlstm::train {
namespace {

constexpr const char* kCarriedState = "carried_state.safetensors";

// Keys that may differ when a run is continued: they change neither the model, nor the order of
// samples, nor the arithmetic of a step but for rounding.
bool may_change(const std::string& key) {
  static const char* const kHarmless[] = {"trainer.max_steps",
                                          "trainer.max_epochs",
                                          "trainer.max_time",
                                          "trainer.min_steps",
                                          "trainer.min_epochs",
                                          "trainer.check_val_every_n_epoch",
                                          "trainer.num_sanity_val_steps",
                                          "trainer.fast_dev_run",
                                          "trainer.limit_val_batches",
                                          "trainer.log_every_n_steps",
                                          "trainer.val_check_interval",
                                          "trainer.default_root_dir",
                                          "trainer.name",
                                          "trainer.enable_progress_bar",
                                          "trainer.enable_checkpointing",
                                          "trainer.strategy",
                                          "checkpoint",
                                          "early_stopping",
                                          "trainer.logger",
                                          "trainer.num_threads",
                                          "trainer.activation_checkpointing",
                                          "trainer.slstm_recompute_steps",
                                          "trainer.max_non_finite",
                                          "trainer.devices",
                                          "trainer.num_nodes",
                                          "trainer.bucket_mb",
                                          "trainer.reduce_dtype",
                                          "trainer.copy_engines",
                                          "trainer.start_timeout",
                                          "trainer.collective_timeout",
                                          "trainer.accelerator",
                                          "trainer.cuda_graph",
                                          "trainer.spike_threshold",
                                          "trainer.hash_every_n_steps",
                                          "data.cache_dir",
                                          "data.prefetch",
                                          "data.root",
                                          "data.tokenizer",
                                          "lr_scheduler",
                                          "optimizer",
                                          "sample"};
  for (const std::string_view harmless : kHarmless)
    if (key == harmless ||
        (key.starts_with(harmless) && key.size() > harmless.size() && key[harmless.size()] == '.'))
      return true;
  return false;
}

// "key: now X, checkpoint Y" for every leaf that differs and must not. A key that is younger than
// the checkpoint had its default there.
void list_differences(const Json& now, const Json& then, const Json& defaults,
                      const std::string& key, std::vector<std::string>& out) {
  if (now.is_object() && then.is_object()) {
    const Json none;
    for (const auto& [name, value] : now.as_object()) {
      const Json* fallback = defaults.is_object() ? defaults.find(name) : nullptr;
      if (fallback == nullptr) fallback = &none;
      const Json* other = then.find(name);
      list_differences(value, other != nullptr ? *other : *fallback, *fallback,
                       key.empty() ? name : key + "." + name, out);
    }
    return;
  }
  if (now == then || may_change(key)) return;
  out.push_back(key + ": got " + to_text(now) + ", checkpoint has " + to_text(then));
}

// The defaults of a configuration with the same architecture.
Json defaults_beside(const RunConfig& config) {
  RunConfig defaults;
  std::visit([&](const auto& model) { defaults.model = std::decay_t<decltype(model)>{}; },
             config.model);
  return run_config_to_json(defaults);
}

NamedTensors on_cpu(const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) out.emplace_back(name, tensor.to(kCpu));
  return out;
}

// States of the lanes of all ranks, in the order of lanes, from each rank's own: on rank 0.
NamedTensors all_lanes(Trainer::State& s, const NamedTensors& own) {
  const int64_t W = s.world.size, B = s.config.data.batch_size;
  const int64_t n_micro = s.config.trainer.accumulate_grad_batches;
  if (W == 1) return own;
  NamedTensors all;
  for (const auto& [name, tensor] : own) {
    const int64_t n = tensor.numel(), row = n / (n_micro * B);
    Tensor gathered = Tensor::zeros({W * n}, tensor.dtype(), s.placement.device);
    gathered.strided_view({n}, {1}, s.world.rank * n)
        .copy_from(tensor.strided_view({n}, {1}).to(s.placement.device));
    s.communicator->all_gather(gathered, "carried states");
    s.communicator->join();
    gathered = gathered.to(kCpu);
    Shape shape = tensor.shape();
    shape[0] *= W;
    const Tensor ordered = Tensor::empty(shape, tensor.dtype());
    // From [rank, micro, row] to [micro, rank, row].
    ordered.strided_view({W, n_micro, B * row}, {B * row, W * B * row, 1})
        .copy_from(gathered.strided_view({W, n_micro, B * row}, {n, B * row, 1}));
    all.emplace_back(name, ordered);
  }
  return all;
}

// The other way round.
NamedTensors own_lanes(const Trainer::State& s, const NamedTensors& all) {
  const int64_t W = s.world.size, B = s.config.data.batch_size;
  const int64_t n_micro = s.config.trainer.accumulate_grad_batches;
  NamedTensors own;
  for (const auto& [name, tensor] : all) {
    // What does not fit is CarriedState's to refuse.
    if (W == 1 || tensor.dim() == 0 || tensor.size(0) != W * n_micro * B) {
      own.emplace_back(name, tensor);
      continue;
    }
    const int64_t row = tensor.numel() / tensor.size(0);
    Shape shape = tensor.shape();
    shape[0] = n_micro * B;
    const Tensor mine = Tensor::empty(shape, tensor.dtype());
    mine.strided_view({n_micro, B * row}, {B * row, 1})
        .copy_from(
            tensor.strided_view({n_micro, B * row}, {W * B * row, 1}, s.world.rank * B * row));
    own.emplace_back(name, mine);
  }
  return own;
}

// The configuration to compare with a checkpoint's: how a step's sequences are shared out over
// micro-batches and ranks may change where their number does not.
RunConfig same_batches(const Trainer::State& s, const Json& saved, const Json& state) {
  RunConfig config = s.config;
  const Json* n = state.find("sequences_per_step");
  if (n == nullptr || !n->is_integer()) return config;  // of one process
  require<ConfigError>(n->as_int() == s.sequences_per_step(), "resume: sequences of a step, got ",
                       s.sequences_per_step(), " (data.batch_size ", config.data.batch_size, " x ",
                       config.trainer.accumulate_grad_batches, " accumulated x ", s.world.size,
                       " processes), but the checkpoint has ", n->as_int(),
                       ", expected the same (the order of samples would differ)");
  // Parts of an epoch are counted in batches.
  if (config.trainer.limit_train_batches >= 0 || config.trainer.overfit_batches > 0) return config;
  const JsonField then(saved, "config.json");
  config.data.batch_size = then.at("data").at("batch_size").as_int();
  config.trainer.accumulate_grad_batches =
      then.at("trainer").at("accumulate_grad_batches").as_int();
  return config;
}

}  // namespace

void Trainer::State::share_out_masters() {
  if (!shards_masters()) return;
  optimizer->shard_masters(arena->n_copied());
  arena->release_masters();
  release_cached_memory(placement.device);
}

bool Trainer::State::is_shared_out(const Tensor& parameter) const {
  return shards_masters() && parameter.grad().impl()->offset < arena->n_copied();
}

NamedTensors Trainer::State::in_full_precision(NamedTensors parameters, bool everywhere,
                                               const optim::HostMemory& memory) const {
  Tensor masters;
  if (shards_masters()) {
    masters = parallel->gathered_masters(*optimizer, everywhere, memory);
    if (!masters.defined()) return {};
  }
  for (auto& [name, tensor] : parameters) {
    const Shape& shape = tensor.shape();
    tensor = is_shared_out(tensor) ? masters.strided_view(shape, contiguous_strides(shape),
                                                          tensor.grad().impl()->offset)
                                   : tensor.detach();
  }
  return parameters;
}

int64_t Trainer::State::staged_bytes() const {
  int64_t bytes = 0;
  const auto add = [&](int64_t n, DType dtype) { bytes += CheckpointStaging::bytes_of(n, dtype); };
  for (const auto& [name, tensor] : model->named_parameters_and_aliases())
    if (!is_shared_out(tensor)) add(tensor.numel(), tensor.dtype());
  if (shards_masters()) add(arena->n_copied(), optimizer->masters().dtype());
  if (!shards())
    for (const auto& [name, tensor] : optimizer->state()) add(tensor.numel(), tensor.dtype());
  else
    for (size_t slot = 0; slot < optimizer->slot_names().size(); ++slot)
      add(parallel->n(), optimizer->shard_slot(slot).dtype());
  return bytes;
}

CheckpointContents Trainer::State::gather_contents(const optim::HostMemory& memory) {
  open_run_folder();
  complete_weights();
  NamedTensors carried_on;
  if (carried) carried_on = all_lanes(*this, carried->named_tensors());
  const NamedTensors weights =
      in_full_precision(model->named_parameters_and_aliases(), false, memory);
  const NamedTensors moments =
      shards() ? parallel->gathered_state(*optimizer, memory) : optimizer->state();
  CheckpointContents contents;
  contents.tensor_files.push_back(
      {"model.safetensors", weights, {{"format", "pt"}, {"arch", model->arch()}}});
  contents.tensor_files.push_back({"optimizer.safetensors", moments, {}});
  if (carried) contents.tensor_files.push_back({kCarriedState, carried_on, {}});
  if (!is_first()) return contents;  // who writes
  progress.n_skipped = guard.n_skipped();
  progress.skipped_in_a_row = guard.n_in_a_row();
  contents.step = progress.step;
  const CheckpointConfig& kept = config.checkpoint;
  Json state = to_json(progress);
  state.set("sequences_per_step", sequences_per_step());
  add_rank(state, kept.monitor, {monitored.of(kept.monitor), kept.mode});
  contents.text_files.push_back({"train_state.json", to_text(state, 2)});
  contents.text_files.push_back({"config.json", to_text(run_config_to_json(config), 2)});
  return contents;
}

std::string Trainer::State::write_checkpoint(const std::string& root,
                                             CheckpointContents contents) const {
  NamedTensors& weights = contents.tensor_files.front().tensors;
  weights = layers::in_layout(std::move(weights), layers::preferred_layout(*model));
  contents.text_files.push_back({"tokenizer.json", data.tokenizer().to_json()});
  FileSystem& files = *services.files;
  const std::string path = save_checkpoint(root, contents, files);
  const CheckpointConfig& kept = config.checkpoint;
  if (kept.save_top_k < 0) return path;
  std::vector<std::string> best = ranked_checkpoints(root, files);
  best.resize(std::min(best.size(), static_cast<size_t>(kept.save_top_k)));
  prune_checkpoints(root, kept.keep_last, best, files);
  return path;
}

void Trainer::State::reserve_staging() {
  if (stages.has_value()) return;
  const comm::CollectiveWatch::LongCall takes_long(communicator->watch());
  const int64_t bytes = staged_bytes();
  stages = world.size > 1 && staging.share(bytes, *communicator);
  if (*stages) return;
  if (is_first() && world.size > 1 && world.size == world.local_size)
    log_warning(
        "checkpoint.async: the processes share no memory, though they are on one host (containers "
        "of their own, a memory limit, ulimit -f): the first alone copies weights and moments");
  bool fails = false;
  try {
    if (is_first()) staging.reserve(bytes);
  } catch (const OutOfMemory& error) {
    fails = true;
    log_warning(
        "checkpoint.async: no host memory for copies of weights and moments, so training "
        "waits while checkpoints are written: ",
        error.what());
  }
  stages = comm::sum(*communicator, fails ? 1 : 0, "whether saves wait") == 0;
}

bool Trainer::State::collect_save(bool wait) {
  if (!writer.in_flight() || (!wait && !writer.is_done())) return false;
  try {
    writer.wait();
  } catch (const FileError& e) {
    log_warning("checkpoint of step ", writer.step(), " not written, training goes on: ", e.what());
  }
  return true;
}

void Trainer::State::finish_save_in_flight() {
  collect_save(true);
  if (stages.has_value()) wait_for_first("the checkpoint before");
}

std::string Trainer::State::save_and_wait() {
  CheckpointContents contents = gather_contents();
  std::string path;
  std::exception_ptr error;  // the others must not wait for a rank that has one
  if (is_first()) {
    try {
      for (auto& file : contents.tensor_files) file.tensors = on_cpu(file.tensors);
      path = write_checkpoint(join_path(run_folder, "checkpoints"), std::move(contents));
    } catch (const FileError&) {
      error = std::current_exception();
    }
  }
  wait_for_first("a checkpoint");
  if (error) std::rethrow_exception(error);
  return path;
}

std::string Trainer::save() {
  State& s = *state_;
  s.finish_save_in_flight();
  return s.save_and_wait();
}

void Trainer::async_save() {
  State& s = *state_;
  s.finish_save_in_flight();
  s.reserve_staging();
  if (!*s.stages) return static_cast<void>(s.save_and_wait());
  CheckpointStaging& staging = s.staging;
  staging.begin();
  CheckpointContents contents = s.gather_contents(staging.memory());
  if (!s.is_first() && !staging.is_shared()) return;
  for (auto& file : contents.tensor_files)
    if (file.name != kCarriedState) staging.copy(file.tensors);  // those are copies already
  staging.end();
  if (!s.is_first()) return;
  const std::string root = join_path(s.run_folder, "checkpoints");
  const int64_t step = contents.step;
  s.writer.start(step, [&s, root, contents = std::move(contents)]() mutable {
    s.staging.wait();
    return s.write_checkpoint(root, std::move(contents));
  });
}

int64_t Trainer::bytes_to_save() const {
  return state_->staged_bytes();
}

bool Trainer::is_saving() const {
  const bool is_mine = state_->writer.in_flight() && !state_->writer.is_done();
  return comm::sum(*state_->communicator, is_mine ? 1 : 0, "whether a save is in flight") > 0;
}

std::string Trainer::wait_for_save() {
  state_->staging.wait_here();
  return state_->writer.wait();
}

void Trainer::resume(const std::string& ckpt_path) {
  State& s = *state_;
  s.finish_save_in_flight();
  const std::string checkpoint = resolve_checkpoint(ckpt_path, s.config.trainer.default_root_dir,
                                                    s.config.trainer.name, *s.services.files);
  const Checkpoint file = Checkpoint::open(checkpoint, *s.services.files);
  const std::string source = join_path(checkpoint, "config.json");
  const std::string state_source = join_path(checkpoint, "train_state.json");
  const Json state = parse_json(file.read_text("train_state.json"), state_source);
  std::vector<std::string> differences;
  const Json saved = parse_json(file.read_text("config.json"), source);
  list_differences(run_config_to_json(same_batches(s, saved, state)), saved,
                   defaults_beside(s.config), "", differences);
  std::string listed = differences.size() == 1 ? " " + differences.front() : "";
  if (differences.size() > 1)
    for (const std::string& difference : differences) listed += "\n  " + difference;
  require<ConfigError>(differences.empty(),
                       "resume: the configuration does not continue this run (", differences.size(),
                       " differing; start a new run instead):", listed);
  const TrainingState then = training_state_from_json(state, state_source);
  require<ConfigError>(then.data_fingerprint == s.data.fingerprint(),
                       "resume: the training data has changed since the checkpoint was written, "
                       "expected the same text and tokenizer (the order of samples would differ; "
                       "start a new run instead)");
  NamedTensors states;
  if (s.carried) {
    require<FormatError>(file.has(kCarriedState), join_path(checkpoint, kCarriedState),
                         ": is missing, expected the states that a run with data.stateful carries "
                         "on");
    states = file.load_tensors(kCarriedState);
  }
  s.arena->restore_masters();
  layers::load_state(*s.model, file.load_tensors("model.safetensors"));
  s.optimizer->load_state(file.load_tensors("optimizer.safetensors"), then.step - then.n_skipped);
  if (s.carried) s.carried->load(own_lanes(s, states), join_path(checkpoint, kCarriedState));
  s.guard.restore(then.n_skipped, then.skipped_in_a_row);
  s.progress = then;
  s.arena->refresh_copies();
  s.share_out_masters();
  s.engine->restored();
  s.run_folder = run_folder_of(checkpoint);
}

}  // namespace xlstm::train
