#include "tools/train/tokenizer_path.h"

#include <cstdlib>

#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm::train {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// A name such as "gpt2" or "openai-community/gpt2": no way out of the folder that it is looked up
// in.
bool is_name(const std::string& name) {
  return !name.empty() && name.front() != '/' && name.front() != '.' &&
         name.find("..") == std::string::npos && !name.ends_with(".json");
}

}  // namespace

std::string find_tokenizer(const std::string& name, const FileSystem& files) {
  if (files.exists(name) || !is_name(name)) return name;  // Tokenizer::load says what is missing
  const std::string set = environment("XLSTM_TOKENIZERS"), home = environment("HOME");
  const std::string first = set.empty() ? "" : join_path(set, name);
  const std::string second =
      home.empty() ? "" : join_path(join_path(home, ".cache/xlstm/tokenizers"), name);
  for (const std::string& folder : {first, second})
    if (!folder.empty() && files.exists(folder)) return folder;
  throw_error<FileError>(
      "data.tokenizer: no such file or folder, and no tokenizer of that name, got ", excerpt(name),
      ", expected tokenizer.json, or vocab.json and merges.txt, in ",
      first.empty() ? "$XLSTM_TOKENIZERS/" + name + " (the variable is not set)" : first, " or in ",
      second.empty() ? "~/.cache/xlstm/tokenizers/" + name : second);
}

}  // namespace xlstm::train
