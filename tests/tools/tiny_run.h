// A run small enough to be trained to the end within a test.
#pragma once

#include <sstream>
#include <string>

#include "data/stories/stories.h"
#include "tests/core/temporary_dir.h"
#include "tools/train/trainer.h"

namespace xlstm::train {

class TinyRun {
 public:
  // xLSTM[1:1], width 16, on 80 stories, 12 steps of 2 x 2 x 24 tokens with dropout, on the CPU
  // unless a test says otherwise.
  TinyRun() {
    data::write_story_corpus(dir.path("text"), 3, 80);
    config.trainer.accelerator = "cpu";
    config.trainer.default_root_dir = dir.path("runs");
    config.trainer.max_steps = 12;
    config.trainer.accumulate_grad_batches = 2;
    config.trainer.val_check_interval = {6, false};
    config.trainer.limit_val_batches = 2;
    config.trainer.log_every_n_steps = 1;
    config.checkpoint.keep_last = 100;
    config.data.root = dir.path("text");
    config.data.vocab_size = 300;
    config.data.max_length = 24;
    config.data.batch_size = 2;
    layers::XlstmModelConfig model;
    model.embedding_dim = 16;
    model.num_blocks = 2;
    model.signature = {1, 1};
    model.dropout = 0.1;
    model.mlstm_block.mlstm.num_heads = 2;
    model.slstm_block.slstm.num_heads = 2;
    config.model = model;
    config.lr_scheduler.total_steps = 12;
    config.sample.prompts = {"Once"};
    config.sample.options.max_new_tokens = 4;
  }

  TrainerServices services() { return {.out = &out}; }

  TemporaryDir dir;
  RunConfig config;
  std::ostringstream out;
};

// The bytes of all parameters, one after the other.
inline std::string weight_bytes(const layers::LanguageModel& model) {
  std::string bytes;
  for (const Tensor& parameter : model.parameters())
    bytes.append(static_cast<const char*>(parameter.raw()),
                 static_cast<size_t>(parameter.numel() * size_of(parameter.dtype())));
  return bytes;
}

}  // namespace xlstm::train
