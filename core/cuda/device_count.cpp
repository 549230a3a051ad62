#include <cuda_runtime_api.h>

#include "core/device.h"

namespace xlstm {

int32_t cuda_device_count() {
  int count = 0;
  // Without a driver this reports an error, which here only means that there is no device.
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return 0;
  }
  return count;
}

}  // namespace xlstm
