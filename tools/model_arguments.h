// What commands that use a trained model ask for alike.
#pragma once

#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/train/saved_model.h"

namespace xlstm::cli {

struct ModelArguments {
  std::vector<std::string> configs;
  std::string ckpt_path = "last", tokenizer;
};

// --ckpt_path, --config and --tokenizer.
void add_model_options(CLI::App& command, ModelArguments& arguments);
// With the keys among the arguments that no option of the command took.
train::SavedModel load_model(const ModelArguments& arguments, const CLI::App& command);

}  // namespace xlstm::cli
