// Files with a JSON object on each line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/file_system.h"
#include "core/json.h"

namespace xlstm::train {

struct JsonLine {
  Json json;
  std::string source;  // "tasks.jsonl:3"

  JsonField field() const { return {json, source}; }
};

// The lines that are not blank. FormatError, which names file and line, for one that is no JSON
// object.
std::vector<JsonLine> parse_json_lines(std::string_view text, const std::string& path);

// A text line by line, without line ends.
std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace xlstm::train
