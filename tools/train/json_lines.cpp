#include "tools/train/json_lines.h"

#include "core/error.h"

namespace xlstm::train {

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::vector<JsonLine> parse_json_lines(std::string_view text, const std::string& path) {
  std::vector<JsonLine> out;
  const std::vector<std::string_view> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string source = path + ":" + std::to_string(i + 1);
    JsonLine line{parse_json(lines[i], source), source};
    require<FormatError>(line.json.is_object(), source, ": got ", describe(line.json),
                         ", expected a JSON object");
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace xlstm::train
