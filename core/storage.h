// Reference-counted bytes, and the counters behind `memory_stats`.
#pragma once

#include <cstdint>
#include <memory>

#include "core/device.h"
#include "core/memory_owner.h"
#include "core/memory_source.h"

namespace xlstm {

// Memory shared by tensors. `version` counts the writes that autograd must know of.
struct Storage {
  void* data = nullptr;
  int64_t bytes = 0;
  Device device;
  uint64_t version = 0;
  MemoryBlock block;                     // the pool's
  std::shared_ptr<MemorySource> source;  // null: the device's allocator

  Storage(int64_t bytes, Device device, std::shared_ptr<MemorySource> source = nullptr);
  ~Storage();
  // Gives the memory back while tensors still refer to it; they keep their shapes, and reading one
  // is an error until renew() has taken memory again, which is not initialised.
  void release() noexcept;
  void renew();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
};

struct MemoryStats {
  int64_t in_use_bytes = 0;          // held by live storages
  int64_t peak_bytes = 0;            // the most ever in use
  int64_t cached_bytes = 0;          // free, kept for reuse
  int64_t n_allocations = 0;         // requests served
  int64_t n_system_allocations = 0;  // of which asked of the system
  int64_t n_retries = 0;             // of which served only after giving back cached blocks
  BytesByCategory in_use_by{};       // in_use_bytes, by who asked for them
};

MemoryStats memory_stats(Device device = kCpu);
void reset_peak_memory(Device device = kCpu);
// Gives cached blocks back to the system.
void release_cached_memory(Device device = kCpu);

}  // namespace xlstm
