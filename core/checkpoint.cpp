#include "core/checkpoint.h"

#include <algorithm>
#include <map>

#include "core/excerpt.h"
#include "core/hash.h"
#include "core/log.h"

namespace xlstm {
namespace {

constexpr char kManifest[] = "manifest.json";
constexpr char kFormat[] = "xlstm-checkpoint";
constexpr int64_t kFormatVersion = 1;
constexpr char kOwnHash[] = "manifest_hash";
constexpr int64_t kMaxTextBytes = int64_t{1} << 30;

// Passes bytes on and keeps their number and hash.
class HashingFile : public WriteFile {
 public:
  explicit HashingFile(WriteFile& inner) : inner_(inner) {}
  void write(std::span<const std::byte> bytes) override {
    hasher_.add(bytes);
    n_bytes_ += static_cast<int64_t>(bytes.size());
    inner_.write(bytes);
  }
  void sync() override { inner_.sync(); }
  void close() override { inner_.close(); }
  Json entry() const {
    Json entry;
    entry.set("bytes", n_bytes_);
    entry.set("hash", hasher_.hex());
    return entry;
  }

 private:
  WriteFile& inner_;
  Hasher hasher_;
  int64_t n_bytes_ = 0;
};

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name != kManifest &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

std::string tensor_hash(const Tensor& tensor) {
  const Tensor flat = tensor.is_contiguous() ? tensor : tensor.clone();
  return hash_hex(std::span(static_cast<const std::byte*>(flat.raw()),
                            static_cast<size_t>(flat.numel() * size_of(flat.dtype()))));
}

Json tensor_entry(const Tensor& tensor) {
  Json entry;
  entry.set("dtype", name_of(tensor.dtype()));
  entry.set("shape", Json::Array(tensor.shape().begin(), tensor.shape().end()));
  entry.set("hash", tensor_hash(tensor));
  return entry;
}

// Writes one file of the checkpoint and returns its entry for the manifest.
template <class Writer>
Json write_synced(FileSystem& files, const std::string& path, const Writer& writer) {
  const std::unique_ptr<WriteFile> file = files.create(path);
  HashingFile hashing(*file);
  writer(hashing);
  hashing.sync();
  hashing.close();
  return hashing.entry();
}

void write_text(WriteFile& file, const std::string& text) {
  file.write(std::as_bytes(std::span(text)));
}

Json write_contents(const std::string& dir, const CheckpointContents& contents, FileSystem& files) {
  Json entries = Json::object();
  Json tensors = Json::object();
  const auto claim = [&](const std::string& name) {
    require<ConfigError>(is_plain_name(name) && entries.find(name) == nullptr,
                         "checkpoint: file name, got ", excerpt(name),
                         ", expected a new name without '/'");
  };
  for (const auto& file : contents.tensor_files) {
    claim(file.name);
    entries.set(file.name, write_synced(files, join_path(dir, file.name), [&](WriteFile& out) {
                  write_safetensors_to(out, file.tensors, file.metadata);
                }));
    Json::Object of_file;
    for (const auto& [name, tensor] : file.tensors)
      of_file.emplace_back(name, tensor_entry(tensor));
    tensors.set(file.name, std::move(of_file));
  }
  for (const auto& file : contents.text_files) {
    claim(file.name);
    entries.set(file.name, write_synced(files, join_path(dir, file.name),
                                        [&](WriteFile& out) { write_text(out, file.text); }));
  }
  Json manifest;
  manifest.set("format", kFormat);
  manifest.set("format_version", kFormatVersion);
  manifest.set("step", contents.step);
  manifest.set("hash", "xxh3-128");
  manifest.set("files", std::move(entries));
  manifest.set("tensors", std::move(tensors));
  return manifest;
}

// "step-000012000", then "step-000012000-v1", ...
std::string folder_name(int64_t step, int64_t version) {
  std::string digits = std::to_string(step);
  if (digits.size() < 9) digits.insert(0, 9 - digits.size(), '0');
  return "step-" + digits + (version > 0 ? "-v" + std::to_string(version) : "");
}

// Reads a number made of digits only; -1 if it is none.
int64_t parse_digits(std::string_view text) {
  if (text.empty() || text.size() > 18) return -1;
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

struct FolderName {
  int64_t step = -1, version = 0;
  auto operator<=>(const FolderName&) const = default;
};

std::optional<FolderName> parse_folder_name(std::string_view name) {
  if (!name.starts_with("step-")) return {};
  name.remove_prefix(5);
  const size_t dash = name.find("-v");
  FolderName parsed;
  parsed.step = parse_digits(name.substr(0, dash));
  if (dash != std::string_view::npos) parsed.version = parse_digits(name.substr(dash + 2));
  if (parsed.step < 0 || parsed.version < 0 ||
      folder_name(parsed.step, parsed.version).size() != name.size() + 5)
    return {};
  return parsed;
}

std::string manifest_hash(const Json& manifest) {
  Json::Object rest;
  for (const auto& [key, value] : manifest.as_object())
    if (key != kOwnHash) rest.emplace_back(key, value);
  return hash_hex(to_text(rest));
}

// Removes a folder so that no half-removed one ever looks like a checkpoint.
void remove_checkpoint(const std::string& path, FileSystem& files) {
  const std::string doomed = FileSystem::unfinished_name(path);
  files.rename(path, doomed);
  files.remove_all(doomed);
}

}  // namespace

std::string save_checkpoint(const std::string& root, const CheckpointContents& contents,
                            FileSystem& files) {
  require<ConfigError>(contents.step >= 0, "checkpoint: step, got ", contents.step,
                       ", expected at least 0");
  std::string temporary;
  try {
    if (!files.is_dir(root)) {
      files.make_dirs(root);
      files.sync_dir(FileSystem::parent_dir(root));
    }
    int64_t version = 0;
    while (files.exists(join_path(root, folder_name(contents.step, version)))) ++version;
    const std::string path = join_path(root, folder_name(contents.step, version));
    temporary = FileSystem::unfinished_name(path);
    files.remove_all(temporary);
    files.make_dirs(temporary);
    Json manifest = write_contents(temporary, contents, files);
    manifest.set(kOwnHash, manifest_hash(manifest));
    write_synced(files, join_path(temporary, kManifest),
                 [&](WriteFile& out) { write_text(out, to_text(manifest, 1) + "\n"); });
    files.sync_dir(temporary);
    files.rename(temporary, path);
    files.sync_dir(root);
    return path;
  } catch (const FileError& error) {
    std::string space;
    try {
      space = detail::concat(", ", files.free_bytes(root), " bytes free");
      if (!temporary.empty()) files.remove_all(temporary);
    } catch (...) {
      // What went wrong first is what the user has to know.
    }
    throw_error<FileError>("checkpoint of step ", contents.step, " was not saved: ", error.what(),
                           space, " (earlier checkpoints are untouched)");
  }
}

Checkpoint::Checkpoint(Json manifest, const std::string& path, const FileSystem& files)
    : json_(std::make_unique<const Json>(std::move(manifest))),
      manifest_(*json_, join_path(path, kManifest)),
      path_(path),
      files_(&files),
      step_(0) {
  if (manifest_.at("format").as_string() != kFormat)
    manifest_.at("format").fail(std::string("expected ") + kFormat);
  const int64_t version = manifest_.at("format_version").as_int(1);
  if (version > kFormatVersion)
    manifest_.at("format_version")
        .fail(detail::concat("got ", version, ", expected at most ", kFormatVersion,
                             " (written by a newer program)"));
  if (manifest_.at(kOwnHash).as_string() != manifest_hash(*json_))
    manifest_.fail("the manifest is damaged: it does not have the hash that it names");
  step_ = manifest_.at("step").as_int(0);
  for (const auto& [file, entry] : manifest_.at("files").as_object())
    if (!is_plain_name(file)) entry.fail("file name, expected one without '/'");
}

Checkpoint Checkpoint::open(const std::string& path, const FileSystem& files) {
  const std::string file = join_path(path, kManifest);
  return Checkpoint(parse_json(files.read_file(file, kMaxTextBytes), file), path, files);
}

std::string Checkpoint::read_text(const std::string& file) const {
  const JsonField entry = manifest_.at("files").at(file);
  std::string text = files_->read_file(file_path(file), kMaxTextBytes);
  require<FormatError>(hash_hex(text) == entry.at("hash").as_string(), file_path(file),
                       ": damaged: its hash differs from the manifest's");
  return text;
}

NamedTensors Checkpoint::load_tensors(const std::string& file) const {
  const SafetensorsFile source = SafetensorsFile::open(file_path(file), *files_);
  std::map<std::string, const Json*> expected;
  const JsonField saved = manifest_.at("tensors").at(file);
  for (const auto& [name, entry] : saved.json().as_object()) expected.emplace(name, &entry);
  require<FormatError>(expected.size() == source.tensors().size(), file_path(file), ": got ",
                       source.tensors().size(), " tensors, expected ", expected.size());
  NamedTensors tensors;
  for (const auto& info : source.tensors()) {
    Tensor tensor = source.load(info.name);
    const auto entry = expected.find(info.name);
    require<FormatError>(entry != expected.end() && *entry->second == tensor_entry(tensor),
                         file_path(file), ": tensor ", excerpt(info.name),
                         ": damaged: it differs from the manifest");
    tensors.emplace_back(info.name, std::move(tensor));
  }
  return tensors;
}

StringMap Checkpoint::tensor_metadata(const std::string& file) const {
  return SafetensorsFile::open(file_path(file), *files_).metadata();
}

void Checkpoint::verify_file(const std::string& file, const JsonField& entry,
                             std::vector<std::string>& damage) const {
  const std::unique_ptr<ReadFile> source = files_->open(file_path(file));
  const int64_t expected = entry.at("bytes").as_int(0);
  if (source->size() != expected) {
    damage.push_back(detail::concat(file, ": got ", source->size(), " bytes, expected ", expected));
    return;
  }
  Hasher hasher;
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (int64_t at = 0; at < expected;) {
    const int64_t n = std::min<int64_t>(expected - at, static_cast<int64_t>(buffer.size()));
    const std::span<std::byte> piece(buffer.data(), static_cast<size_t>(n));
    source->read_at(at, piece);
    hasher.add(piece);
    at += n;
  }
  if (hasher.hex() == entry.at("hash").as_string()) return;
  damage.push_back(file + ": its hash differs from the manifest's");
  if (!manifest_.at("tensors").has(file)) return;
  // Name the tensors, if the file can still be taken apart.
  const SafetensorsFile tensors = SafetensorsFile::open(file_path(file), *files_);
  const JsonField entries = manifest_.at("tensors").at(file);
  for (const auto& info : tensors.tensors()) {
    const Json* saved = entries.json().find(info.name);
    if (saved == nullptr || !info.dtype || *saved != tensor_entry(tensors.load(info.name)))
      damage.push_back(file + ": tensor " + excerpt(info.name) + " is damaged");
  }
}

std::vector<std::string> Checkpoint::verify() const {
  std::vector<std::string> damage;
  for (const auto& [file, entry] : manifest_.at("files").as_object()) {
    try {
      verify_file(file, entry, damage);
    } catch (const Error& error) {
      damage.push_back(file + ": " + error.what());
    }
  }
  return damage;
}

std::vector<std::string> verify_checkpoint(const std::string& path, const FileSystem& files) {
  try {
    return Checkpoint::open(path, files).verify();
  } catch (const Error& error) {
    return {error.what()};
  }
}

std::vector<std::string> list_checkpoints(const std::string& root, const FileSystem& files) {
  std::vector<std::string> paths;
  if (!files.is_dir(root)) return paths;
  std::vector<std::pair<FolderName, std::string>> found;
  for (const std::string& name : files.list(root))
    if (const auto parsed = parse_folder_name(name)) found.emplace_back(*parsed, name);
  std::sort(found.begin(), found.end());
  for (const auto& [parsed, name] : found) paths.push_back(join_path(root, name));
  return paths;
}

std::optional<std::string> find_latest_checkpoint(const std::string& root,
                                                  const FileSystem& files) {
  std::vector<std::string> paths = list_checkpoints(root, files);
  for (; !paths.empty(); paths.pop_back()) {
    const std::vector<std::string> damage = verify_checkpoint(paths.back(), files);
    if (damage.empty()) return paths.back();
    for (const std::string& line : damage)
      log_warning("skipping damaged checkpoint ", paths.back(), ": ", line);
  }
  return {};
}

void remove_unfinished_checkpoints(const std::string& root, FileSystem& files) {
  if (!files.is_dir(root)) return;
  for (const std::string& name : files.list(root)) {
    const size_t mark = name.find(".tmp-");
    if (mark == std::string::npos || !parse_folder_name(name.substr(0, mark))) continue;
    const int64_t process = parse_digits(name.substr(mark + 5));
    if (process > 0 && !FileSystem::other_process_runs(process))
      files.remove_all(join_path(root, name));
  }
}

void prune_checkpoints(const std::string& root, int64_t keep,
                       const std::vector<std::string>& protect, FileSystem& files) {
  std::vector<std::string> paths = list_checkpoints(root, files);
  if (paths.empty()) return;
  const std::vector<std::string> damage = verify_checkpoint(paths.back(), files);
  if (!damage.empty()) {
    log_warning("old checkpoints are kept, because the newest is damaged: ", paths.back(), ": ",
                damage.front());
    return;
  }
  for (int64_t kept = 0; !paths.empty(); paths.pop_back()) {
    const std::string& path = paths.back();
    if (!verify_checkpoint(path, files).empty()) continue;
    if (kept++ < std::max<int64_t>(keep, 1)) continue;
    if (std::find(protect.begin(), protect.end(), path) == protect.end())
      remove_checkpoint(path, files);
  }
}

}  // namespace xlstm
