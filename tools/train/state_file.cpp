#include "tools/train/state_file.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "core/hex.h"
#include "core/safetensors.h"

namespace xlstm::train {
namespace {

constexpr const char* kFormat = "xlstm-state";
constexpr int64_t kVersion = 1;
constexpr int64_t kElementsOfParameter = 1024;  // that the fingerprint looks at
constexpr const char* kStatePrefix = "state.";

void add(Hasher& hasher, std::string_view text) {
  // With its length, so that no two lists of texts are the same bytes.
  const std::string length = std::to_string(text.size()) + ":";
  hasher.add(std::as_bytes(std::span(length)));
  hasher.add(std::as_bytes(std::span(text)));
}

void add(Hasher& hasher, const std::string& name, const Tensor& tensor) {
  add(hasher, name);
  add(hasher, name_of(tensor.dtype()));
  add(hasher, to_string(tensor.shape()));
  const Tensor dense = tensor.clone();
  hasher.add({static_cast<const std::byte*>(dense.raw()),
              static_cast<size_t>(dense.numel() * size_of(dense.dtype()))});
}

std::string hash_of(const NamedTensors& tensors, const StringMap& metadata) {
  Hasher hasher;
  for (const auto& [key, value] : metadata) {
    if (key == "hash") continue;
    add(hasher, key);
    add(hasher, value);
  }
  std::map<std::string, Tensor> sorted(tensors.begin(), tensors.end());
  for (const auto& [name, tensor] : sorted) add(hasher, name, tensor);
  return hasher.hex();
}

std::string weights_hash(const layers::LanguageModel& model) {
  Hasher hasher;
  for (const auto& [name, parameter] : model.named_parameters()) {
    const int64_t n = std::min(parameter.numel(), kElementsOfParameter);
    const Tensor flat = parameter.detach().strided_view({n}, {1});
    add(hasher, name, flat.to(kCpu));
  }
  return hasher.hex();
}

std::string text_of(const StringMap& metadata, const std::string& key, const std::string& path) {
  const auto found = metadata.find(key);
  require<FormatError>(found != metadata.end(), path, ": no \"", key,
                       "\" in its __metadata__, expected a state file of xlstm generate");
  return found->second;
}

int64_t count_of(const StringMap& metadata, const std::string& key, const std::string& path) {
  const std::string text = text_of(metadata, key, path);
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require<FormatError>(error == std::errc() && end == text.data() + text.size() && value >= 0, path,
                       ": ", key, ": got \"", text, "\", expected a whole number");
  return value;
}

void check_owner(const StringMap& metadata, const StateOwner& owner, const std::string& path) {
  const struct {
    const char* key;
    const std::string& want;
    const char* what;
  } rows[] = {{"config", owner.config, "a model of another configuration"},
              {"weights", owner.weights, "a model of other weights or another precision"},
              {"tokenizer", owner.tokenizer, "another tokenizer"}};
  for (const auto& row : rows) {
    const std::string got = text_of(metadata, row.key, path);
    require<FormatError>(got == row.want, path, ": a state of ", row.what, ", got ", row.key, " ",
                         got, ", expected ", row.want,
                         " (a state goes with the checkpoint that made it)");
  }
}

Tensor take(const SafetensorsFile& file, const std::string& name, const Shape& shape,
            bool is_floating_point) {
  const SafetensorsFile::TensorInfo& info = file.info(name);
  require<FormatError>(info.shape == shape, file.path(), ": ", name, ": got ",
                       to_string(info.shape), ", expected ", to_string(shape));
  require<FormatError>(info.dtype.has_value() && (is_floating_point ? is_floating(*info.dtype)
                                                                    : *info.dtype == DType::u8),
                       file.path(), ": ", name, ": got elements of type ", info.dtype_name,
                       ", expected ", is_floating_point ? "floating-point numbers" : "U8");
  return file.load(name);
}

}  // namespace

StateOwner StateOwner::of(const layers::LanguageModel& model, const data::Tokenizer& tokenizer) {
  return {hash_hex(std::string(model.arch()) + model.config_text()), weights_hash(model),
          to_hex(tokenizer.fingerprint())};
}

void save_text_state(const std::string& path, const TextState& text, const StateOwner& owner,
                     FileSystem& files) {
  require<ConfigError>(!text.empty(), "state: ", path,
                       ": nothing was read yet, expected a text before saving");
  NamedTensors tensors;
  for (const auto& [name, tensor] : text.state.named_tensors())
    tensors.emplace_back(kStatePrefix + name, tensor.detach().to(kCpu));
  tensors.emplace_back("logits", text.logits.detach().to(kCpu));
  tensors.emplace_back("seen", Tensor::from(text.seen, {static_cast<int64_t>(text.seen.size())}));
  StringMap metadata = {{"format", kFormat},
                        {"version", std::to_string(kVersion)},
                        {"config", owner.config},
                        {"weights", owner.weights},
                        {"tokenizer", owner.tokenizer},
                        {"n_read", std::to_string(text.n_read)},
                        {"n_drawn", std::to_string(text.n_drawn)}};
  metadata["hash"] = hash_of(tensors, metadata);
  write_safetensors(path, tensors, metadata, files);
}

TextState load_text_state(const std::string& path, const layers::LanguageModel& model,
                          const StateOwner& owner, const FileSystem& files) {
  const SafetensorsFile file = SafetensorsFile::open(path, files);
  const StringMap& metadata = file.metadata();
  const std::string format = text_of(metadata, "format", path);
  require<FormatError>(format == kFormat, path, ": got the format \"", format, "\", expected \"",
                       kFormat, "\"");
  const int64_t version = count_of(metadata, "version", path);
  require<FormatError>(version == kVersion, path, ": got version ", version, " of the format, ",
                       "expected ", kVersion, " (it was written by another version of xlstm)");
  check_owner(metadata, owner, path);
  TextState text;
  text.n_read = count_of(metadata, "n_read", path);
  text.n_drawn = count_of(metadata, "n_drawn", path);
  require<FormatError>(text.n_read > 0, path, ": n_read: got 0, expected 1 or more");

  text.state = model.init_state(1);
  NamedTensors tensors;
  for (layers::BlockState& block : text.state.blocks) {
    const std::string prefix = kStatePrefix + std::string("blocks.") +
                               std::to_string(&block - text.state.blocks.data()) + ".";
    layers::for_each_tensor(block, [&](const char* name, Tensor& tensor) {
      if (!tensor.defined()) return;
      const Tensor loaded = take(file, prefix + name, tensor.shape(), true);
      tensors.emplace_back(prefix + name, loaded);
      tensor = loaded.to(model.device());
    });
  }
  const Tensor logits = take(file, "logits", {1, model.n_vocab()}, true);
  const Tensor seen = take(file, "seen", {model.n_vocab()}, false);
  tensors.emplace_back("logits", logits);
  tensors.emplace_back("seen", seen);
  require<FormatError>(file.tensors().size() == tensors.size(), path, ": got ",
                       file.tensors().size(), " tensors, expected ", tensors.size());
  const std::string hash = hash_of(tensors, metadata), noted = text_of(metadata, "hash", path);
  require<FormatError>(hash == noted, path, ": damaged: its content has the hash ", hash,
                       ", expected ", noted);
  text.logits = logits.to(model.device());
  text.seen = seen.to_vector<uint8_t>();
  return text;
}

}  // namespace xlstm::train
