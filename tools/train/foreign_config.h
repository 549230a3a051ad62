// Configurations as other programs write them, translated key by key into our own: LightningCLI's
// class paths, callbacks and spellings, and the file llm.yaml of "xLSTM in easy PyTorch", the
// didactic repository, in both of its layouts (docs/coming_from_lightning.md).
#pragma once

#include <string>

#include "core/json.h"
#include "tools/train/config_sources.h"

namespace xlstm::train {

// Changes one file's values in place. What has a key here and no meaning is dropped with a warning,
// what would change the outcome and is not supported becomes a problem by name.
void translate_foreign_config(Json& values, const std::string& source, Problems& problems);

}  // namespace xlstm::train
