// Files behind an interface, so that tests can make any call fail (core/fault.h).
//
// Every failure is a FileError: what was tried, the path, the system's reason, and for a full disk
// the bytes still free. Interrupted calls and short writes are continued. Paths are plain strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xlstm {

// An open file for reading at any place; safe to use from several threads.
class ReadFile {
 public:
  virtual ~ReadFile() = default;
  virtual int64_t size() const = 0;  // bytes when it was opened
  // Fills `out` from `offset`; FileError if the file ends before (it was cut after opening).
  virtual void read_at(int64_t offset, std::span<std::byte> out) const = 0;
};

// A new file being written. Only sync() promises that the bytes are on the disk.
class WriteFile {
 public:
  virtual ~WriteFile() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
  virtual void sync() = 0;
  virtual void close() = 0;  // reports late errors; the destructor closes silently
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual std::unique_ptr<ReadFile> open(const std::string& path) const = 0;
  virtual std::unique_ptr<WriteFile> create(const std::string& path) = 0;  // truncates
  // Replaces a file at `to`; within one file system this is atomic.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  virtual void sync_dir(const std::string& path) = 0;
  virtual void make_dirs(const std::string& path) = 0;  // with parents; fine if it exists
  virtual void remove_file(const std::string& path) = 0;
  virtual void remove_all(const std::string& path) = 0;  // does not follow links; fine if absent
  virtual std::vector<std::string> list(const std::string& path) const = 0;  // names, sorted
  virtual bool exists(const std::string& path) const = 0;
  virtual bool is_dir(const std::string& path) const = 0;
  virtual int64_t free_bytes(const std::string& path) const = 0;  // for this user, on that disk

  // The whole file. FormatError if it is larger than `max_bytes`; nothing is reserved before the
  // real size is known.
  std::string read_file(const std::string& path, int64_t max_bytes = int64_t{1} << 30) const;
  int64_t file_size(const std::string& path) const { return open(path)->size(); }
  // Writes beside `path`, syncs, renames over it and syncs the folder: a reader, also after a
  // crash, sees the old bytes or the new ones. On failure the temporary file is removed.
  void write_file(const std::string& path, std::string_view bytes);
  // The same for content produced in pieces.
  template <class Writer>
  void write_atomically(const std::string& path, const Writer& writer) {
    const std::string temporary = temporary_name(path);
    try {
      const std::unique_ptr<WriteFile> file = create(temporary);
      writer(*file);
      file->sync();
      file->close();
      rename(temporary, path);
    } catch (...) {
      discard(temporary);
      throw;
    }
    sync_dir(parent_dir(path));
  }

  static std::string parent_dir(const std::string& path);  // "." for a bare name
  // "<path>.tmp-<pid>-<n>", new for every call of this process.
  static std::string temporary_name(const std::string& path);
  // "<path>.tmp-<pid>": a folder that this process has not finished.
  static std::string unfinished_name(const std::string& path);
  // Whether a process of this number runs and is not this one.
  static bool other_process_runs(int64_t process);

 private:
  void discard(const std::string& temporary) noexcept;
};

// The files of this machine.
FileSystem& real_file_system();

inline std::string join_path(const std::string& dir, std::string_view name) {
  return dir.empty() || dir.back() == '/' ? dir + std::string(name) : dir + "/" + std::string(name);
}

// A whole file mapped for reading, for token files far larger than memory. Touching pages of a file
// that another process has cut short kills the process, so callers run check_unchanged() before
// each pass; anything small or not trusted to stay is better read with ReadFile.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  // FileError if the file has changed its size since it was mapped.
  void check_unchanged() const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::span<const std::byte> bytes_;
};

}  // namespace xlstm
