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

using Overrides = std::vector<std::pair<std::string, std::string>>;

struct SavedModelRequest {
  // As in resolve_checkpoint, or weights of other origin: a .safetensors file, or a folder of them.
  std::string ckpt_path = "last";
  // On top of the checkpoint's own config. Weights of other origin need the whole config, here or
  // in a config.json (or config.yaml) beside them.
  std::vector<std::string> configs = {};
  Overrides overrides = {};
  // The mLSTM's backward includes what training leaves out (stabilizer_gradient), for comparisons.
  bool exact_gradients = false;
};

// Everything read from a checkpoint is compared with its manifest. FileError, FormatError,
// ConfigError; OutOfMemory, before anything is allocated, if the model cannot fit.
SavedModel load_saved_model(const SavedModelRequest& request,
                            const FileSystem& files = real_file_system());

// The config of a checkpoint folder with `configs` and `overrides` on top. FormatError if its
// config.json is damaged.
RunConfig load_checkpoint_config(const std::string& checkpoint,
                                 const std::vector<std::string>& configs,
                                 const Overrides& overrides, const FileSystem& files);

// The tokenizer at `path`; if that is empty, the one beside the weights, or the config's.
data::Tokenizer load_tokenizer_of(const SavedModel& saved, const std::string& path,
                                  const FileSystem& files = real_file_system());

// Where token files and trained tokenizers are kept.
std::string cache_dir_of(const RunConfig& config);

}  // namespace xlstm::train
