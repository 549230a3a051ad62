#include "core/allocator_cpu.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace xlstm {
namespace {

constexpr int64_t kAlignment = 64;

// Sizes are rounded up to an eighth of their power of two, so at most 1/8 is wasted and a block
// fits the next request of about its size.
int64_t size_class(int64_t bytes) {
  const int64_t step = std::max<int64_t>(
      kAlignment, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(bytes)) / 8));
  return (bytes + step - 1) / step * step;
}

class Pool {
 public:
  void* allocate(int64_t bytes) {
    const int64_t size = size_class(bytes);
    std::lock_guard lock(mutex_);
    void* block = take(size);
    if (block == nullptr) {
      block = std::aligned_alloc(kAlignment, static_cast<size_t>(size));
      if (block == nullptr) {
        release();
        block = std::aligned_alloc(kAlignment, static_cast<size_t>(size));
      }
      if (block == nullptr)
        throw_error<OutOfMemory>("out of memory on cpu: tried ", size, " bytes, in use ",
                                 stats_.in_use_bytes, " (use a smaller batch)");
      ++stats_.n_system_allocations;
    }
    ++stats_.n_allocations;
    stats_.in_use_bytes += size;
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
    return block;
  }

  void free(void* pointer, int64_t bytes) noexcept {
    const int64_t size = size_class(bytes);
    std::lock_guard lock(mutex_);
    stats_.in_use_bytes -= size;
    try {
      free_[size].push_back(pointer);
      stats_.cached_bytes += size;
    } catch (...) {
      std::free(pointer);
    }
  }

  void release() {
    for (auto& [size, blocks] : free_)
      for (void* block : blocks) std::free(block);
    free_.clear();
    stats_.cached_bytes = 0;
  }

  std::mutex mutex_;
  MemoryStats stats_;

 private:
  void* take(int64_t size) {
    const auto found = free_.find(size);
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    stats_.cached_bytes -= size;
    return block;
  }

  std::map<int64_t, std::vector<void*>> free_;
};

// Never destroyed: tensors with static lifetime may outlive any order of destruction.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

void* allocate_cpu(int64_t bytes) {
  return bytes == 0 ? nullptr : pool().allocate(bytes);
}

void free_cpu(void* pointer, int64_t bytes) noexcept {
  if (pointer != nullptr) pool().free(pointer, bytes);
}

MemoryStats memory_stats(Device) {
  std::lock_guard lock(pool().mutex_);
  return pool().stats_;
}

void reset_peak_memory(Device) {
  std::lock_guard lock(pool().mutex_);
  pool().stats_.peak_bytes = pool().stats_.in_use_bytes;
}

void release_cached_memory(Device) {
  std::lock_guard lock(pool().mutex_);
  pool().release();
}

}  // namespace xlstm
