// metrics.jsonl: one JSON object per line, appended as training goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/file_system.h"
#include "core/json.h"
#include "tools/train/append_file.h"

namespace xlstm::train {

class MetricsLog {
 public:
  // Opens for appending. Lines of steps after `last_step` are dropped first: they belong to the
  // part of an interrupted run that is about to be computed again. So is a line cut short by a
  // crash or a full disk. FileError if that cannot be done.
  MetricsLog(std::string path, int64_t last_step, FileSystem& files);
  // Leaves the lines that are there as they are.
  static MetricsLog open_as_it_is(std::string path) { return MetricsLog(std::move(path)); }
  // Writes the line through to the file, or loses it (append_file.h).
  void append(const Json& row) { file_->append(to_text(row)); }

  // All rows of a file; empty if there is none. Lines that were cut short are left out.
  static std::vector<Json> read(const std::string& path, const FileSystem& files);

 private:
  explicit MetricsLog(std::string path) : file_(std::move(path)) {}
  std::optional<AppendFile> file_;  // opened once the old lines are sorted out
};

}  // namespace xlstm::train
