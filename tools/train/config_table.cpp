#include "tools/train/config_table.h"

#include <algorithm>
#include <cmath>

#include "core/json.h"

namespace xlstm::train {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();
constexpr double kMany = 1e15;  // no count is larger
constexpr double kHuge = std::numeric_limits<double>::max();

std::vector<KeyRule> run_rules() {
  return {
      {"seed_everything",
       "Seed of the weights, the order of samples and dropout; `true` draws one and records it.", 0,
       kMany},
      {"trainer.max_steps", "Optimizer steps after which training ends; -1: no limit.", -1, kMany},
      {"trainer.max_epochs",
       "Passes over the training data after which training ends; -1: no limit, or 1000 if nothing "
       "else limits the run.",
       -1, kMany},
      {"trainer.max_time",
       "Time after which training ends with a checkpoint: `DD:HH:MM:SS` or seconds; null: no "
       "limit.",
       0, 1e9},
      {"trainer.min_steps", "Optimizer steps before which early stopping does not end a run.", 0,
       kMany},
      {"trainer.min_epochs", "Epochs before which early stopping does not end a run.", 0, kMany},
      {"trainer.val_check_interval",
       "How often to validate: an integer counts training batches, a number with a point is the "
       "part of an epoch.",
       0, kMany},
      {"trainer.check_val_every_n_epoch", "Validate in every so many-eth epoch only.", 1, kMany},
      {"trainer.limit_train_batches",
       "Batches of an epoch, which then ends with the others unseen; -1 or 1.0: all of them.", -1,
       kMany},
      {"trainer.limit_val_batches",
       "Batches of a validation; -1 or 1.0: all of them; 0: no validation and no sample texts.", -1,
       kMany},
      {"trainer.overfit_batches",
       "Train on the first so many batches again and again, in one order; 0: off.", 0, kMany},
      {"trainer.num_sanity_val_steps",
       "Batches of a trial validation before the first step, so that what is wrong with it is "
       "found "
       "at once; its result is thrown away.",
       0, kMany},
      {"trainer.fast_dev_run",
       "So many steps and validation batches to see that everything runs; nothing is written but "
       "the "
       "cache of tokens. "
       "`true` is 1, `false` is 0: off.",
       0, 1e6},
      {"trainer.log_every_n_steps", "Optimizer steps between rows of metrics.jsonl.", 1, kMany},
      {"trainer.accumulate_grad_batches",
       "Batches whose gradients are averaged for one optimizer step.", 1, 1e6},
      {"trainer.gradient_clip_val",
       "Largest norm of all gradients together; they are scaled down to it. 0: off.", 0, kHuge},
      {"trainer.precision",
       "Element types: `32-true` and `64-true` (CPU only) for everything; `bf16-mixed` and "
       "`16-mixed` keep weights, moments, gates, states and sums in float32 and compute the rest "
       "in 16 bits, `16-mixed` with a scaled loss; `bf16-true` rounds every weight that is read. "
       "16 bits need a GPU.",
       -kNoLimit,
       kNoLimit,
       {"32-true", "64-true", "bf16-mixed", "bf16-true", "16-mixed"}},
      {"trainer.default_root_dir", "Folder in which runs are kept."},
      {"trainer.name", "Name of the run; its folder is `<default_root_dir>/<name>/version_N`."},
      {"trainer.enable_progress_bar", "Show the progress line."},
      {"trainer.enable_checkpointing", "Write checkpoints, at the end at least."},
      {"trainer.logger",
       "Logs beside metrics.jsonl and report.html, which are always written; `true`: all of them, "
       "`false` or `[]`: none (`logging.md`).",
       -kNoLimit,
       kNoLimit,
       {"tensorboard", "csv"}},
      {
          "trainer.activation_checkpointing",
          "Recompute each block in the backward pass instead of keeping its inner values: less "
          "memory, "
          "a third more work, the same result.",
      },
      {"trainer.slstm_recompute_steps",
       "Keep of an sLSTM cell its input and the state before every so many steps, and recompute "
       "the "
       "steps between in the backward pass: less memory, a third more work in the cell, the same "
       "result but for rounding. 0: keep every step.",
       0, kMany},
      {"trainer.strategy",
       "How devices share the work. `ddp`: each has all weights and updates them; `zero1`: each "
       "keeps the optimizer's moments, and in 16-bit modes the float32 weights, for its part "
       "alone. Same results. `auto`: `ddp` on several devices.",
       -kNoLimit,
       kNoLimit,
       {"auto", "ddp", "zero1"}},
      {"trainer.devices",
       "Devices of one host to train on, one process each: `fit` starts them with `mpirun` if no "
       "launcher has. `auto`: all GPUs, or one process on the CPU.",
       1, 4095},
      {"trainer.num_nodes", "Hosts, each with `trainer.devices`; a launcher must start them.", 1,
       4095},
      {"trainer.bucket_mb", "MiB of gradients that are summed over the devices in one call.", 1,
       4096},
      {"trainer.reduce_dtype",
       "Element type in which gradients are sent and summed over the devices; `bfloat16` sends "
       "half "
       "as much and rounds.",
       -kNoLimit,
       kNoLimit,
       {"float32", "bfloat16"}},
      {"trainer.copy_engines",
       "Whether the copy engines of GPUs on one host move gradients and weights (NCCL 2.28 or "
       "newer), so that computing goes on undisturbed; else NCCL's kernels do."},
      {"trainer.start_timeout", "Seconds within which all processes must have met.", 0.1, kMany},
      {"trainer.collective_timeout",
       "Seconds that a process waits for the others in one call, the work before it included, "
       "until "
       "it ends the job (exit code 6); six times as long while one of them saves or tokenises.",
       0.1, kMany},
      {"trainer.accelerator",
       "Where to compute; `auto`: on a GPU if there is one.",
       -kNoLimit,
       kNoLimit,
       {"auto", "cpu", "gpu", "cuda"}},
      {"trainer.cuda_graph",
       "On a GPU, record the training step once and replay it; the result is the same bits."},
      {"trainer.max_non_finite",
       "Steps in a row with NaN or infinite gradients that end the run; each such step is skipped.",
       1, 1e6},
      {"trainer.spike_threshold",
       "Warn of a loss or gradient norm that lies so many standard deviations above the mean of "
       "the 128 steps before, and log it (`logging.md`); training goes on. 0: off.",
       0, 1e6},
      {"trainer.hash_every_n_steps",
       "Optimizer steps between rows of metrics.jsonl with a hash of all weights, which shows "
       "where "
       "two runs part; with several processes all must have the same one, or the job ends (exit "
       "code "
       "6). 0: none.",
       0, kMany},
      {"trainer.num_threads", "CPU threads; 0: all. Results do not depend on it.", 0, 4096},

      {"checkpoint.every_n_train_steps",
       "Optimizer steps between checkpoints; 0: at each validation. The last step is always saved.",
       0, kMany},
      {"checkpoint.keep_last", "Newest checkpoints that are kept.", 1, 1e6},
      {"checkpoint.monitor",
       "What makes a checkpoint the best; it is known of checkpoints that are written at a "
       "validation, `train_loss` of all.",
       -kNoLimit,
       kNoLimit,
       {"val_loss", "val_perplexity", "train_loss"}},
      {"checkpoint.mode",
       "Whether small or large values are good.",
       -kNoLimit,
       kNoLimit,
       {"min", "max"}},
      {"checkpoint.save_top_k",
       "Best checkpoints that are kept besides the newest; -1: all checkpoints are kept; 0: none.",
       -1, 1e6},
      {"checkpoint.async",
       "Copy weights and moments to host memory, which takes as much of it as they do, and let a "
       "thread write them while training goes on. The last checkpoint is always waited for."},
      {"early_stopping.patience",
       "Validations in a row without improvement that end the run; 0: none do.", 0, kMany},
      {"early_stopping.monitor",
       "What has to improve.",
       -kNoLimit,
       kNoLimit,
       {"val_loss", "val_perplexity", "train_loss"}},
      {"early_stopping.mode",
       "Whether small or large values are good.",
       -kNoLimit,
       kNoLimit,
       {"min", "max"}},
      {"early_stopping.min_delta", "An improvement of at most this counts for none.", 0, kHuge},

      {"data.root",
       "Folder with `train.txt` and `valid.txt`, or with token shards (`docs/data_format.md`); "
       "`stories` is the bundled corpus."},
      {"data.sources",
       "Several such folders in place of `data.root`, each with its share of the training "
       "sequences: "
       "`[{root: a, weight: 3}, {root: b, weight: 1}]`."},
      {"data.tokenizer",
       "A `tokenizer.json`, or a folder with one (or with `vocab.json` and `merges.txt`), or the "
       "name of such a folder under `$XLSTM_TOKENIZERS` or `~/.cache/xlstm/tokenizers`; `train` "
       "makes one from the training text."},
      {"data.vocab_size", "Number of tokens of a tokenizer that is made from the training text.",
       257, 16777216},
      {"data.max_length", "Tokens of a training sequence.", 1, 1e8},
      {"data.batch_size", "Sequences of a batch.", 1, 1e7},
      {"data.n_stories", "Stories of the bundled corpus that are told.", 1, 500000},
      {"data.document_reset",
       "Start every document inside a sequence from an empty state, so that it sees nothing of the "
       "one before."},
      {"data.stateful",
       "Each sequence of a step goes on where the same one of the step before ended, in the text "
       "and in the recurrent state, through which no gradient flows back (truncated "
       "back-propagation through time, `docs/data_format.md`)."},
      {"data.prefetch",
       "Steps whose batches a thread prepares ahead, on a GPU in pinned memory; 0: no thread. The "
       "order of samples does not depend on it.",
       0, 64},
      {"data.cache_dir",
       "Folder for token files and trained tokenizers; empty: `<default_root_dir>/cache`."},

      {"optimizer.name", "The optimizer.", -kNoLimit, kNoLimit, {"adamw", "sgd"}},
      {"optimizer.lr", "Largest learning rate, reached after the warm-up.", 0, 1e3},
      {"optimizer.betas", "AdamW's decay of the first and second moment.", 0, 0.9999999999},
      {"optimizer.eps", "AdamW's addition to the root of the second moment.", 0, 1},
      {"optimizer.weight_decay",
       "Decay of weight matrices, decoupled from the gradient; norms, biases and (unless asked "
       "for) "
       "embeddings are left alone.",
       0, 1e3},
      {"optimizer.momentum", "SGD's momentum.", 0, 0.9999999999},

      {"lr_scheduler.name",
       "Course of the learning rate after the warm-up.",
       -kNoLimit,
       kNoLimit,
       {"constant", "cosine", "linear", "exponential"}},
      {"lr_scheduler.warmup_steps", "Optimizer steps in which the learning rate rises from 0.", 0,
       kMany},
      {"lr_scheduler.min_lr", "Learning rate at the end of the course.", 0, 1e3},
      {"lr_scheduler.cooldown_steps",
       "Last optimizer steps, in which the learning rate falls linearly to 0.", 0, kMany},
      {"lr_scheduler.total_steps", "Optimizer steps of the whole course; 0: those of the run.", 0,
       kMany},

      {"sample.prompts", "Beginnings that are continued at each validation and by `generate`."},
      {"sample.max_new_tokens", "Tokens added to a prompt at most.", 1, 1e9},
      {"sample.temperature",
       "Divides the logits before a token is drawn; 0: always the likeliest token.", 0, 1e6},
      {"sample.top_k", "Draw among the likeliest tokens only, so many; 0: among all.", 0, 1e9},
      {"sample.top_p",
       "Of these, draw among the fewest likeliest that together have this probability; 1: among "
       "all.",
       0, 1},
      {"sample.min_p",
       "Of these, draw among the tokens whose probability is at least this part of the "
       "likeliest's; "
       "0: among all.",
       0, 1},
      {"sample.repetition_penalty",
       "Divides the positive and multiplies the negative logits of tokens that occur in the prompt "
       "or the text; 1: none.",
       0.001, 1000},
      {"sample.seed", "Seed of the draws.", 0, kMany},
      {"sample.stop", "Strings that end a text; they are left out of it."},
      {"sample.stop_at_end_of_text", "End a text at the tokenizer's end-of-text token."},
      {"sample.start_with_end_of_text",
       "Put the end-of-text token before a prompt, as in the training data."},

      {"model.arch",
       "Architecture: `xlstm` mixes mLSTM and sLSTM blocks as in the xLSTM paper, "
       "`xlstm_large` is the 7B model's.",
       -kNoLimit,
       kNoLimit,
       {"xlstm", "xlstm_large"}},
  };
}

std::vector<KeyRule> paper_rules() {
  constexpr std::string_view kNoEffect = "Read for compatibility, without effect.";
  return {
      {"xlstm.vocab_size", "Rows of the embedding and the head; 0: as many as the tokenizer has.",
       0, 2147483648.0},
      {"xlstm.context_length",
       "Read for compatibility, without effect: sequences may have any length."},
      {"xlstm.num_blocks", "Number of blocks; not together with `num_layers`.", 1, 1024},
      {"xlstm.embedding_dim", "Width of the residual stream.", 1, 16777216},
      {"xlstm.add_post_blocks_norm", "A norm after the last block."},
      {"xlstm.bias", "Biases in the projections of mLSTM layers."},
      {"xlstm.dropout", "Share of zeroed outputs of both kinds of layers.", 0, 0.999999},
      {"xlstm.slstm_at", "Indices of the sLSTM blocks, or `all`; the others are mLSTM blocks."},
      {"xlstm.signature",
       "`[a, b]`: of every a + b blocks in a row, the first a are mLSTM blocks and the others "
       "sLSTM "
       "blocks; instead of `slstm_at`."},
      {"xlstm.num_layers", "With a signature `[a, b]`: the model has so many times a + b blocks.",
       1, 1024},
      {"xlstm.tie_weights", "The head uses the embedding's weights."},
      {"xlstm.weight_decay_on_embedding", "Weight decay acts on the embedding too."},
      {"xlstm.add_embedding_dropout", "Dropout after the embedding."},
      {"xlstm.mlstm_block.mlstm.conv1d_kernel_size", "Steps that the convolution sees.", 1, 1024},
      {"xlstm.mlstm_block.mlstm.qkv_proj_blocksize",
       "Width of the blocks of the query, key and value projections.", 1, 16777216},
      {"xlstm.mlstm_block.mlstm.num_heads", "Heads of an mLSTM layer.", 1, 65536},
      {"xlstm.mlstm_block.mlstm.proj_factor", "Inner width over embedding_dim.", 0, 1024},
      {"xlstm.mlstm_block.mlstm.round_proj_up_dim_up",
       "Round the inner width up (otherwise down) to the multiple below."},
      {"xlstm.mlstm_block.mlstm.round_proj_up_to_multiple_of", "Unit of the inner width.", 1,
       1048576},
      {"xlstm.mlstm_block.mlstm.chunk_size",
       "Steps computed together; changes the speed and not the result.", 1, 65536},
      {"xlstm.mlstm_block.mlstm.stabilizer_gradient",
       "Adds the gradient through the denominator's eps, about 1e-6 of the gates'; for "
       "comparisons."},
      {"xlstm.slstm_block.slstm.num_heads", "Heads of an sLSTM layer.", 1, 65536},
      {"xlstm.slstm_block.slstm.conv1d_kernel_size",
       "Steps that the convolution sees; 0: no convolution.", 0, 1024},
      {"xlstm.slstm_block.slstm.group_norm_weight", "The norm of each head has a scale."},
      {"xlstm.slstm_block.slstm.dropout", "Follows the model's dropout; leave it out.", 0,
       0.999999},
      {"xlstm.slstm_block.slstm.backend",
       "Layout of the recurrent weights in files; the arithmetic is the same.",
       -kNoLimit,
       kNoLimit,
       {"cuda", "vanilla"}},
      {"xlstm.slstm_block.slstm.bias_init", "Initialisation of the gate biases."},
      {"xlstm.slstm_block.slstm.recurrent_weight_init", "Initialisation of the recurrent weights."},
      {"xlstm.slstm_block.slstm.gradient_recurrent_cut",
       "No gradient through the recurrent weights' input."},
      {"xlstm.slstm_block.slstm.gradient_recurrent_clipval",
       "Bound on the gradient that flows back through time, per element; null: none."},
      {"xlstm.slstm_block.slstm.forward_clipval", "Bound on the states of the cell; null: none."},
      {"xlstm.slstm_block.slstm.dtype", kNoEffect},
      {"xlstm.slstm_block.slstm.dtype_b", kNoEffect},
      {"xlstm.slstm_block.slstm.dtype_r", kNoEffect},
      {"xlstm.slstm_block.slstm.dtype_w", kNoEffect},
      {"xlstm.slstm_block.slstm.dtype_g", kNoEffect},
      {"xlstm.slstm_block.slstm.dtype_s", kNoEffect},
      {"xlstm.slstm_block.slstm.dtype_a", kNoEffect},
      {"xlstm.slstm_block.slstm.enable_automatic_mixed_precision", kNoEffect},
      {"xlstm.slstm_block.slstm.batch_size", kNoEffect},
      {"xlstm.slstm_block.slstm.initial_val", "Start of the states; only 0."},
      {"xlstm.slstm_block.feedforward",
       "The feed-forward network of sLSTM blocks; null removes it."},
      {"xlstm.slstm_block.feedforward.proj_factor", "Inner width over embedding_dim.", 0, 1024},
      {"xlstm.slstm_block.feedforward.act_fn", "Activation of the gate."},
      {"xlstm.slstm_block.feedforward.dropout", "Share of zeroed outputs.", 0, 0.999999},
      {"xlstm.slstm_block.feedforward.bias", "Biases in both projections."},
      {"xlstm.slstm_block.feedforward.ff_type",
       "Kind of network.",
       -kNoLimit,
       kNoLimit,
       {"ffn_gated"}},
      {"xlstm.slstm_block.feedforward.round_proj_up_dim_up",
       "Round the inner width up (otherwise down) to the multiple below."},
      {"xlstm.slstm_block.feedforward.round_proj_up_to_multiple_of", "Unit of the inner width.", 1,
       1048576},
  };
}

std::vector<KeyRule> large_rules() {
  constexpr std::string_view kNoEffect = "Read for compatibility, without effect.";
  return {
      {"xlstm_large.vocab_size",
       "Rows of the embedding and the head; 0: as many as the tokenizer has.", 0, 2147483648.0},
      {"xlstm_large.embedding_dim", "Width of the residual stream; must be given.", 1, 16777216},
      {"xlstm_large.num_heads", "Heads of an mLSTM layer; must be given.", 1, 65536},
      {"xlstm_large.num_blocks", "Number of blocks; must be given.", 1, 1024},
      {"xlstm_large.use_bias", "Biases in every projection and norm but the head."},
      {"xlstm_large.norm_eps", "Addition to the mean square in norms.", 0, 1},
      {"xlstm_large.norm_reduction_force_float32", kNoEffect},
      {"xlstm_large.add_out_norm", "A norm after the last block."},
      {"xlstm_large.qk_dim_factor", "Width of queries and keys over embedding_dim.", 0, 1024},
      {"xlstm_large.v_dim_factor", "Width of values over embedding_dim.", 0, 1024},
      {"xlstm_large.chunkwise_kernel", kNoEffect},
      {"xlstm_large.sequence_kernel", kNoEffect},
      {"xlstm_large.step_kernel", kNoEffect},
      {"xlstm_large.mode", kNoEffect},
      {"xlstm_large.chunk_size", "Steps computed together; changes the speed and not the result.",
       1, 65536},
      {"xlstm_large.return_last_states", kNoEffect},
      {"xlstm_large.autocast_kernel_dtype", kNoEffect},
      {"xlstm_large.eps", "Addition to the cell's denominator.", 0, 1},
      {"xlstm_large.inference_state_dtype", kNoEffect},
      {"xlstm_large.ffn_proj_factor", "Inner width of the feed-forward network over embedding_dim.",
       0, 1024},
      {"xlstm_large.ffn_round_up_to_multiple_of", "Unit of that width.", 1, 1048576},
      {"xlstm_large.gate_soft_cap", "Soft bound on gate pre-activations.", 0, 1e6},
      {"xlstm_large.output_logit_soft_cap", "Soft bound on logits; 0: none.", 0, 1e6},
      {"xlstm_large.weight_mode",
       "Names of projections in files.",
       -kNoLimit,
       kNoLimit,
       {"single", "fused"}},
      {"xlstm_large.tie_word_embeddings", "The head uses the embedding's weights."},
  };
}

}  // namespace

