#include "tools/train/saved_model.h"

#include "core/checkpoint.h"
#include "tools/train/config_io.h"
#include "tools/train/memory_limit.h"
#include "tools/train/model_file.h"
#include "tools/train/placement.h"
#include "tools/train/run_folder.h"
#include "tools/train/tokenizer_path.h"
#include "tools/train/yaml.h"

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

bool is_checkpoint(const std::string& path, const FileSystem& files) {
  return files.exists(join_path(path, "manifest.json"));
}

// The weights file of a checkpoint stands for the checkpoint.
std::string checkpoint_of(const std::string& path, const FileSystem& files) {
  const std::string folder = FileSystem::parent_dir(path);
  const bool inside = path.ends_with("model.safetensors") && files.exists(path) &&
                      !files.is_dir(path) && is_checkpoint(folder, files);
  return inside ? folder : path;
}

std::string folder_of(const std::string& path, const FileSystem& files) {
  return files.is_dir(path) ? path : FileSystem::parent_dir(path);
}

// A configuration beside weights of other origin. Other programs name theirs alike, but have no
// section `model` in it.
std::vector<std::string> configs_beside(const std::string& weights, const FileSystem& files) {
  for (const char* name : {"config.json", "config.yaml"}) {
    const std::string path = join_path(folder_of(weights, files), name);
    if (!files.exists(path)) continue;
    const std::string text = files.read_file(path, int64_t{16} << 20);
    const Json json = path.ends_with(".json") ? parse_json(text, path) : parse_yaml(text, path);
    if (const Json* model = json.find("model"); model != nullptr && model->is_object())
      return {path};
  }
  return {};
}

RunConfig load_foreign_config(const SavedModelRequest& request, const FileSystem& files) {
  const std::vector<std::string> configs =
      request.configs.empty() ? configs_beside(request.ckpt_path, files) : request.configs;
  const RunConfig config = load_run_config(configs, request.overrides, files);
  const int64_t n_vocab =
      std::visit([](const auto& model) { return model.vocab_size; }, config.model);
  require<ConfigError>(
      n_vocab > 0 || !configs.empty(), "weights: ", request.ckpt_path,
      ": no config.json with a section \"model\" was found beside it, expected one "
      "there, or --config FILE");
  require<ConfigError>(n_vocab > 0,
                       "model.vocab_size: got 0, expected the rows of the embedding in ",
                       request.ckpt_path, " (say it in --config)");
  return config;
}

}  // namespace

RunConfig load_checkpoint_config(const std::string& checkpoint,
                                 const std::vector<std::string>& configs,
                                 const Overrides& overrides, const FileSystem& files) {
  Checkpoint::open(checkpoint, files).read_text("config.json");  // compares it with the manifest
  std::vector<std::string> all = {join_path(checkpoint, "config.json")};
  all.insert(all.end(), configs.begin(), configs.end());
  return load_run_config(all, overrides, files);
}

SavedModel load_saved_model(const SavedModelRequest& request, const FileSystem& files) {
  SavedModel saved;
  saved.path = checkpoint_of(request.ckpt_path, files);
  if (is_foreign(saved.path, files)) {
    saved.config = load_foreign_config(request, files);
  } else {
    // `last` depends on where runs are kept, which the given config may say.
    const RunConfig given = load_run_config(request.configs, request.overrides, files);
    saved.path =
        resolve_checkpoint(saved.path, given.trainer.default_root_dir, given.trainer.name, files);
    saved.config = load_checkpoint_config(saved.path, request.configs, request.overrides, files);
  }
  require_model_fits(saved.config, ModelUse::inference);
  if (auto* paper = std::get_if<layers::XlstmModelConfig>(&saved.config.model);
      paper != nullptr && request.exact_gradients)
    paper->mlstm_block.mlstm.stabilizer_gradient = true;
  const Placement placement = inference_placement(saved.config.trainer);
  saved.model = layers::make_language_model(saved.config.model,
                                            static_cast<uint64_t>(saved.config.seed_everything),
                                            placement.parameters);
  saved.layout = load_weights(*saved.model, saved.path, files);
  if (request.exact_gradients) {
    place(*saved.model, placement);
    add_copies(*saved.model, placement);
  } else {
    place_for_inference(*saved.model, placement);
  }
  return saved;
}

data::Tokenizer load_tokenizer_of(const SavedModel& saved, const std::string& path,
                                  const FileSystem& files) {
  if (!path.empty()) return data::Tokenizer::load(path, files);
  const std::string folder = folder_of(saved.path, files);
  if (is_checkpoint(folder, files)) {
    const std::string text = Checkpoint::open(folder, files).read_text("tokenizer.json");
    return data::Tokenizer::from_json(text, join_path(folder, "tokenizer.json"));
  }
  for (const char* name : {"tokenizer.json", "vocab.json"})
    if (files.exists(join_path(folder, name)))
      return data::Tokenizer::load(
          std::string_view(name) == "vocab.json" ? folder : join_path(folder, name), files);
  require<ConfigError>(saved.config.data.tokenizer != "train",
                       "tokenizer: none beside the weights in ", folder,
                       ", expected tokenizer.json there, or --tokenizer PATH");
  return data::Tokenizer::load(find_tokenizer(saved.config.data.tokenizer, files), files);
}

std::string cache_dir_of(const RunConfig& config) {
  return config.data.cache_dir.empty() ? join_path(config.trainer.default_root_dir, "cache")
                                       : config.data.cache_dir;
}

}  // namespace xlstm::train
