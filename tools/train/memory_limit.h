// Refuses models that this machine cannot hold, before anything is allocated or computed.
#pragma once

#include <cstdint>

#include "tools/train/config.h"

namespace xlstm::train {

// Bytes of memory that this process may use: the machine's, or less where a container or a limit
// of the shell says so.
int64_t usable_memory_bytes();

enum class ModelUse { training, inference };

// OutOfMemory if the weights of the configured model (for training also their gradients and the
// optimizer's moments) take more than `limit` bytes. What a batch takes comes on top and is not
// counted. A vocabulary that is not known yet (0) counts as nothing.
void require_model_fits(const RunConfig& config, ModelUse use,
                        int64_t limit = usable_memory_bytes());

}  // namespace xlstm::train
