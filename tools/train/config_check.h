// Rules that hold between configuration keys.
#pragma once

#include <string>

#include "tools/train/config.h"
#include "tools/train/config_sources.h"

namespace xlstm::train {

// Notes every broken rule. A rule whose keys are already complained about is left out.
void check_run_config(const RunConfig& config, Problems& problems);

// Why a value that other programs know is not among the choices here: " (...)", or "".
std::string reason_for_refusal(const std::string& path, const std::string& value);

}  // namespace xlstm::train
