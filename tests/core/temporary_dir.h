// A folder that lives as long as the test that uses it.
#pragma once

#include <cstdlib>
#include <string>

#include "core/file_system.h"

namespace xlstm {

class TemporaryDir {
 public:
  TemporaryDir() {
    const char* root = std::getenv("TMPDIR");
    path_ = join_path(root != nullptr && *root != '\0' ? root : "/tmp", "xlstm_test_XXXXXX");
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

 private:
  std::string path_;
};

}  // namespace xlstm
