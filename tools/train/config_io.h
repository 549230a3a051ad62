// Reading, checking, writing and documenting run configurations.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/file_system.h"
#include "core/json.h"
#include "tools/train/config.h"

namespace xlstm::train {

// Reads YAML or JSON files in order, key by key the later wins, then the overrides: pairs of a
// dotted key and a YAML value ("optimizer.lr", "3e-4"). What nobody sets has its default. Checks
// every value and the rules between sections. All complaints come together in one ConfigError, one
// line each. FileError if a file cannot be read.
RunConfig load_run_config(const std::vector<std::string>& paths,
                          const std::vector<std::pair<std::string, std::string>>& overrides,
                          const FileSystem& files = real_file_system());

// The same from a value already in hand; `source` names it in messages.
RunConfig run_config_from_json(const Json& config, const std::string& source);

// The effective configuration, defaults and all; reading it gives an equal one.
Json run_config_to_json(const RunConfig& config);
std::string run_config_to_yaml(const RunConfig& config);

// The text of docs/configuration.md.
std::string configuration_page();

}  // namespace xlstm::train
