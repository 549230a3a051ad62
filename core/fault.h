// A file system that fails on purpose, for tests of everything that writes.
//
// Loop `fail_at(n, ...)` over n = 0, 1, 2, ... until the fault no longer fires: then every call has
// failed once.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "core/file_system.h"

namespace xlstm {

// The process "died" in a call. Not an Error, so no handler mistakes it for a failure to report.
struct SimulatedCrash {
  std::string call;
};

enum class Fault {
  none,
  crash,     // half of a write happens; this and every later call throws SimulatedCrash
  no_space,  // ENOSPC, after half of a write
  io_error,  // EIO, nothing happens
  kill,      // half of a write happens, then SIGKILL ends this process
};

// Calls may come from several threads; the fault then hits whichever call comes n-th.
class FaultyFileSystem : public FileSystem {
 public:
  explicit FaultyFileSystem(FileSystem& inner) : inner_(inner) {}

  // The call numbered `n` from now on fails (0: the next one).
  void fail_at(int64_t n, Fault fault);
  bool fired() const {
    const std::lock_guard lock(mutex_);
    return fired_;
  }
  // Every call so far, with no other thread at work: "write step-1/a", "sync ...", "rename ... ->
  // ...".
  const std::vector<std::string>& trace() const { return trace_; }

  // What a power cut may do after a crash: each change that was not synced (bytes of a file, a new
  // name in a folder, a rename) is lost with probability 1/2.
  void lose_unsynced(std::mt19937_64& random);

  std::unique_ptr<ReadFile> open(const std::string& path) const override;
  std::unique_ptr<WriteFile> create(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void sync_dir(const std::string& path) override;
  void make_dirs(const std::string& path) override;
  void remove_file(const std::string& path) override;
  void remove_all(const std::string& path) override;
  std::vector<std::string> list(const std::string& path) const override;
  bool exists(const std::string& path) const override;
  bool is_dir(const std::string& path) const override;
  int64_t free_bytes(const std::string& path) const override;

 private:
  friend class FaultyWriteFile;
  // Counts a call; throws if it is the one to fail. `partial` is what happens before.
  void enter(
      const std::string& call, const std::function<void()>& partial = [] {}) const;

  FileSystem& inner_;
  mutable std::recursive_mutex mutex_;  // a write calls back, and some calls make others
  mutable int64_t left_ = -1;           // calls until the fault; < 0: none is set
  mutable Fault fault_ = Fault::none;
  mutable bool fired_ = false, dead_ = false;
  mutable std::vector<std::string> trace_;

  struct Rename {
    std::string from, to;
    bool replaced;  // there was a file at `to`
    std::string old_bytes;
  };
  std::map<std::string, int64_t> synced_bytes_;  // of files with bytes that are not synced
  std::vector<std::string> new_names_;           // created, their folder not synced
  std::vector<Rename> renames_;                  // folder not synced
};

}  // namespace xlstm
