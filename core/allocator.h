// The caching allocators, one a device: the blocks of a training step come back step after step,
// and asking the system for them anew would cost page faults on the host and a stop of the whole
// device on CUDA. A device's blocks are reused in the order of its one stream, so a block may be
// given out again while its last reader is still queued.
#pragma once

#include <vector>

#include "core/memory_source.h"
#include "core/storage.h"

namespace xlstm {

// At least `bytes` long, 64-byte aligned (256 on CUDA). bytes == 0 gives null. `block` must stay
// where it is until it is given to `deallocate`, and then names the owner in reports. If there is
// no memory even after all cached blocks were given back: OutOfMemory, with what is held and by
// whom. source: whom to ask instead of the device's allocator, the same in both calls.
void* allocate(int64_t bytes, Device device, MemoryBlock& block, MemorySource* source = nullptr);
void deallocate(void* pointer, MemoryBlock& block, Device device,
                MemorySource* source = nullptr) noexcept;

// At most so many bytes are taken from the system, cached ones included; 0: no limit. At the start
// that is XLSTM_MEMORY_LIMIT, a number of bytes with K, M or G behind it if wanted, for each device
// (ConfigError at the first allocation if it makes no sense).
void set_memory_limit(int64_t bytes, Device device = kCpu);
// For tests: the n-th request from now on (n >= 1) fails as if nothing were left; 0: none.
void fail_allocation(int64_t n, Device device = kCpu);

// One request or return of memory. For predictions: the bytes asked for by the same requests of a
// step with twice the batch tell those of any batch.
struct MemoryRequest {
  int64_t bytes = 0;     // as asked for, not rounded; 0 for a return
  int64_t returns = -1;  // the request, by its place in the list, whose memory this gives back
  MemoryCategory category = MemoryCategory::other;
  int64_t most = 0;  // MemoryOwner::most
};
// Between the two calls all requests are recorded, and returns of what was requested since. Ones
// that fail are not. The memory of the list is no part of the pool.
void record_requests(Device device = kCpu);
std::vector<MemoryRequest> take_recorded_requests(Device device = kCpu);
// What the pool takes from the system for a request of so many bytes.
int64_t block_bytes(int64_t bytes);

// While held (calls count), free blocks of the device are not given back to the system: a CUDA
// graph still knows their addresses.
void hold_cached_memory(Device device);
void unhold_cached_memory(Device device) noexcept;

// Blocks that a recorded graph keeps for itself: nobody else may be given memory into which every
// replay writes. Between the two calls the pool notes which blocks it hands out; the second takes
// those that are free again out of the pool. For the memory report they stay cached.
struct FreeBlock {
  void* memory = nullptr;
  int64_t size = 0;
};
void note_blocks(Device device);
std::vector<FreeBlock> take_noted_blocks(Device device);
void put_back_blocks(const std::vector<FreeBlock>& blocks, Device device) noexcept;

}  // namespace xlstm
