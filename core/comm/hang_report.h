// What the records of a job that hung say together (collective_watch.h).
#pragma once

#include <string>

#include "core/file_system.h"

namespace xlstm::comm {

// Reads <folder>/hang-rank*.json and tells, in a few lines: how far each rank was, and which rank
// the others waited for: one that left no record, that was behind, or that made another call.
// FileError without any record, FormatError for a damaged one.
std::string hang_report(const std::string& folder, const FileSystem& files = real_file_system());

}  // namespace xlstm::comm
