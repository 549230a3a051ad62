// A folder for one test, gone with it.
#pragma once

#include <filesystem>
#include <string>

#include "core/file_system.h"

namespace xlstm::data {

struct TempDir {
  TempDir()
      : path(FileSystem::temporary_name(
            (std::filesystem::temp_directory_path() / "xlstm_test").string())) {
    real_file_system().make_dirs(path);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  // Writes a file and returns its path.
  std::string file(const std::string& name, std::string_view bytes) const {
    real_file_system().write_file(join_path(path, name), bytes);
    return join_path(path, name);
  }

  std::string path;
};

}  // namespace xlstm::data
