// What this program is and where it runs, for reports.
#pragma once

#include "core/device.h"
#include "core/json.h"

namespace xlstm::train {

// {"command", "version", "commit", "compiler", "build", "host", "system", "processor", "threads",
// "device", "folder"}, each a text; "" where it is not known.
Json run_environment(Device device);

std::string build_version();  // "0.3.0 1a2b3c": version and commit

// The present time as "2026-11-27 14:03:59 UTC".
std::string utc_now();

// Arguments as one would type them in a shell, quoted where they must be.
std::string command_text(const std::vector<std::string>& arguments);

}  // namespace xlstm::train
