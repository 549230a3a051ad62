// The text of OutOfMemory, and the limit that the environment sets. Internal to the allocator.
#pragma once

#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/memory_owner.h"

namespace xlstm {

// "out of memory on cuda:0 in mlstm backward (blocks.3): tried .., free .. of .., in use ..
// (weights .., ...), cached .. Largest: OWNER SIZE xN, ..." `newest` heads the list of blocks.
std::string memory_report_text(const MemoryReport& report, Device device,
                               const MemoryBlock* newest);

// XLSTM_MEMORY_LIMIT in bytes, 0 if it is not set. ConfigError.
int64_t memory_limit_of_environment();

}  // namespace xlstm
