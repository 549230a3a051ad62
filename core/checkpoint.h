// Checkpoints: folders that are complete or invisible.
//
//   <root>/step-000012000/
//     model.safetensors  optimizer.safetensors  train_state.json  ...   given by the caller
//     manifest.json   format version, step, size and hash of every file, and dtype, shape and hash
//                     of every tensor; it carries a hash of itself
//
// A checkpoint is written as step-000012000.tmp-<pid>; every file is synced, then the folder, then
// one rename makes it visible, then the root is synced. So after a crash or a power cut there is
// the old state or the new one. There is no "latest" pointer: the newest folder whose contents
// agree with its manifest wins. A damaged one is reported and skipped, never deleted. Nothing is
// ever written over: a second checkpoint of the same step is called step-000012000-v1.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"

namespace xlstm {

struct CheckpointContents {
  struct TensorFile {
    std::string name;  // "model.safetensors"
    NamedTensors tensors;
    StringMap metadata;
  };
  struct TextFile {
    std::string name;  // "config.json"
    std::string text;
  };
  int64_t step = 0;
  std::vector<TensorFile> tensor_files;
  std::vector<TextFile> text_files;
};

// Returns the path of the new folder. On failure nothing is left behind, all earlier checkpoints
// are as they were, and the FileError says how many bytes are free.
std::string save_checkpoint(const std::string& root, const CheckpointContents& contents,
                            FileSystem& files = real_file_system());

// A checkpoint opened for reading. Everything read through it is compared with the manifest.
class Checkpoint {
 public:
  // Reads and checks the manifest. FileError if there is none, FormatError if it is damaged or of
  // a newer version.
  static Checkpoint open(const std::string& path, const FileSystem& files = real_file_system());

  const std::string& path() const { return path_; }
  int64_t step() const { return step_; }
  bool has(const std::string& file) const { return manifest_.at("files").has(file); }
  // The whole file. FormatError that names the file if it differs from what was saved.
  std::string read_text(const std::string& file) const;
  // All tensors of a .safetensors file. FormatError that names file and tensor.
  NamedTensors load_tensors(const std::string& file) const;
  StringMap tensor_metadata(const std::string& file) const;
  // Everything that differs from the manifest, one line each, naming file and tensor.
  std::vector<std::string> verify() const;

 private:
  explicit Checkpoint(Json manifest, const std::string& path, const FileSystem& files);
  std::string file_path(const std::string& file) const { return join_path(path_, file); }
  void verify_file(const std::string& file, const JsonField& entry,
                   std::vector<std::string>& damage) const;

  std::unique_ptr<const Json> json_;  // what manifest_ refers to
  JsonField manifest_;
  std::string path_;
  const FileSystem* files_;
  int64_t step_;
};

// Checkpoint::open and verify in one; a manifest that cannot be read is damage too.
std::vector<std::string> verify_checkpoint(const std::string& path,
                                           const FileSystem& files = real_file_system());

// Folders that are named like checkpoints, oldest first, whatever their state.
std::vector<std::string> list_checkpoints(const std::string& root,
                                          const FileSystem& files = real_file_system());

// The newest checkpoint that verifies; none if there is none. Damaged ones are reported through the
// log.
std::optional<std::string> find_latest_checkpoint(const std::string& root,
                                                  const FileSystem& files = real_file_system());

// Removes what saves of processes that no longer run have left. Call it at the start of a run,
// before the first save: leftovers under this process's own number are removed as well.
void remove_unfinished_checkpoints(const std::string& root, FileSystem& files = real_file_system());

// Removes the oldest checkpoints, keeping the newest `keep` (at least 1) and those in `protect`
// (paths). If the newest does not verify, nothing is removed and the log says why. A damaged
// checkpoint counts for nothing and stays.
void prune_checkpoints(const std::string& root, int64_t keep,
                       const std::vector<std::string>& protect = {},
                       FileSystem& files = real_file_system());

}  // namespace xlstm
