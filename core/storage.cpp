#include "core/storage.h"

#include <utility>

#include "core/allocator.h"
#include "core/error.h"

namespace xlstm {

Storage::Storage(int64_t n_bytes, Device where, std::shared_ptr<MemorySource> from)
    : bytes(n_bytes), device(where), source(std::move(from)) {
  require<ShapeError>(n_bytes >= 0, "storage: size must not be negative, got ", n_bytes);
  data = allocate(n_bytes, where, block, source.get());
}

Storage::~Storage() {
  release();
}

void Storage::release() noexcept {
  deallocate(data, block, device, source.get());
  data = nullptr;
}

void Storage::renew() {
  if (data == nullptr) data = allocate(bytes, device, block, source.get());
}

}  // namespace xlstm
