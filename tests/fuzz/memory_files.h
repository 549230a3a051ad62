// One read-only file in memory, so that fuzzing does not touch the disk.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file_system.h"

namespace xlstm {

class MemoryFiles : public FileSystem {
 public:
  explicit MemoryFiles(std::string bytes) : bytes_(std::move(bytes)) {}

  std::unique_ptr<ReadFile> open(const std::string&) const override {
    return std::make_unique<File>(bytes_);
  }
  bool exists(const std::string&) const override { return true; }
  bool is_dir(const std::string&) const override { return false; }
  std::unique_ptr<WriteFile> create(const std::string&) override { refuse(); }
  void rename(const std::string&, const std::string&) override { refuse(); }
  void sync_dir(const std::string&) override { refuse(); }
  void make_dirs(const std::string&) override { refuse(); }
  void remove_file(const std::string&) override { refuse(); }
  void remove_all(const std::string&) override { refuse(); }
  std::vector<std::string> list(const std::string&) const override { return {}; }
  int64_t free_bytes(const std::string&) const override { return 0; }

 private:
  class File : public ReadFile {
   public:
    explicit File(const std::string& bytes) : bytes_(bytes) {}
    int64_t size() const override { return static_cast<int64_t>(bytes_.size()); }
    void read_at(int64_t offset, std::span<std::byte> out) const override {
      require<FileError>(
          offset >= 0 && offset <= size() && static_cast<int64_t>(out.size()) <= size() - offset,
          "read beyond the end of the file");
      if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    }

   private:
    const std::string& bytes_;
  };
  [[noreturn]] static void refuse() { throw_error<FileError>("files in memory are read-only"); }

  std::string bytes_;
};

}  // namespace xlstm
