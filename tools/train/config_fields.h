// The keys of the sections that layers do not define, in the manner of layers/config_fields.h:
// `for_each_field(config, f)` calls f(key, member).
#pragma once

#include <type_traits>

#include "layers/config_fields.h"
#include "tools/train/config.h"

namespace xlstm::train {

using layers::ConfigOf;
using layers::for_each_field;

// Members whose text is more than their type says.
template <class T>
struct DurationField {  // "DD:HH:MM:SS", seconds, or null for no limit
  T& seconds;
};
template <class T>
struct DevicesField {  // a number or "auto"
  T& n;
};
template <class T>
struct LimitField {  // a number, or 1.0 for all and 0.0 for none
  T& n;
};
template <class T>
struct SeedField {  // an integer, or `true` for a random one
  T& seed;
};
template <class T>
struct CountField {  // a number, or `true` for 1 and `false` for 0
  T& n;
};
template <class T>
struct LoggerField {  // names, or true for all and false for none
  T& names;
};
template <class T>
DurationField(T&) -> DurationField<T>;
template <class T>
DevicesField(T&) -> DevicesField<T>;
template <class T>
LimitField(T&) -> LimitField<T>;
template <class T>
SeedField(T&) -> SeedField<T>;
template <class T>
CountField(T&) -> CountField<T>;
template <class T>
LoggerField(T&) -> LoggerField<T>;

template <ConfigOf<TrainerConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("max_steps", c.max_steps);
  f("max_epochs", c.max_epochs);
  f("max_time", DurationField{c.max_time});
  f("min_steps", c.min_steps);
  f("min_epochs", c.min_epochs);
  f("val_check_interval", c.val_check_interval);
  f("check_val_every_n_epoch", c.check_val_every_n_epoch);
  f("limit_train_batches", LimitField{c.limit_train_batches});
  f("limit_val_batches", LimitField{c.limit_val_batches});
  f("overfit_batches", c.overfit_batches);
  f("num_sanity_val_steps", c.num_sanity_val_steps);
  f("fast_dev_run", CountField{c.fast_dev_run});
  f("log_every_n_steps", c.log_every_n_steps);
  f("accumulate_grad_batches", c.accumulate_grad_batches);
  f("gradient_clip_val", c.gradient_clip_val);
  f("precision", c.precision);
  f("default_root_dir", c.default_root_dir);
  f("name", c.name);
  f("enable_progress_bar", c.enable_progress_bar);
  f("enable_checkpointing", c.enable_checkpointing);
  f("logger", LoggerField{c.logger});
  f("activation_checkpointing", c.activation_checkpointing);
  f("slstm_recompute_steps", c.slstm_recompute_steps);
  f("strategy", c.strategy);
  f("devices", DevicesField{c.devices});
  f("num_nodes", c.num_nodes);
  f("bucket_mb", c.bucket_mb);
  f("reduce_dtype", c.reduce_dtype);
  f("copy_engines", c.copy_engines);
  f("start_timeout", c.start_timeout);
  f("collective_timeout", c.collective_timeout);
  f("accelerator", c.accelerator);
  f("cuda_graph", c.cuda_graph);
  f("max_non_finite", c.max_non_finite);
  f("spike_threshold", c.spike_threshold);
  f("hash_every_n_steps", c.hash_every_n_steps);
  f("num_threads", c.num_threads);
}

template <ConfigOf<CheckpointConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("every_n_train_steps", c.every_n_train_steps);
  f("keep_last", c.keep_last);
  f("monitor", c.monitor);
  f("mode", c.mode);
  f("save_top_k", c.save_top_k);
  f("async", c.async);
}

template <ConfigOf<EarlyStoppingConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("patience", c.patience);
  f("monitor", c.monitor);
  f("mode", c.mode);
  f("min_delta", c.min_delta);
}

template <ConfigOf<DataSource> C, class F>
void for_each_field(C& c, F&& f) {
  f("root", c.root);
  f("weight", c.weight);
}

template <ConfigOf<DataConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("root", c.root);
  f("sources", c.sources);
  f("tokenizer", c.tokenizer);
  f("vocab_size", c.vocab_size);
  f("max_length", c.max_length);
  f("batch_size", c.batch_size);
  f("n_stories", c.n_stories);
  f("document_reset", c.document_reset);
  f("stateful", c.stateful);
  f("prefetch", c.prefetch);
  f("cache_dir", c.cache_dir);
}

template <ConfigOf<OptimizerConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("name", c.name);
  f("lr", c.lr);
  f("betas", c.betas);
  f("eps", c.eps);
  f("weight_decay", c.weight_decay);
  f("momentum", c.momentum);
}

template <ConfigOf<SchedulerConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("name", c.name);
  f("warmup_steps", c.warmup_steps);
  f("min_lr", c.min_lr);
  f("cooldown_steps", c.cooldown_steps);
  f("total_steps", c.total_steps);
}

template <ConfigOf<SampleConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("prompts", c.prompts);
  f("max_new_tokens", c.options.max_new_tokens);
  f("temperature", c.options.temperature);
  f("top_k", c.options.top_k);
  f("top_p", c.options.top_p);
  f("min_p", c.options.min_p);
  f("repetition_penalty", c.options.repetition_penalty);
  f("seed", c.options.seed);
  f("stop", c.options.stop);
  f("stop_at_end_of_text", c.options.stop_at_end_of_text);
  f("start_with_end_of_text", c.options.start_with_end_of_text);
}

// `model` stands between trainer and data in every listing, but is a variant with keys of its own.
template <ConfigOf<RunConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("seed_everything", SeedField{c.seed_everything});
  f("trainer", c.trainer);
  f("checkpoint", c.checkpoint);
  f("early_stopping", c.early_stopping);
  f("model", c.model);
  f("data", c.data);
  f("optimizer", c.optimizer);
  f("lr_scheduler", c.lr_scheduler);
  f("sample", c.sample);
}

}  // namespace xlstm::train
