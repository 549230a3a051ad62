#include "tools/train/prompt_source.h"

#include "core/error.h"
#include "tools/train/json_lines.h"

namespace xlstm::train {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;

}  // namespace

std::string read_whole(const std::string& path, std::istream& in, const FileSystem& files) {
  if (path != "-") return files.read_file(path);
  std::string text;
  char buffer[1 << 16];
  do {
    in.read(buffer, sizeof buffer);
    text.append(buffer, static_cast<size_t>(in.gcount()));
    require<FormatError>(text.size() <= kMaxBytes, "standard input: got more than ", kMaxBytes,
                         " bytes, expected a text that fits");
  } while (in);
  return text;
}

std::vector<std::string> read_prompts_file(const std::string& path, std::istream& in,
                                           const FileSystem& files) {
  const std::string text = read_whole(path, in, files);
  std::vector<std::string> prompts;
  if (path.ends_with(".jsonl")) {
    for (const JsonLine& line : parse_json_lines(text, path))
      prompts.push_back(line.field().at("prompt").as_string());
  } else {
    for (const std::string_view line : split_lines(text))
      if (!line.empty()) prompts.emplace_back(line);
  }
  require<ConfigError>(!prompts.empty(), "prompts: ", path == "-" ? "standard input" : path,
                       " has none, expected one on each line");
  return prompts;
}

}  // namespace xlstm::train
