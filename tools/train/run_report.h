// report.html: one file that shows a run, with nothing to load and no script.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/file_system.h"
#include "core/json.h"

namespace xlstm::train {

// A file of the run folder, as the report links it.
using ReportFile = std::pair<std::string, int64_t>;  // path in the folder; bytes, or -1

// `record` is the content of run.json (any part may be missing), `rows` that of metrics.jsonl.
std::string run_report(const Json& record, const std::vector<Json>& rows,
                       const std::vector<ReportFile>& files);

// Reads run.json and metrics.jsonl of a run folder, writes report.html beside them, atomically, and
// returns its path. FileError if the folder is none of a run or cannot be written.
std::string write_run_report(const std::string& folder, FileSystem& files);

}  // namespace xlstm::train
