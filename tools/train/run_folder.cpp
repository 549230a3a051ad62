#include "tools/train/run_folder.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/checkpoint.h"
#include "core/log.h"
#include "tools/train/training_state.h"

namespace xlstm::train {
namespace {

constexpr std::string_view kVersion = "version_";

// The numbers of the version_N folders, smallest first.
std::vector<int64_t> versions(const std::string& folder, const FileSystem& files) {
  std::vector<int64_t> found;
  if (!files.exists(folder)) return found;
  for (const std::string& name : files.list(folder)) {
    if (!name.starts_with(kVersion)) continue;
    int64_t number = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + kVersion.size(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) found.push_back(number);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string version_path(const std::string& folder, int64_t number) {
  return join_path(folder, std::string(kVersion) + std::to_string(number));
}

}  // namespace

namespace {

// The first that `find` gives for the checkpoints of a run, from the newest run on.
template <class Find>
std::optional<std::string> newest(const std::string& folder, const FileSystem& files, Find find) {
  std::vector<int64_t> numbers = versions(folder, files);
  std::reverse(numbers.begin(), numbers.end());
  for (const int64_t number : numbers) {
    const std::string runs = join_path(version_path(folder, number), "checkpoints");
    if (!files.exists(runs)) continue;
    if (const std::optional<std::string> found = find(runs)) return found;
  }
  return {};
}

std::optional<std::string> find_best_checkpoint(const std::string& runs, const FileSystem& files) {
  for (const std::string& path : ranked_checkpoints(runs, files)) {
    const std::vector<std::string> damage = verify_checkpoint(path, files);
    if (damage.empty()) return path;
    log_warning("the best checkpoint is damaged, the next one is taken: ", damage.front());
  }
  return {};
}

}  // namespace

std::vector<std::string> ranked_checkpoints(const std::string& folder, const FileSystem& files) {
  struct Ranked {
    std::string path;
    CheckpointRank rank;
  };
  std::vector<Ranked> all;
  for (const std::string& path : list_checkpoints(folder, files)) {
    try {
      const std::string text = Checkpoint::open(path, files).read_text("train_state.json");
      Ranked ranked{path, rank_from_json(parse_json(text, path))};
      if (std::isfinite(ranked.rank.value)) all.insert(all.begin(), std::move(ranked));
    } catch (const FormatError&) {
    } catch (const FileError&) {
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Ranked& a, const Ranked& b) {
    return is_better(a.rank.value, b.rank.value, a.rank.mode);
  });
  std::vector<std::string> paths;
  for (const Ranked& ranked : all) paths.push_back(ranked.path);
  return paths;
}

std::string make_run_folder(const std::string& root, const std::string& name, FileSystem& files) {
  const std::string folder = join_path(root, name);
  const std::vector<int64_t> taken = versions(folder, files);
  const std::string path = version_path(folder, taken.empty() ? 0 : taken.back() + 1);
  files.make_dirs(join_path(path, "checkpoints"));
  // A power cut must not take the folder from around a checkpoint that was synced.
  for (const std::string& made : {path, folder, root, FileSystem::parent_dir(root)})
    files.sync_dir(made);
  return path;
}

std::string resolve_checkpoint(const std::string& ckpt_path, const std::string& root,
                               const std::string& name, const FileSystem& files) {
  if (ckpt_path == "last" || ckpt_path == "best") {
    const std::string folder = join_path(root, name);
    const auto found = newest(folder, files, [&](const std::string& runs) {
      return ckpt_path == "last" ? find_latest_checkpoint(runs, files)
                                 : find_best_checkpoint(runs, files);
    });
    require<FileError>(found.has_value(), "ckpt_path ", ckpt_path, ": no usable checkpoint under ",
                       folder, " (train first, or give the folder of a checkpoint)");
    return *found;
  }
  require<FileError>(files.exists(ckpt_path), "ckpt_path: no such file or folder, got ", ckpt_path,
                     ", expected \"last\", \"best\" or the path of a checkpoint");
  if (files.exists(join_path(ckpt_path, "manifest.json"))) return ckpt_path;
  const std::string inner = join_path(ckpt_path, "checkpoints");
  const auto found = find_latest_checkpoint(files.exists(inner) ? inner : ckpt_path, files);
  require<FileError>(found.has_value(), "ckpt_path: no usable checkpoint in ", ckpt_path,
                     ", expected a folder with manifest.json");
  return *found;
}

std::string run_folder_of(const std::string& checkpoint) {
  return FileSystem::parent_dir(FileSystem::parent_dir(checkpoint));
}

}  // namespace xlstm::train
