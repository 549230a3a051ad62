#include "tools/train/state_format.h"

#include <charconv>
#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "core/safetensors.h"

namespace xlstm::train {
namespace {

constexpr const char* kFormat = "xlstm-state";
constexpr int64_t kVersion = 1;

void add(Hasher& hasher, std::string_view text) {
  // With its length, so that no two lists of texts are the same bytes.
  const std::string length = std::to_string(text.size()) + ":";
  hasher.add(std::as_bytes(std::span(length)));
  hasher.add(std::as_bytes(std::span(text)));
}

std::string hash_of(const NamedTensors& tensors, const StringMap& metadata) {
  Hasher hasher;
  for (const auto& [key, value] : metadata) {
    if (key == "hash") continue;
    add(hasher, key);
    add(hasher, value);
  }
  std::map<std::string, Tensor> sorted(tensors.begin(), tensors.end());
  for (const auto& [name, tensor] : sorted) hash_tensor(hasher, name, tensor);
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

Tensor take(const SafetensorsFile& file, const StateTensor& expected) {
  const SafetensorsFile::TensorInfo& info = file.info(expected.name);
  require<FormatError>(info.shape == expected.shape, file.path(), ": ", expected.name, ": got ",
                       to_string(info.shape), ", expected ", to_string(expected.shape));
  require<FormatError>(
      info.dtype.has_value() &&
          (expected.is_floating_point ? is_floating(*info.dtype) : *info.dtype == DType::u8),
      file.path(), ": ", expected.name, ": got elements of type ", info.dtype_name, ", expected ",
      expected.is_floating_point ? "floating-point numbers" : "U8");
  return file.load(expected.name);
}

}  // namespace

void hash_tensor(Hasher& hasher, const std::string& name, const Tensor& tensor) {
  add(hasher, name);
  add(hasher, name_of(tensor.dtype()));
  add(hasher, to_string(tensor.shape()));
  const Tensor dense = tensor.clone();
  hasher.add({static_cast<const std::byte*>(dense.raw()),
              static_cast<size_t>(dense.numel() * size_of(dense.dtype()))});
}

void write_state_file(const std::string& path, const StateContents& contents,
                      const StateOwner& owner, FileSystem& files) {
  StringMap metadata = {{"format", kFormat},
                        {"version", std::to_string(kVersion)},
                        {"config", owner.config},
                        {"weights", owner.weights},
                        {"tokenizer", owner.tokenizer},
                        {"n_read", std::to_string(contents.n_read)},
                        {"n_drawn", std::to_string(contents.n_drawn)}};
  metadata["hash"] = hash_of(contents.tensors, metadata);
  write_safetensors(path, contents.tensors, metadata, files);
}

StateContents read_state_file(const std::string& path, const std::vector<StateTensor>& expected,
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
  StateContents contents;
  contents.n_read = count_of(metadata, "n_read", path);
  contents.n_drawn = count_of(metadata, "n_drawn", path);
  require<FormatError>(contents.n_read > 0, path, ": n_read: got 0, expected 1 or more");
  for (const StateTensor& tensor : expected)
    contents.tensors.emplace_back(tensor.name, take(file, tensor));
  require<FormatError>(file.tensors().size() == expected.size(), path, ": got ",
                       file.tensors().size(), " tensors, expected ", expected.size());
  const std::string hash = hash_of(contents.tensors, metadata),
                    noted = text_of(metadata, "hash", path);
  require<FormatError>(hash == noted, path, ": damaged: its content has the hash ", hash,
                       ", expected ", noted);
  return contents;
}

}  // namespace xlstm::train
