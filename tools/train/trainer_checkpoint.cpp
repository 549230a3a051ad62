// Saving a run, and continuing it.
#include "core/checkpoint.h"
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
                                          "trainer.accelerator",
                                          "trainer.cuda_graph",
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

}  // namespace

namespace {

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

}  // namespace

std::string Trainer::save() {
  State& s = *state_;
  s.open_run_folder();
  s.progress.n_skipped = s.guard.n_skipped();
  s.progress.skipped_in_a_row = s.guard.n_in_a_row();
  CheckpointContents contents;
  contents.step = s.progress.step;
  contents.tensor_files.push_back(
      {"model.safetensors",
       on_cpu(layers::state_dict(*s.model, layers::preferred_layout(*s.model))),
       {{"format", "pt"}, {"arch", s.model->arch()}}});
  contents.tensor_files.push_back({"optimizer.safetensors", on_cpu(s.optimizer->state()), {}});
  if (s.carried) contents.tensor_files.push_back({kCarriedState, s.carried->named_tensors(), {}});
  const CheckpointConfig& kept = s.config.checkpoint;
  Json state = to_json(s.progress);
  add_rank(state, kept.monitor, {s.monitored.of(kept.monitor), kept.mode});
  contents.text_files.push_back({"train_state.json", to_text(state, 2)});
  contents.text_files.push_back({"config.json", to_text(run_config_to_json(s.config), 2)});
  contents.text_files.push_back({"tokenizer.json", s.data.tokenizer().to_json()});
  const std::string root = join_path(s.run_folder, "checkpoints");
  const std::string path = save_checkpoint(root, contents, *s.services.files);
  if (kept.save_top_k < 0) return path;
  std::vector<std::string> best = ranked_checkpoints(root, *s.services.files);
  best.resize(std::min(best.size(), static_cast<size_t>(kept.save_top_k)));
  prune_checkpoints(root, kept.keep_last, best, *s.services.files);
  return path;
}

void Trainer::resume(const std::string& ckpt_path) {
  State& s = *state_;
  const std::string checkpoint = resolve_checkpoint(ckpt_path, s.config.trainer.default_root_dir,
                                                    s.config.trainer.name, *s.services.files);
  const Checkpoint file = Checkpoint::open(checkpoint, *s.services.files);
  const std::string source = join_path(checkpoint, "config.json");
  std::vector<std::string> differences;
  list_differences(run_config_to_json(s.config), parse_json(file.read_text("config.json"), source),
                   defaults_beside(s.config), "", differences);
  std::string listed = differences.size() == 1 ? " " + differences.front() : "";
  if (differences.size() > 1)
    for (const std::string& difference : differences) listed += "\n  " + difference;
  require<ConfigError>(differences.empty(),
                       "resume: the configuration does not continue this run (", differences.size(),
                       " differing; start a new run instead):", listed);
  const TrainingState then = training_state_from_json(
      parse_json(file.read_text("train_state.json"), join_path(checkpoint, "train_state.json")),
      join_path(checkpoint, "train_state.json"));
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
  layers::load_state(*s.model, file.load_tensors("model.safetensors"));
  s.optimizer->load_state(file.load_tensors("optimizer.safetensors"), then.step - then.n_skipped);
  if (s.carried) s.carried->load(states, join_path(checkpoint, kCarriedState));
  s.guard.restore(then.n_skipped, then.skipped_in_a_row);
  s.progress = then;
  s.arena->refresh_copies();
  s.engine->restored();
  s.run_folder = run_folder_of(checkpoint);
}

}  // namespace xlstm::train
