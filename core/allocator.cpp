#include "core/allocator.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/cuda/runtime.h"
#include "core/error.h"
#include "core/memory_report.h"

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
  explicit Pool(Device device) : device_(device), limit_(memory_limit_of_environment()) {}

  void* allocate(int64_t bytes, MemoryBlock& block, MemorySource* source) {
    const int64_t size = size_class(bytes);
    std::lock_guard lock(mutex_);
    const bool must_fail = failing_request_ > 0 && --failing_request_ == 0;
    void* memory = must_fail || source != nullptr ? nullptr : take(size);
    if (memory == nullptr) {
      if (!must_fail) memory = ask_system(size, source);
      if (memory == nullptr) {
        release();
        if (!must_fail) memory = ask_system(size, source);
        if (memory == nullptr) throw_out_of_memory(size);
        ++stats_.n_retries;
      }
      ++stats_.n_system_allocations;
    }
    if (notes_ && source == nullptr) noted_.insert(memory);
    if (records_) record(memory, bytes);
    ++stats_.n_allocations;
    stats_.in_use_bytes += size;
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
    link(block, size);
    return memory;
  }

  void free(void* pointer, MemoryBlock& block, MemorySource* source) noexcept {
    std::lock_guard lock(mutex_);
    if (records_) record_return(pointer);
    const int64_t size = block.size;
    unlink(block);
    stats_.in_use_bytes -= size;
    if (source != nullptr) return source->give_back(pointer);
    stats_.cached_bytes += size;
    keep(pointer, size);
  }

  void release() {
    if (n_holds_ > 0) return;
    for (auto& [size, blocks] : free_)
      for (void* block : blocks) give_back(block);
    free_.clear();
    stats_.cached_bytes = 0;
  }

  void note() {
    notes_ = true;
    noted_.clear();
  }

  std::vector<FreeBlock> take_noted() {
    notes_ = false;
    std::vector<FreeBlock> taken;
    for (auto& [size, blocks] : free_) {
      const auto rest = std::stable_partition(blocks.begin(), blocks.end(),
                                              [&](void* block) { return !noted_.contains(block); });
      for (auto block = rest; block != blocks.end(); ++block) taken.push_back({*block, size});
      blocks.erase(rest, blocks.end());
    }
    noted_.clear();
    return taken;
  }

  void put_back(const std::vector<FreeBlock>& blocks) noexcept {
    for (const FreeBlock& block : blocks) keep(block.memory, block.size);
  }

  void record_requests() {
    records_ = true;
    requests_.clear();
    request_of_.clear();
  }
  std::vector<MemoryRequest> take_requests() {
    records_ = false;
    request_of_.clear();
    return std::exchange(requests_, {});
  }
  // A request that needs no memory has a place in the list all the same.
  void record_empty() {
    std::lock_guard lock(mutex_);
    if (records_) requests_.push_back({0, -1, MemoryOwner::current().category, 0});
  }

  std::mutex mutex_;
  MemoryStats stats_;
  int64_t n_holds_ = 0;
  int64_t failing_request_ = 0;  // counts down to it; 0: none

  void set_limit(int64_t bytes) { limit_ = bytes; }

 private:
  void* ask_system(int64_t size, MemorySource* source) {
    if (limit_ > 0 && size > limit_ - stats_.in_use_bytes - stats_.cached_bytes) return nullptr;
    if (source != nullptr) return source->take(size);
    if (device_ == kCpu) return std::aligned_alloc(kAlignment, static_cast<size_t>(size));
    return cuda::allocate(size, device_);
  }
  void give_back(void* block) noexcept {
    if (device_ == kCpu) return std::free(block);
    cuda::free(block, device_);
  }

  void record(void* memory, int64_t bytes) {
    request_of_[memory] = static_cast<int64_t>(requests_.size());
    const MemoryOwner& owner = MemoryOwner::current();
    requests_.push_back({bytes, -1, owner.category, owner.most});
  }
  void record_return(void* memory) noexcept {
    const auto found = request_of_.find(memory);
    if (found == request_of_.end()) return;
    try {
      requests_.push_back({0, found->second, MemoryCategory::other, 0});
    } catch (...) {
      records_ = false;  // a list with a gap is of no use
      requests_.clear();
    }
    request_of_.erase(found);
  }

  // A block that counts as cached.
  void keep(void* block, int64_t size) noexcept {
    try {
      free_[size].push_back(block);
    } catch (...) {
      stats_.cached_bytes -= size;
      give_back(block);
    }
  }

  void* take(int64_t size) {
    const auto found = free_.find(size);
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    stats_.cached_bytes -= size;
    return block;
  }

  void link(MemoryBlock& block, int64_t size) {
    block.owner = MemoryOwner::current();
    block.size = size;
    block.next = newest_;
    if (newest_ != nullptr) newest_->previous = &block;
    newest_ = &block;
    in_use_by(block) += size;
  }
  void unlink(MemoryBlock& block) noexcept {
    in_use_by(block) -= block.size;
    (block.previous != nullptr ? block.previous->next : newest_) = block.next;
    if (block.next != nullptr) block.next->previous = block.previous;
    block = {};
  }
  int64_t& in_use_by(const MemoryBlock& block) {
    return stats_.in_use_by[static_cast<size_t>(block.owner.category)];
  }

  // Of the system; less where a limit is set.
  cuda::DeviceMemory system_memory() const {
    if (limit_ > 0)
      return {std::max<int64_t>(0, limit_ - stats_.in_use_bytes - stats_.cached_bytes), limit_};
    if (device_ != kCpu) return cuda::memory_of(device_);
    const int64_t page = sysconf(_SC_PAGESIZE);
    return {page * sysconf(_SC_AVPHYS_PAGES), page * sysconf(_SC_PHYS_PAGES)};
  }

  [[noreturn]] void throw_out_of_memory(int64_t tried) const {
    const auto [free, total] = system_memory();
    const MemoryReport report{.tried = tried,
                              .free = free,
                              .total = total,
                              .in_use = stats_.in_use_bytes,
                              .cached = stats_.cached_bytes,
                              .asking = MemoryOwner::current(),
                              .in_use_by = stats_.in_use_by};
    throw OutOfMemory(memory_report_text(report, device_, newest_), report);
  }

  Device device_;
  int64_t limit_ = 0;  // 0: none
  std::map<int64_t, std::vector<void*>> free_;
  MemoryBlock* newest_ = nullptr;
  bool notes_ = false;
  std::set<void*> noted_;  // handed out since note()
  bool records_ = false;
  std::vector<MemoryRequest> requests_;
  std::unordered_map<void*, int64_t> request_of_;  // memory in use, to its place in requests_
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

void* allocate(int64_t bytes, Device device, MemoryBlock& block, MemorySource* source) {
  Pool& from = pool(device);
  if (bytes > 0) return from.allocate(bytes, block, source);
  from.record_empty();
  return nullptr;
}

void deallocate(void* pointer, MemoryBlock& block, Device device, MemorySource* source) noexcept {
  if (pointer != nullptr) pool(device).free(pointer, block, source);
}

void set_memory_limit(int64_t bytes, Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  p.set_limit(bytes);
}

void fail_allocation(int64_t n, Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  p.failing_request_ = n;
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

void note_blocks(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  p.note();
}

std::vector<FreeBlock> take_noted_blocks(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  return p.take_noted();
}

void put_back_blocks(const std::vector<FreeBlock>& blocks, Device device) noexcept {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  p.put_back(blocks);
}

void record_requests(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  p.record_requests();
}

std::vector<MemoryRequest> take_recorded_requests(Device device) {
  Pool& p = pool(device);
  std::lock_guard lock(p.mutex_);
  return p.take_requests();
}

int64_t block_bytes(int64_t bytes) {
  return bytes == 0 ? 0 : size_class(bytes);
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
