// The caching allocators, one a device: the blocks of a training step come back step after step,
// and asking the system for them anew would cost page faults on the host and a stop of the whole
// device on CUDA. A device's blocks are reused in the order of its one stream, so a block may be
// given out again while its last reader is still queued.
#pragma once

#include "core/storage.h"

namespace xlstm {

// At least `bytes` long, 64-byte aligned (256 on CUDA); OutOfMemory, with what is held, if there is
// none. bytes == 0 gives null.
void* allocate(int64_t bytes, Device device);
void deallocate(void* pointer, int64_t bytes, Device device) noexcept;

// While held (calls count), free blocks of the device are not given back to the system: a CUDA
// graph still knows their addresses.
void hold_cached_memory(Device device);
void unhold_cached_memory(Device device) noexcept;

}  // namespace xlstm