const std::vector<KeyRule>& key_rules() {
  static const std::vector<KeyRule> kRules = [] {
    std::vector<KeyRule> all = run_rules();
    for (const auto& more : {paper_rules(), large_rules()})
      all.insert(all.end(), more.begin(), more.end());
    return all;
  }();
  return kRules;
}

const KeyRule* find_rule(std::string_view path) {
  const auto& rules = key_rules();
  const auto found =
      std::find_if(rules.begin(), rules.end(), [&](const KeyRule& r) { return r.path == path; });
  return found == rules.end() ? nullptr : &*found;
}

std::string number_text(double x) {
  if (std::abs(x) < 1e15 && x == std::trunc(x)) return std::to_string(static_cast<int64_t>(x));
  return std::isfinite(x) ? to_text(Json(x)) : std::to_string(x);
}

const std::vector<KeyAlias>& key_aliases() {
  static const std::vector<KeyAlias> kAliases = {
      {"data.context_length", "data.max_length", "the same"},
      {"model.hidden_size", "model.embedding_dim", "the name in transformers"},
      {"model.num_hidden_layers", "model.num_blocks", "the name in transformers"},
      {"data.num_workers", "", "batches are prepared while the previous step computes"},
      {"trainer.checkpoint_every_n_steps", "checkpoint.every_n_train_steps", "an older name"},
      {"trainer.keep_checkpoints", "checkpoint.keep_last", "an older name"},
      {"trainer.deterministic", "", "every run is deterministic"},
      {"trainer.enable_model_summary", "", "the model is always described"},
  };
  return kAliases;
}

const std::vector<RefusedKey>& refused_keys() {
  static const std::vector<RefusedKey> kRefused = {
      {"trainer.sync_batchnorm", "there is no batch norm"},
      {"trainer.profiler", "use `xlstm bench`"},
      {"trainer.limit_test_batches", "there is no test set"},
      {"trainer.detect_anomaly", "non-finite steps are always found, see trainer.max_non_finite"},
  };
  return kRefused;
}

}  // namespace xlstm::train
