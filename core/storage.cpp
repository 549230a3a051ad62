#include "core/storage.h"

#include "core/allocator_cpu.h"
#include "core/error.h"

namespace xlstm {

Storage::Storage(int64_t n_bytes, Device where) : bytes(n_bytes), device(where) {
  require<ShapeError>(n_bytes >= 0, "storage: size must not be negative, got ", n_bytes);
  require<DeviceError>(where == kCpu, "storage: device ", to_string(where),
                       " is not available in this build");
  data = allocate_cpu(n_bytes);
}

Storage::~Storage() {
  free_cpu(data, bytes);
}

}  // namespace xlstm
