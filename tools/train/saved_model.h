// A trained model with what is needed to use it, from whatever path the user gave.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/bpe_tokenizer.h"
#include "layers/language_model.h"
#include "layers/official_names.h"
#include "tools/train/config.h"

namespace xlstm::train {

struct SavedModel {
  RunConfig config;
  std::unique_ptr<layers::LanguageModel> model;
  layers::StateLayout layout;  // that the files had
  std::string path;            // the checkpoint folder or weights file
};

// `ckpt_path` as in resolve_checkpoint, or weights of other origin (a .safetensors file, or a
// folder of them), which then need a config. The checkpoint's own config is the base; `configs` and
// `overrides` go on top. With `exact_gradients` the mLSTM's backward includes what training leaves
// out (stabilizer_gradient), for comparisons. FileError, FormatError, ConfigError.
SavedModel load_saved_model(const std::string& ckpt_path, const std::vector<std::string>& configs,
                            const std::vector<std::pair<std::string, std::string>>& overrides,
                            bool exact_gradients = false,
                            const FileSystem& files = real_file_system());

// The tokenizer at `path`; if that is empty, the one beside the weights, or the config's.
data::Tokenizer load_tokenizer_of(const SavedModel& saved, const std::string& path,
                                  const FileSystem& files = real_file_system());

// Where token files and trained tokenizers are kept.
std::string cache_dir_of(const RunConfig& config);

}  // namespace xlstm::train
