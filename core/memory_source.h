// Memory that does not come from the device's own allocator, because it must have a property that
// ordinary memory lacks (other devices reach it, only part of it exists).
#pragma once

#include <cstdint>

namespace xlstm {

// Its blocks count in the pool of their device (core/allocator.h) but are never reused by it. Both
// functions are called with the pool locked and must not allocate from it.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  // At least `bytes` long, aligned as the pool aligns; null if there is none left.
  virtual void* take(int64_t bytes) = 0;
  virtual void give_back(void* memory) noexcept = 0;
};

}  // namespace xlstm
