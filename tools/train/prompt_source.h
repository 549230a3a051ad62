// Prompts from files and from standard input.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "core/file_system.h"

namespace xlstm::train {

// A whole file; `-`: all of `in`. FormatError if that is larger than 1 GiB; FileError.
std::string read_whole(const std::string& path, std::istream& in,
                       const FileSystem& files = real_file_system());

// A prompt on each line that is not empty; if the name ends in .jsonl, the string "prompt" of the
// object on each line. ConfigError if there is none; FormatError; FileError.
std::vector<std::string> read_prompts_file(const std::string& path, std::istream& in,
                                           const FileSystem& files = real_file_system());

}  // namespace xlstm::train
