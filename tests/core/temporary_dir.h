// A folder that lives as long as the test that uses it.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "core/file_system.h"

namespace xlstm {

class TemporaryDir {
 public:
  TemporaryDir() {
    const char* root = std::getenv("TMPDIR");
    // Memory where there is some: the tests sync thousands of files.
    if (root == nullptr || *root == '\0')
      root = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    path_ = join_path(root, "xlstm_test_XXXXXX");
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~TemporaryDir() {
    try {
      real_file_system().remove_all(path_);
    } catch (...) {
      // A leftover in the temporary folder does no harm.
    }
  }
  TemporaryDir(const TemporaryDir&) = delete;
  TemporaryDir& operator=(const TemporaryDir&) = delete;

  const std::string& path() const { return path_; }
  std::string path(const std::string& name) const { return join_path(path_, name); }
  // Writes a file and returns its path.
  std::string file(const std::string& name, std::string_view bytes) const {
    real_file_system().write_file(path(name), bytes);
    return path(name);
  }

 private:
  std::string path_;
};

}  // namespace xlstm
