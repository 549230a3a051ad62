#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tests/test_data.h"
#include "tools/train/config_io.h"
#include "tools/train/config_table.h"
#include "tools/train/yaml.h"

namespace xlstm::train {
namespace {

using Overrides = std::vector<std::pair<std::string, std::string>>;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Loads the texts as files a.yaml, b.yaml, ...
RunConfig load(const std::vector<std::string>& texts, const Overrides& overrides = {}) {
  const TemporaryDir dir;
  std::vector<std::string> paths;
  for (const std::string& text : texts) {
    paths.push_back(dir.path(std::string(1, static_cast<char>('a' + paths.size())) + ".yaml"));
    real_file_system().write_file(paths.back(), text);
  }
  return load_run_config(paths, overrides);
}

std::string complaint(const std::vector<std::string>& texts, const Overrides& overrides = {}) {
  try {
    load(texts, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

const layers::XlstmModelConfig& paper(const RunConfig& config) {
  return std::get<layers::XlstmModelConfig>(config.model);
}

TEST_CASE("files and overrides are put together, the later wins key by key") {
  const RunConfig config =
      load({"trainer: {max_steps: 10, name: one}\nmodel: {embedding_dim: 64, num_blocks: 2}\n",
            "trainer:\n  max_steps: 20\noptimizer:\n  lr: 1e-4\ndata:\n"},
           {{"trainer.max_epochs", "3"},
            {"model.slstm_at", "[1]"},
            {"model.slstm_block.feedforward", "null"},
            {"model.mlstm_block.mlstm.num_heads", "2"},
            {"sample.prompts", "[a, 'b: c']"}});
  CHECK(config.trainer.max_steps == 20);
  CHECK(config.trainer.max_epochs == 3);
  CHECK(config.trainer.name == "one");
  CHECK(config.optimizer.lr == 1e-4);
  CHECK(paper(config).embedding_dim == 64);
  CHECK(paper(config).slstm_at.indices == std::vector<int64_t>{1});
  CHECK_FALSE(paper(config).slstm_block.feedforward.has_value());
  CHECK(paper(config).mlstm_block.mlstm.num_heads == 2);
  CHECK(config.sample.prompts == std::vector<std::string>{"a", "b: c"});
}

TEST_CASE("defaults alone are a valid configuration") {
  CHECK(load({}).seed_everything == 42);
  CHECK(load({"", "# nothing\n", "trainer:\n", "{}"}).trainer.max_steps == -1);
}

TEST_CASE("loggers are named, or all or none of them") {
  using Names = std::vector<std::string>;
  const Names all = {"tensorboard", "csv"};
  CHECK(load({}).trainer.logger == all);
  CHECK(load({"trainer: {logger: true}"}).trainer.logger == all);
  CHECK(load({"trainer: {logger: null}"}).trainer.logger == all);
  CHECK(load({"trainer: {logger: false}"}).trainer.logger.empty());
  CHECK(load({"trainer: {logger: []}"}).trainer.logger.empty());
  CHECK(load({"trainer: {logger: csv}"}).trainer.logger == Names{"csv"});
  CHECK(load({}, {{"trainer.logger", "[tensorboard]"}}).trainer.logger == Names{"tensorboard"});
  CHECK(contains(complaint({"trainer: {logger: [wandb]}"}),
                 "trainer.logger[0]: got \"wandb\", expected one of tensorboard, csv"));
  CHECK(contains(complaint({"trainer: {logger: {class_path: TensorBoardLogger}}"}),
                 "expected true, false, or a list such as [tensorboard, csv]"));
}

TEST_CASE("values with more than one spelling") {
  CHECK(load({"trainer: {max_time: 00:01:00:30}"}).trainer.max_time == 3630);
  CHECK(load({"trainer: {max_time: 12.5}"}).trainer.max_time == 12.5);
  CHECK(load({"trainer: {max_time: null}"}).trainer.max_time < 0);
  CHECK(load({"trainer: {val_check_interval: 0.25}"}).trainer.val_check_interval.is_fraction);
  CHECK(load({"trainer: {val_check_interval: 1.0}"}).trainer.val_check_interval.is_fraction);
  CHECK_FALSE(load({"trainer: {val_check_interval: 1}"}).trainer.val_check_interval.is_fraction);
  CHECK(load({"trainer: {limit_val_batches: 1.0}"}).trainer.limit_val_batches == -1);
  CHECK(load({"trainer: {limit_val_batches: 0}"}).trainer.limit_val_batches == 0);
  CHECK(load({"trainer: {limit_val_batches: 0.0}"}).trainer.limit_val_batches == 0);
  CHECK(load({"trainer: {devices: auto, precision: 64}"}).trainer.precision == "64-true");
  CHECK(load({"trainer: {precision: \"32\"}"}).trainer.precision == "32-true");
  CHECK(load({"trainer: {precision: 16}"}).trainer.precision == "16-mixed");
  CHECK(load({"trainer: {precision: bf16}"}).trainer.precision == "bf16-mixed");
  CHECK(load({"data: {context_length: 77, num_workers: 4}"}).data.max_length == 77);
  CHECK(load({"model: {slstm_at: all}"}).model.index() == 0);
  CHECK(paper(load({"model: {slstm_at: all}"})).slstm_at.all);
  CHECK(load({"sample: {prompts: only one}"}).sample.prompts.size() == 1);
  CHECK(load({"seed_everything: 7"}).seed_everything == 7);
  CHECK(load({"seed_everything: true"}).seed_everything >= 0);
  const RunConfig lightning =
      load({"optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 2e-3, eps: 1e-6}}"});
  CHECK(lightning.optimizer.name == "adamw");
  CHECK(lightning.optimizer.lr == 2e-3);
  CHECK(lightning.optimizer.eps == 1e-6);
  const RunConfig large =
      load({"model: {arch: xlstm_large, hidden_size: 64, num_heads: 4, num_hidden_layers: 3}"});
  CHECK(std::get<layers::XlstmLargeConfig>(large.model).embedding_dim == 64);
  CHECK(std::get<layers::XlstmLargeConfig>(large.model).num_blocks == 3);
}

struct WrongConfig {
  const char* text;
  const char* named;      // the key that the complaint must name
  const char* explained;  // and a part of the explanation
};

TEST_CASE("every wrong configuration is refused with key, value and what was expected") {
  static const std::vector<WrongConfig> kWrong = {
      {"trainer: {max_step: 10}", "trainer.max_step", "did you mean max_steps?"},
      {"trainer: {mxa_steps: 10}", "trainer.mxa_steps", "did you mean max_steps?"},
      {"lr: 1e-3", "lr", "did you mean optimizer.lr?"},
      {"trainner: {}", "trainner", "did you mean trainer?"},
      {"trainer: {zzzzzz: 1}", "trainer.zzzzzz", "unknown key"},
      {"model: {num_headz: 4}", "model.num_headz", "unknown key"},
      {"model: {gate_soft_cap: 15}", "model.gate_soft_cap", "of arch xlstm_large"},
      {"model: {mlstm_block: {mlstm: {num_head: 4}}}", "model.mlstm_block.mlstm.num_head",
       "did you mean num_heads?"},
      {"trainer: {max_steps: 1.5}", "trainer.max_steps", "got number 1.5, expected an integer"},
      {"trainer: {max_steps: 1e3}", "trainer.max_steps", "expected an integer"},
      {"trainer: {max_steps: ten}", "trainer.max_steps", "got string \"ten\""},
      {"trainer: {max_steps: '10'}", "trainer.max_steps", "got string \"10\""},
      {"trainer: {max_steps: null}", "trainer.max_steps", "got null"},
      {"trainer: {max_steps: [1]}", "trainer.max_steps", "got array of 1"},
      {"trainer: {max_steps: -2}", "trainer.max_steps", "got -2, expected -1 or more"},
      {"trainer: {max_steps: 99999999999999999999}", "99999999999999999999", "out of range"},
      {"trainer: {enable_progress_bar: yes}", "trainer.enable_progress_bar", "true or false"},
      {"trainer: {enable_progress_bar: 1}", "trainer.enable_progress_bar", "true or false"},
      {"trainer: {name: 7}", "trainer.name", "put it in quotes"},
      {"trainer: {name: a/b}", "trainer.name", "without '/'"},
      {"trainer: {name: ..}", "trainer.name", "without '/'"},
      {"trainer: {default_root_dir: ''}", "trainer.default_root_dir", "is empty"},
      {"trainer: {precision: 16-true}", "trainer.precision", "take 16-mixed"},
      {"trainer: {precision: 33-true}", "trainer.precision", "expected one of 32-true, 64-true"},
      {"trainer: {accelerator: tpu}", "trainer.accelerator", "expected one of auto, cpu, gpu"},
      {"trainer: {devices: 0}", "trainer.devices", "a number of devices from 1, or auto"},
      {"trainer: {devices: [0]}", "trainer.devices", "a number of devices from 1, or auto"},
      {"trainer: {devices: 1.5}", "trainer.devices", "a number of devices from 1, or auto"},
      {"trainer: {devices: 100000}", "trainer.devices", "got 100000"},
      {"trainer: {strategy: fsdp}", "trainer.strategy", "expected one of auto, ddp"},
      {"trainer: {num_nodes: 0}", "trainer.num_nodes", "got 0"},
      {"trainer: {bucket_mb: 0}", "trainer.bucket_mb", "got 0"},
      {"trainer: {reduce_dtype: float16}", "trainer.reduce_dtype",
       "expected one of float32, bfloat16"},
      {"trainer: {collective_timeout: 0}", "trainer.collective_timeout", "got 0"},
      {"trainer: {start_timeout: -1}", "trainer.start_timeout", "got -1"},
      {"trainer: {max_time: 1:30}", "trainer.max_time", "DD:HH:MM:SS"},
      {"trainer: {max_time: '00:00:00:-5'}", "trainer.max_time", "DD:HH:MM:SS"},
      {"trainer: {max_time: -5}", "trainer.max_time", "out of range"},
      {"trainer: {val_check_interval: 0}", "trainer.val_check_interval", "an integer from 1"},
      {"trainer: {val_check_interval: 1.5}", "trainer.val_check_interval", "part of an epoch"},
      {"trainer: {limit_val_batches: 0.5}", "trainer.limit_val_batches", "1.0 for all"},
      {"trainer: {log_every_n_steps: 0}", "trainer.log_every_n_steps", "expected 1 or more"},
      {"trainer: {accumulate_grad_batches: 0}", "trainer.accumulate_grad_batches", "got 0"},
      {"trainer: {gradient_clip_val: -1}", "trainer.gradient_clip_val", "got -1"},
      {"trainer: {gradient_clip_val: .inf}", "trainer.gradient_clip_val", "got string \".inf\""},
      {"trainer: {gradient_clip_val: 1e999}", "1e999", "out of range"},
      {"checkpoint: {keep_last: 0}", "checkpoint.keep_last", "got 0"},
      {"checkpoint: {save_top_k: -2}", "checkpoint.save_top_k", "got -2"},
      {"checkpoint: {monitor: accuracy}", "checkpoint.monitor", "expected one of val_loss"},
      {"checkpoint: {mode: best}", "checkpoint.mode", "expected one of min, max"},
      {"early_stopping: {patience: -1}", "early_stopping.patience", "got -1"},
      {"early_stopping: {min_delta: -1}", "early_stopping.min_delta", "got -1"},
      {"trainer: {limit_train_batches: 0.5}", "trainer.limit_train_batches", "1.0 for all"},
      {"trainer: {overfit_batches: -1}", "trainer.overfit_batches", "got -1"},
      {"trainer: {fast_dev_run: often}", "trainer.fast_dev_run", "expected an integer"},
      {"trainer: {check_val_every_n_epoch: 0}", "trainer.check_val_every_n_epoch", "got 0"},
      {"trainer: {gradient_clip_algorithm: value}", "trainer.gradient_clip_algorithm",
       "clipping is by norm"},
      {"trainer: {callbacks: 3}", "trainer.callbacks", "expected a list"},
      {"trainer: {callbacks: [{class_path: lightning.pytorch.callbacks.Timer}]}",
       "trainer.callbacks[0].class_path", "expected ModelCheckpoint, EarlyStopping"},
      {"trainer: {callbacks: [{class_path: ModelCheckpoint, init_args: {dirpath: x}}]}",
       "trainer.callbacks[0].init_args.dirpath", "not supported"},
      {"model: {inp_dim: 64, head_num: 4, head_dim: 8}", "model.head_dim",
       "expected inp_dim / head_num = 64 / 4"},
      {"model: {inp_dim: 64, head_dim: 8}", "model.head_dim", "needs head_num"},
      {"model: {p_factor: 2}", "model.p_factor", "expected two"},
      {"model: {inference_kw: {top_q: 2}}", "model.inference_kw.top_q", "unknown key"},
      {"model: {tokenizer: {class_path: a.B}}", "model.tokenizer", "the name of a tokenizer"},
      {"llm: {inp_dim: 64}\nmisc: {resume: x.ckpt}", "misc.resume", "--ckpt_path"},
      {"llm: {inp_dim: 64}\nlog: {colour: red}", "log.colour", "unknown key"},
      {"trainer: {num_threads: -1}", "trainer.num_threads", "expected 0 to 4096"},
      {"trainer: {slstm_recompute_steps: -1}", "trainer.slstm_recompute_steps",
       "got -1, expected 0 or more"},
      {"trainer: [1]", "trainer", "expected a section"},
      {"trainer: text", "trainer", "expected a section"},
      {"seed_everything: -1", "seed_everything", "got -1"},
      {"seed_everything: false", "seed_everything", "true for a random seed"},
      {"model: {arch: gpt}", "model.arch", "expected one of xlstm, xlstm_large"},
      {"model: {embedding_dim: 0}", "model.embedding_dim", "got 0"},
      {"model: {embedding_dim: 30, slstm_at: [0]}", "model", "num_heads"},
      {"model: {num_blocks: 0}", "model.num_blocks", "got 0"},
      {"model: {dropout: 1}", "model.dropout", "got 1"},
      {"model: {slstm_at: [5]}", "model", "slstm_at"},
      {"model: {slstm_at: [0, x]}", "model.slstm_at[1]", "got string \"x\""},
      {"model: {slstm_at: some}", "model.slstm_at", "or all"},
      {"model: {signature: [1, 2, 3]}", "model", "signature"},
      {"model: {arch: xlstm_large}", "model", "embedding_dim"},
      {"model: {slstm_block: {slstm: {backend: triton}}}", "model.slstm_block.slstm.backend",
       "expected one of cuda, vanilla"},
      {"model: {slstm_block: {feedforward: {act_fn: tanhh}}, slstm_at: [0]}", "model", "tanhh"},
      {"data: {batch_size: 0}", "data.batch_size", "got 0"},
      {"data: {max_length: 8, context_length: 9}", "data.context_length", "stands for max_length"},
      {"data: {root: ''}", "data.root", "is empty"},
      {"data: {sources: [{weight: 2}]}", "data.sources[0].root", "is missing"},
      {"data: {sources: [{root: a, weight: 0}]}", "data.sources[0].weight", "a positive number"},
      {"data: {sources: [{root: a, wieght: 1}]}", "data.sources[0].wieght", "did you mean weight?"},
      {"data: {sources: a}", "data.sources", "expected a list"},
      {"data: {vocab_size: 256}", "data.vocab_size", "expected 257"},
      {"optimizer: {name: adam}", "optimizer.name", "expected one of adamw, sgd"},
      {"optimizer: {lr: fast}", "optimizer.lr", "expected a number"},
      {"optimizer: {lr: -0.1}", "optimizer.lr", "got -0.1"},
      {"optimizer: {betas: [0.9]}", "optimizer.betas", "expected 2"},
      {"optimizer: {betas: [0.9, 1.0]}", "optimizer.betas[1]", "got 1, expected 0 to 0.9999999999"},
      {"optimizer: {betas: 0.9}", "optimizer.betas", "expected a list"},
      {"optimizer: {eps: 0}", "optimizer.eps", "got 0"},
      {"optimizer: {class_path: torch.optim.Lion}", "optimizer.class_path", "torch.optim.AdamW"},
      {"lr_scheduler: {name: step}", "lr_scheduler.name", "cosine"},
      {"lr_scheduler: {warmup_steps: 60, cooldown_steps: 50}\ntrainer: {max_steps: 100}",
       "lr_scheduler.warmup_steps", "expected at most 100"},
      {"lr_scheduler: {min_lr: 0.5}", "lr_scheduler.min_lr", "above optimizer.lr"},
      {"lr_scheduler: {name: exponential}", "lr_scheduler.min_lr", "exponential"},
      {"sample: {temperature: -1}", "sample.temperature", "got -1"},
      {"sample: {max_new_tokens: 0}", "sample.max_new_tokens", "got 0"},
      {"sample: {prompts: [1]}", "sample.prompts[0]", "put it in quotes"},
      {"trainer: {max_steps: 1}\ntrainer: {max_epochs: 1}", "a.yaml:2",
       "duplicate key \"trainer\""},
      {"trainer: {max_steps: 1, max_steps: 2}", "a.yaml:1", "duplicate key \"max_steps\""},
      {"trainer: {max_steps: !!int 5}", "a.yaml:1", "tags are not supported"},
      {"a: !!python/object:os.system x", "a.yaml:1", "tags are not supported"},
      {"? [a]\n: 1", "a.yaml:1", "a key must be a plain word"},
      {"trainer: {max_steps: 1\n", "a.yaml:", "not valid YAML"},
      {"--- {}\n--- {}\n", "a.yaml", "more than one YAML document"},
      {"[1, 2]", "a.yaml", "expected sections"},
      {"hello", "a.yaml", "expected sections"},
      {"\xff: 1", "a.yaml", "not UTF-8"},
      {"a: \"\\ud800\"", "a.yaml:1", ""},
      {"\x01: 1", "a.yaml", "control character at byte 0"},
      {"trainer: {limit_val_batches: -2}", "trainer.limit_val_batches", "got -2"},
      {"data: {n_stories: 100000000}", "data.n_stories", "got 100000000, expected 1 to 500000"},
      {"model: {num_blocks: 65536}", "model.num_blocks", "got 65536, expected 1 to 1024"},
      {"model: {signature: [7, 1], num_layers: 1000}", "model", "got 8000, expected at most 1024"},
      {"model: {arch: xlstm_large, num_blocks: 65536}", "model.num_blocks", "expected 1 to 1024"},
  };
  CHECK(kWrong.size() >= 60);
  for (const WrongConfig& wrong : kWrong) {
    INFO(wrong.text);
    const std::string said = complaint({wrong.text});
    INFO(said);
    CHECK(contains(said, wrong.named));
    CHECK(contains(said, wrong.explained));
  }
}

// The sections of the file as the didactic repository has them.
TEST_CASE("the didactic repository's llm.yaml is read key by key") {
  const RunConfig config = load({R"(
llm:
  vocab_size: 50257
  num_layers: 8
  signature: [7, 1]
  inp_dim: 64
  head_dim: 16
  head_num: 4
  p_factor: [2, 1.33333]
  ker_size: 4
  prompt: [Once upon a time, In a galaxy]
  token_lim: 256
  use_top_k: 50
  temperature: 1.
tokenizer:
  name: openai-community/gpt2
  special_tokens: {pad: <|pad|>}
dataset: {root: /data/stories, read_chunk: 1024}
misc: {resume: null}
train:
  max_epochs: 100
  accelerator: gpu
  devices: 1
  strategy: ddp_find_unused_parameters_false
  precision: 16
  log_every_n_steps: 1
  batch_size: 64
log: {log_dir: /logs, run_name: llm-xlstm, version: null}
ckpt: {monitor: val_loss, save_last: true}
)"});
  const layers::XlstmModelConfig& model = paper(config);
  CHECK(model.vocab_size == 50257);
  CHECK(model.embedding_dim == 64);
  CHECK(model.num_layers == 8);
  CHECK(model.signature == std::vector<int64_t>{7, 1});
  CHECK(model.mlstm_block.mlstm.num_heads == 4);
  CHECK(model.mlstm_block.mlstm.proj_factor == 2);
  CHECK(model.mlstm_block.mlstm.conv1d_kernel_size == 4);
  CHECK(model.slstm_block.slstm.num_heads == 4);
  CHECK(model.slstm_block.slstm.conv1d_kernel_size == 4);
  REQUIRE(model.slstm_block.feedforward.has_value());
  CHECK(model.slstm_block.feedforward->proj_factor == 1.33333);
  CHECK(config.sample.prompts == std::vector<std::string>{"Once upon a time", "In a galaxy"});
  CHECK(config.sample.options.max_new_tokens == 256);
  CHECK(config.sample.options.top_k == 50);
  CHECK(config.sample.options.temperature == 1);
  CHECK(config.data.tokenizer == "openai-community/gpt2");
  CHECK(config.data.root == "/data/stories");
  CHECK(config.data.batch_size == 64);
  CHECK(config.trainer.max_epochs == 100);
  CHECK(config.trainer.accelerator == "gpu");
  CHECK(config.trainer.strategy == "ddp");
  CHECK(config.trainer.precision == "16-mixed");
  CHECK(config.trainer.log_every_n_steps == 1);
  CHECK(config.trainer.default_root_dir == "/logs");
  CHECK(config.trainer.name == "llm-xlstm");
  CHECK(config.checkpoint.monitor == "val_loss");
}

TEST_CASE("LightningCLI's spelling of model, tokenizer, callbacks and optimizer") {
  const RunConfig config = load({R"(
model:
  num_layers: 1
  signature: [1, 1]
  inp_dim: 32
  head_dim: 8
  head_num: 4
  p_factor: [2, 1.5]
  ker_size: 3
  tokenizer:
    class_path: transformers.AutoTokenizer
    init_args: {pretrained_model_name_or_path: gpt2}
  inference_kw: {prompt: Hello, token_lim: 7, use_top_k: 5, temperature: 0.5}
optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 1e-4, weight_decay: 0.5}}
data: {root: /data, read_chunk: 2048, num_workers: 4, batch_size: 2}
trainer:
  precision: bf16
  gradient_clip_algorithm: norm
  fast_dev_run: true
  callbacks:
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {monitor: train_loss, mode: max, save_top_k: 3, save_last: true,
                  every_n_train_steps: 50}
    - class_path: EarlyStopping
      init_args: {monitor: val_loss, min_delta: 0.1}
    - class_path: LearningRateMonitor
      init_args: {logging_interval: step}
)"});
  CHECK(paper(config).embedding_dim == 32);
  CHECK(paper(config).slstm_block.slstm.conv1d_kernel_size == 3);
  CHECK(config.data.tokenizer == "gpt2");
  CHECK(config.sample.prompts == std::vector<std::string>{"Hello"});
  CHECK(config.sample.options.max_new_tokens == 7);
  CHECK(config.optimizer.lr == 1e-4);
  CHECK(config.optimizer.weight_decay == 0.5);
  CHECK(config.trainer.precision == "bf16-mixed");
  CHECK(config.trainer.fast_dev_run == 1);
  CHECK(config.checkpoint.monitor == "train_loss");
  CHECK(config.checkpoint.mode == "max");
  CHECK(config.checkpoint.save_top_k == 3);
  CHECK(config.checkpoint.every_n_train_steps == 50);
  CHECK(config.early_stopping.patience == 3);
  CHECK(config.early_stopping.min_delta == 0.1);
  // Names of before.
  const RunConfig old = load({"trainer: {keep_checkpoints: 7, checkpoint_every_n_steps: 9}"});
  CHECK(old.checkpoint.keep_last == 7);
  CHECK(old.checkpoint.every_n_train_steps == 9);
}

TEST_CASE("all complaints come together, each with its source") {
  const std::string said = complaint(
      {"trainer: {max_step: 1, log_every_n_steps: 0}\nmodel: {embedding_dim: 30, slstm_at: [0]}\n",
       "optimizer: {lr: x}"},
      {{"data.batch_size", "no"}, {"sample.top_k", "[1"}, {"..", "1"}});
  CHECK(contains(said, "7 errors"));
  CHECK(contains(said, "trainer.max_step: unknown key (did you mean max_steps?) ["));
  CHECK(contains(said, "a.yaml]"));
  CHECK(contains(said, "b.yaml]"));
  CHECK(contains(said, "data.batch_size: got string \"no\", expected an integer [command line]"));
  CHECK(contains(said, "--sample.top_k:1: not valid YAML"));
  CHECK(contains(said, "num_heads"));
}

TEST_CASE("a missing file is a FileError that names it") {
  CHECK_THROWS_AS(load_run_config({"/nowhere/x.yaml"}, {}), FileError);
}

TEST_CASE("the effective configuration reads back the same, as YAML and as JSON") {
  for (const std::string& text :
       {std::string(),
        std::string("model: {arch: xlstm_large, embedding_dim: 64, num_heads: 4, "
                    "num_blocks: 2}\n"),
        std::string("trainer: {max_time: 60, val_check_interval: 7, name: \"a b: #c\"}\n"
                    "model: {num_blocks: 4, slstm_at: [0, 2], slstm_block: {feedforward: null}}\n"
                    "optimizer: {lr: 0.1, eps: 1e-30}\nsample: {prompts: ['', \"x\\ny\", 'no']}\n"
                    "data: {root: '7'}")}) {
    const Json effective = run_config_to_json(load({text}));
    CHECK(run_config_to_json(load({to_yaml(effective)})) == effective);
    CHECK(run_config_to_json(load({to_text(effective, 2)})) == effective);
    CHECK(run_config_to_json(run_config_from_json(effective, "x")) == effective);
    CHECK(parse_yaml(to_yaml(effective), "x") == effective);
  }
}

void collect_leaves(const Json& value, const std::string& path, std::set<std::string>& leaves) {
  if (!value.is_object()) {
    leaves.insert(path);
    return;
  }
  for (const auto& [key, member] : value.as_object())
    collect_leaves(member, path.empty() ? key : path + "." + key, leaves);
}

TEST_CASE("every key has a rule and every rule a key") {
  std::set<std::string> leaves;
  for (const bool large : {false, true}) {
    RunConfig config;
    if (large) config.model = layers::XlstmLargeConfig{};
    Json json = run_config_to_json(config);
    Json model = *json.find("model");
    json.set("model", Json());
    collect_leaves(json, "", leaves);
    std::set<std::string> model_leaves;
    collect_leaves(model, large ? "xlstm_large" : "xlstm", model_leaves);
    leaves.insert(model_leaves.begin(), model_leaves.end());
  }
  leaves.erase("model");
  leaves.erase("xlstm.arch");
  leaves.erase("xlstm_large.arch");
  leaves.insert("model.arch");
  leaves.insert("xlstm.slstm_block.feedforward");
  for (const std::string& leaf : leaves) {
    INFO(leaf);
    CHECK(find_rule(leaf) != nullptr);
  }
  std::set<std::string> ruled;
  for (const KeyRule& rule : key_rules()) {
    INFO(rule.path);
    CHECK(leaves.count(std::string(rule.path)) == 1);
    CHECK(ruled.insert(std::string(rule.path)).second);
    CHECK(rule.text.size() > 8);
    CHECK(rule.text.back() == '.');
  }
}

TEST_CASE("docs/configuration.md is up to date") {
  const std::string path = testing::data_path("docs/configuration.md");
  if (std::getenv("XLSTM_UPDATE_DOCS") != nullptr)
    real_file_system().write_file(path, configuration_page());
  CHECK(real_file_system().read_file(path) == configuration_page());
}

TEST_CASE("scalars follow the core schema of YAML 1.2") {
  const auto value = [](const std::string& text) { return parse_yaml_value(text, "x"); };
  CHECK(value("1e-4") == Json(1e-4));
  CHECK(value("1.") == Json(1.0));
  CHECK(value(".5") == Json(0.5));
  CHECK(value("-.5e+2") == Json(-50.0));
  CHECK(value("+3") == Json(int64_t{3}));
  CHECK(value("-0") == Json(int64_t{0}));
  CHECK(value("007") == Json(int64_t{7}));
  CHECK(value("0x1F") == Json(int64_t{31}));
  CHECK(value("0o17") == Json(int64_t{15}));
  for (const char* text : {"yes", "No", "on", "1_000", "1e", "e5", ".", "-", "1.2.3", "0x", "0xg",
                           "0x-1", "1:30", ".inf", ".nan", "nan", "12 ", "a: b", "#x"})
    CHECK(value(text).is_string());
  for (const char* text : {"", "~", "null"}) CHECK(value(text).is_null());
  CHECK(value("'5'") == Json("5"));
  CHECK(value("\"a\\nb\"") == Json("a\nb"));
  CHECK(value("{a: [1, x]}") == parse_json("{\"a\":[1,\"x\"]}", "x"));
}

TEST_CASE("YAML that would eat time or memory is refused") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = std::to_string(i - 1), now = std::to_string(i);
    bomb += "a" + now + ": &a" + now + " [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ", *a" : "*a") + before;
    bomb += "]\n";
  }
  CHECK_THROWS_AS(parse_yaml(bomb, "x"), ConfigError);
  CHECK_THROWS_AS(parse_yaml(std::string(100000, '['), "x"), ConfigError);
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  CHECK_THROWS_AS(parse_yaml(deep + std::string(100, ' ') + "a: 1", "x"), ConfigError);
  CHECK_THROWS_AS(parse_yaml("a: *nowhere", "x"), ConfigError);
  CHECK_THROWS_AS(parse_yaml(",a:nul", "x"), ConfigError);  // yaml-cpp's LoadAll never returns
  CHECK(parse_yaml("a: &x [1]\nb: *x", "x").find("b")->size() == 1);
}

}  // namespace
}  // namespace xlstm::train
