#include "core/allocator.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/cuda/runtime.h"
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
  explicit Pool(Device device) : device_(device) {}

  void* allocate(int64_t bytes) {
    const int64_t size = size_class(bytes);
    std::lock_guard lock(mutex_);
    void* block = take(size);
    if (block == nullptr) {
      block = ask_system(size);
      if (block == nullptr) {
        release();
        block = ask_system(size);
      }
      if (block == nullptr)
        throw_error<OutOfMemory>("out of memory on ", to_string(device_), ": tried ", size,
                                 " bytes, in use ", stats_.in_use_bytes, ", most ever in use ",
                                 stats_.peak_bytes, " (use a smaller batch or context)");
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
      give_back(pointer);
    }
  }

  void release() {
    if (n_holds_ > 0) return;
    for (auto& [size, blocks] : free_)
      for (void* block : blocks) give_back(block);
    free_.clear();
    stats_.cached_bytes = 0;
  }

  std::mutex mutex_;
  MemoryStats stats_;
  int64_t n_holds_ = 0;

 private:
  void* ask_system(int64_t size) {
    if (device_ == kCpu) return std::aligned_alloc(kAlignment, static_cast<size_t>(size));
    return cuda::allocate(size, device_);
  }
  void give_back(void* block) noexcept {
    if (device_ == kCpu) return std::free(block);
    cuda::free(block, device_);
  }

  void* take(int64_t size) {
    const auto found = free_.find(size);
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    stats_.cached_bytes -= size;
    return block;
  }

  Device device_;
  std::map<int64_t, std::vector<void*>> free_;
};

// Never destroyed: tensors with static lifetime may outlive any order of destruction.
Pool& pool(Device device) {
  static Pool* cpu = new Pool(kCpu);
  if (device == kCpu) return *cpu;
  static auto* cuda = [] {
    auto* pools = new std::vector<std::unique_ptr<Pool>>;
    for (int32_t i = 0; i < cuda_device_count(); ++i)
      pools->push_back(std::make_unique<Pool>(Device{DeviceType::cuda, i}));
    return pools;
  }();
  const auto index = static_cast<size_t>(device.index);
  require<DeviceError>(device.index >= 0 && index < cuda->size(), "device ", to_string(device),
                       " is not available, got ", cuda->size(), " CUDA devices in this process");
  return *(*cuda)[index];
}

}  // namespace

void* allocate(int64_t bytes, Device device) {
  Pool& from = pool(device);
  return bytes == 0 ? nullptr : from.allocate(bytes);
}

void deallocate(void* pointer, int64_t bytes, Device device) noexcept {
  if (pointer != nullptr) pool(device).free(pointer, bytes);
}

void hold_cached_memory(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  ++p.n_holds_;
}

void unhold_cached_memory(Device device) noexcept {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  --p.n_holds_;
}

MemoryStats memory_stats(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  return p.stats_;
}

void reset_peak_memory(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  p.stats_.peak_bytes = p.stats_.in_use_bytes;
}

void release_cached_memory(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  p.release();
}

}  // namespace xlstm
