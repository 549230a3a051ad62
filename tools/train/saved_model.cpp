#include "tools/train/saved_model.h"

#include "tools/train/config_io.h"
#include "tools/train/model_file.h"
#include "tools/train/run_folder.h"

namespace xlstm::train {
namespace {

// True for paths that can only be weights written by others.
bool is_foreign(const std::string& path, const FileSystem& files) {
  if (path == "last" || !files.exists(path)) return false;
  if (!files.is_dir(path)) return true;
  return !files.exists(join_path(path, "manifest.json")) &&
         !files.exists(join_path(path, "checkpoints")) &&
         (files.exists(join_path(path, "model.safetensors")) ||
          files.exists(join_path(path, "config.yaml")) ||
          files.exists(join_path(path, "model_0.safetensors")) ||
          files.exists(join_path(path, "model.safetensors.index.json")));
}

}  // namespace

SavedModel load_saved_model(const std::string& ckpt_path, const std::vector<std::string>& configs,
                            const std::vector<std::pair<std::string, std::string>>& overrides,
                            bool exact_gradients, const FileSystem& files) {
  SavedModel saved;
  if (is_foreign(ckpt_path, files)) {
    saved.path = ckpt_path;
    saved.config = load_run_config(configs, overrides, files);
  } else {
    // `last` depends on where runs are kept, which the given config may say.
    const RunConfig given = load_run_config(configs, overrides, files);
    saved.path =
        resolve_checkpoint(ckpt_path, given.trainer.default_root_dir, given.trainer.name, files);
    std::vector<std::string> all = {join_path(saved.path, "config.json")};
    all.insert(all.end(), configs.begin(), configs.end());
    saved.config = load_run_config(all, overrides, files);
  }
  if (auto* paper = std::get_if<layers::XlstmModelConfig>(&saved.config.model);
      paper != nullptr && exact_gradients)
    paper->mlstm_block.mlstm.stabilizer_gradient = true;
  const DType dtype = saved.config.trainer.precision == "64-true" ? DType::f64 : DType::f32;
  saved.model = layers::make_language_model(
      saved.config.model, static_cast<uint64_t>(saved.config.seed_everything), dtype);
  saved.layout = load_weights(*saved.model, saved.path, files);
  return saved;
}

data::Tokenizer load_tokenizer_of(const SavedModel& saved, const std::string& path,
                                  const FileSystem& files) {
  if (!path.empty()) return data::Tokenizer::load(path, files);
  const std::string folder =
      files.is_dir(saved.path) ? saved.path : FileSystem::parent_dir(saved.path);
  for (const char* name : {"tokenizer.json", "vocab.json"})
    if (files.exists(join_path(folder, name)))
      return data::Tokenizer::load(
          std::string_view(name) == "vocab.json" ? folder : join_path(folder, name), files);
  require<ConfigError>(saved.config.data.tokenizer != "train",
                       "tokenizer: none beside the weights in ", folder,
                       ", expected tokenizer.json there, or --tokenizer PATH");
  return data::Tokenizer::load(saved.config.data.tokenizer, files);
}

std::string cache_dir_of(const RunConfig& config) {
  return config.data.cache_dir.empty() ? join_path(config.trainer.default_root_dir, "cache")
                                       : config.data.cache_dir;
}

}  // namespace xlstm::train
