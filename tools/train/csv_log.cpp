#include "tools/train/csv_log.h"

#include <algorithm>

#include "core/error.h"

namespace xlstm::train {

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

CsvLog::CsvLog(std::string path, std::vector<Json> rows, FileSystem& files)
    : path_(std::move(path)),
      files_(files),
      columns_{"step",      "epoch",       "split",
               "loss",      "perplexity",  "lr",
               "grad_norm", "tokens_seen", "tokens_per_second",
               "seconds",   "n_tokens",    "reason",
               "prompt",    "text"} {
  rewrite(rows);
}

bool CsvLog::has_columns(const Json& row) const {
  return std::all_of(row.as_object().begin(), row.as_object().end(), [&](const auto& member) {
    return std::find(columns_.begin(), columns_.end(), member.first) != columns_.end();
  });
}

std::string CsvLog::csv_line(const Json& row) const {
  std::string line;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (i > 0) line += ',';
    const Json* value = row.find(columns_[i]);
    if (value == nullptr || value->is_null()) continue;
    line += csv_field(value->is_string() ? value->as_string() : to_text(*value));
  }
  return line;
}

void CsvLog::rewrite(const std::vector<Json>& rows) {
  const std::vector<std::string> before = columns_;
  for (const Json& row : rows)
    for (const auto& [key, value] : row.as_object())
      if (std::find(columns_.begin(), columns_.end(), key) == columns_.end())
        columns_.push_back(key);
  std::string text;
  for (const std::string& column : columns_) text += (text.empty() ? "" : ",") + csv_field(column);
  text += '\n';
  for (const Json& row : rows) text += csv_line(row) + '\n';
  try {
    files_.write_file(path_, text);
  } catch (const FileError&) {
    columns_ = before;  // as the header still says
    throw;
  }
  file_.emplace(path_);
}

}  // namespace xlstm::train
