// The configuration of a run: plain structs with defaults. Keys, ranges and documentation stand in
// the field tables of config_fields.cpp; docs/configuration.md is made from them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layers/make_model.h"
#include "tools/train/generation.h"

namespace xlstm::train {

// A number of batches (an integer in the file) or a fraction of an epoch (a number with a point).
struct Interval {
  double value = 1.0;
  bool is_fraction = true;
  // In optimizer steps, at least 1.
  int64_t steps(int64_t steps_per_epoch, int64_t accumulate) const;
};

struct TrainerConfig {
  int64_t max_steps = -1;   // optimizer steps; -1: no limit
  int64_t max_epochs = -1;  // -1: no limit (1000 if nothing else limits the run)
  double max_time = -1;     // seconds of training in this process; "DD:HH:MM:SS" in files
  int64_t min_steps = 0;    // early stopping does not end a run before these
  int64_t min_epochs = 0;
  Interval val_check_interval;
  int64_t check_val_every_n_epoch = 1;
  int64_t limit_train_batches = -1;  // of an epoch; -1: all
  int64_t limit_val_batches = -1;    // -1: all; 0: no validation
  int64_t overfit_batches = 0;       // > 0: train on the first so many batches again and again
  int64_t num_sanity_val_steps = 2;  // batches of a trial validation before the first step
  int64_t fast_dev_run = 0;          // > 0: so many steps and validation batches, nothing written
  int64_t log_every_n_steps = 10;
  int64_t accumulate_grad_batches = 1;
  double gradient_clip_val = 1.0;     // global norm; 0: off
  std::string precision = "32-true";  // placement.h
  std::string default_root_dir = "runs";
  std::string name = "xlstm";
  bool enable_progress_bar = true;
  bool enable_checkpointing = true;
  std::vector<std::string> logger = {"tensorboard", "csv"};  // beside metrics.jsonl
  bool activation_checkpointing = false;
  int64_t slstm_recompute_steps = 0;  // 0: nothing in sLSTM cells is recomputed
  std::string strategy = "auto";      // ddp, or zero1: optim/data_parallel.h
  int64_t devices = 1;                // of one host; 0: all GPUs there, or one CPU process
  int64_t num_nodes = 1;
  int64_t bucket_mb = 64;                // of gradients that are sent together
  bool copy_engines = true;              // where they can copy between the devices of a host
  std::string reduce_dtype = "float32";  // or bfloat16, in which gradients are summed
  double start_timeout = 300;            // seconds until all ranks have met
  double collective_timeout = 600;       // seconds that a rank waits for the others in one call
  std::string accelerator = "auto";      // or cpu, gpu, cuda
  bool cuda_graph = true;                // replay the captured training step
  int64_t max_non_finite = 3;            // skipped steps in a row that end the run
  double spike_threshold = 6;            // standard deviations (optim/spike_detector.h); 0: off
  int64_t hash_every_n_steps = 0;        // of all weights; 0: off
  int64_t num_threads = 0;               // 0: all
};

// Which checkpoints are written and kept.
struct CheckpointConfig {
  int64_t every_n_train_steps = 0;   // 0: at every validation; at the end always
  int64_t keep_last = 2;             // newest ones kept
  std::string monitor = "val_loss";  // monitor.h
  std::string mode = "min";          // or max
  int64_t save_top_k = 1;            // best ones kept besides; -1: all; 0: none
  bool async = true;                 // written by a thread while training goes on
};

struct EarlyStoppingConfig {
  int64_t patience = 0;  // validations without improvement that end the run; 0: off
  std::string monitor = "val_loss";
  std::string mode = "min";
  double min_delta = 0;  // a smaller improvement counts for none
};

// One of several corpora, and its share of the training sequences relative to the others'.
struct DataSource {
  std::string root;
  double weight = 1;
};

struct DataConfig {
  std::string root = "stories";     // folder with train.txt and valid.txt, or the bundled stories
  std::vector<DataSource> sources;  // several in place of root
  std::string tokenizer = "train";  // folder or tokenizer.json, or train one on the corpus
  int64_t vocab_size = 4096;        // of a tokenizer that is trained here
  int64_t max_length = 256;         // tokens per sequence
  int64_t batch_size = 16;          // sequences per step and accumulation
  int64_t n_stories = 22000;        // of the bundled corpus
  bool document_reset = false;      // the state is zero at the start of every document
  bool stateful = false;            // a step goes on in text and state where the last one ended
  int64_t prefetch = 2;             // steps whose batches are prepared ahead
  std::string cache_dir;            // token files; empty: <default_root_dir>/cache
};

struct OptimizerConfig {
  std::string name = "adamw";  // or sgd
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.95};
  double eps = 1e-8;
  double weight_decay = 0.1;
  double momentum = 0.9;  // sgd
};

struct SchedulerConfig {
  std::string name = "cosine";  // or constant, linear, exponential
  int64_t warmup_steps = 0;
  double min_lr = 0;
  int64_t cooldown_steps = 0;
  int64_t total_steps = 0;  // 0: the trainer's
};

struct SampleConfig {
  std::vector<std::string> prompts = {"Once upon a time"};
  GenerationOptions options{.max_new_tokens = 200, .temperature = 0.8, .top_k = 50};
};

struct RunConfig {
  int64_t seed_everything = 42;
  TrainerConfig trainer;
  CheckpointConfig checkpoint;
  EarlyStoppingConfig early_stopping;
  layers::ModelConfig model = layers::XlstmModelConfig{};  // model.arch chooses
  DataConfig data;
  OptimizerConfig optimizer;
  SchedulerConfig lr_scheduler;
  SampleConfig sample;  // texts shown at each validation, and the defaults of `generate`
};

}  // namespace xlstm::train
