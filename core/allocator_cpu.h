// The caching allocator of host memory: blocks of a training step come back step after step, and
// asking the system for them anew would cost a page fault per 4 KiB each time.
#pragma once

#include "core/storage.h"

namespace xlstm {

// 64-byte aligned, at least `bytes` long; OutOfMemory if the system has none. bytes == 0 gives
// null.
void* allocate_cpu(int64_t bytes);
void free_cpu(void* pointer, int64_t bytes) noexcept;

}  // namespace xlstm
