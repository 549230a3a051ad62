// Where a tokenizer is that a configuration names.
#pragma once

#include <string>

#include "core/file_system.h"

namespace xlstm::train {

// `name` if it is a path that exists; else the folder of that name under $XLSTM_TOKENIZERS or
// ~/.cache/xlstm/tokenizers, as for "openai-community/gpt2". FileError that names both places and
// the files that are needed there.
std::string find_tokenizer(const std::string& name, const FileSystem& files = real_file_system());

}  // namespace xlstm::train
