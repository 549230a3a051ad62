// Who allocates: the names behind the out-of-memory report. Scopes set them per thread, and every
// storage remembers those of its birth. Entering a scope stores a pointer; text is only made when
// memory has run out.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace xlstm {

enum class MemoryCategory : uint8_t {
  other,
  weights,
  gradients,    // of parameters; those of activations count as activations
  optimizer,    // moments
  activations,  // whatever ops allocate, forward and backward, unless a scope says otherwise
  workspace,    // scratch memory of kernels
};
inline constexpr size_t kMemoryCategories = 6;
const char* name_of(MemoryCategory category);

// Names must live as long as the process: literals, or `interned`. Null: unknown.
struct MemoryOwner {
  const char* module = nullptr;  // "blocks.17"
  const char* op = nullptr;      // "mlstm"
  bool backward = false;         // of the op
  MemoryCategory category = MemoryCategory::other;
  int64_t most = 0;  // bytes that such a request does not exceed with any batch; 0: no such limit

  static const MemoryOwner& current();  // of this thread
};

// The one copy of `name`, which stays for good. Takes a lock: once a module, not once a call.
const char* interned(const std::string& name);

// While alive, changes the owner of what this thread allocates.
class MemoryScope {
 public:
  explicit MemoryScope(MemoryCategory category);  // an inner scope may narrow it
  explicit MemoryScope(const MemoryOwner& owner);
  // The op in progress. What it allocates are activations, if no category was set around it.
  static MemoryScope op(const char* name, bool backward = false);
  static MemoryScope module(const char* name);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  MemoryOwner before_;
};

// What a pool keeps of a block that is in use: a member of a doubly linked list.
struct MemoryBlock {
  MemoryOwner owner;
  int64_t size = 0;  // as taken from the pool; 0: none
  MemoryBlock *previous = nullptr, *next = nullptr;
};

using BytesByCategory = std::array<int64_t, kMemoryCategories>;

// What OutOfMemory knows of the device it happened on, in bytes.
struct MemoryReport {
  int64_t tried = 0, free = 0, total = 0;  // free and total: -1 if unknown
  int64_t in_use = 0, cached = 0;          // cached: free blocks that could not be given back
  MemoryOwner asking;
  BytesByCategory in_use_by{};
  int64_t of(MemoryCategory category) const { return in_use_by[static_cast<size_t>(category)]; }
};

// "1.72 GiB", "312 bytes".
std::string bytes_text(int64_t bytes);

}  // namespace xlstm
