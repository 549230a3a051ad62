#include "core/storage.h"

#include "core/allocator.h"
#include "core/error.h"

namespace xlstm {

Storage::Storage(int64_t n_bytes, Device where) : bytes(n_bytes), device(where) {
  require<ShapeError>(n_bytes >= 0, "storage: size must not be negative, got ", n_bytes);
  data = allocate(n_bytes, where, block);
}

Storage::~Storage() {
  deallocate(data, block, device);
}

}  // namespace xlstm
