#include "tools/train/run_folder.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/checkpoint.h"

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

std::string make_run_folder(const std::string& root, const std::string& name, FileSystem& files) {
  const std::string folder = join_path(root, name);
  const std::vector<int64_t> taken = versions(folder, files);
  const std::string path = version_path(folder, taken.empty() ? 0 : taken.back() + 1);
  files.make_dirs(join_path(path, "checkpoints"));
  return path;
}

std::string resolve_checkpoint(const std::string& ckpt_path, const std::string& root,
                               const std::string& name, const FileSystem& files) {
  if (ckpt_path == "last") {
    const std::string folder = join_path(root, name);
    std::vector<int64_t> numbers = versions(folder, files);
    std::reverse(numbers.begin(), numbers.end());
    for (const int64_t number : numbers) {
      const std::string runs = join_path(version_path(folder, number), "checkpoints");
      if (!files.exists(runs)) continue;
      if (const auto found = find_latest_checkpoint(runs, files)) return *found;
    }
    throw_error<FileError>("ckpt_path last: no usable checkpoint under ", folder,
                           " (train first, or give the folder of a checkpoint)");
  }
  require<FileError>(files.exists(ckpt_path), "ckpt_path: no such file or folder, got ", ckpt_path,
                     ", expected \"last\" or the path of a checkpoint");
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
