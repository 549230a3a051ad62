#include "tools/model_arguments.h"

namespace xlstm::cli {

void add_model_options(CLI::App& command, ModelArguments& arguments) {
  command.add_option("--ckpt_path", arguments.ckpt_path,
                     "a checkpoint folder, a run folder, a .safetensors file, last or best");
  command.add_option("--config,-c", arguments.configs,
                     "YAML or JSON; not needed for our own checkpoints");
  command.add_option("--tokenizer", arguments.tokenizer,
                     "folder or tokenizer.json; default: the checkpoint's");
}

train::SavedModel load_model(const ModelArguments& arguments, const CLI::App& command) {
  return train::load_saved_model({.ckpt_path = arguments.ckpt_path,
                                  .configs = arguments.configs,
                                  .overrides = parse_overrides(command.remaining())});
}

}  // namespace xlstm::cli
