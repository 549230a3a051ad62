// metrics.jsonl: one JSON object per line, appended as training goes.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "core/file_system.h"
#include "core/json.h"

namespace xlstm::train {

class MetricsLog {
 public:
  // Opens for appending. Lines of steps after `last_step` are dropped first: they belong to the
  // part of an interrupted run that is about to be computed again. So is a line cut short by a
  // crash.
  MetricsLog(std::string path, int64_t last_step, FileSystem& files);
  // Writes the line through to the file. A full disk costs the line, never the run: it is reported
  // once through the log.
  void append(const Json& row);

  // All complete rows of a file; empty if there is none.
  static std::vector<Json> read(const std::string& path, const FileSystem& files);

 private:
  std::string path_;
  std::ofstream out_;
  bool warned_ = false;
};

}  // namespace xlstm::train
