// Where test programs find what they read and run: nothing is compiled in, so a program can be
// carried to another machine.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace xlstm::testing {

// A file of the source tree, e.g. "tests/golden/a_small.safetensors", as an absolute path: under
// XLSTM_TEST_DATA if that is set, else under the working directory.
inline std::string data_path(const std::string& file) {
  const char* root = std::getenv("XLSTM_TEST_DATA");
  return std::filesystem::absolute(std::filesystem::path(root != nullptr ? root : ".") / file)
      .lexically_normal();
}

// The `xlstm` command: XLSTM_TEST_COMMAND if that is set, else the one of the build tree that the
// running test program belongs to, else the one in the test program's own folder.
inline std::string command_path() {
  if (const char* command = std::getenv("XLSTM_TEST_COMMAND"); command != nullptr)
    return std::filesystem::absolute(command);
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::filesystem::path built = here.parent_path() / "tools" / "xlstm";
  return std::filesystem::exists(built) ? built : here / "xlstm";
}

}  // namespace xlstm::testing
