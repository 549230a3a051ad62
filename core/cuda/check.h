// CUDA status codes as exceptions. Internal to core/cuda.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "core/device.h"
#include "core/error.h"

namespace xlstm::cuda {

inline void check(cudaError_t status, const char* what) {
  require<OutOfMemory>(status != cudaErrorMemoryAllocation, "out of memory on the device: ", what);
  require<CudaError>(status == cudaSuccess, what, ": ", cudaGetErrorName(status), ", ",
                     cudaGetErrorString(status));
}
inline void check(cublasStatus_t status, const char* what) {
  require<OutOfMemory>(status != CUBLAS_STATUS_ALLOC_FAILED, "out of memory in cuBLASLt: ", what);
  require<CudaError>(status == CUBLAS_STATUS_SUCCESS, what, ": cuBLASLt status ",
                     cublasLtGetStatusString(status));
}

// While alive, `device` is the current one of this thread.
class DeviceGuard {
 public:
  explicit DeviceGuard(Device device) {
    check(cudaGetDevice(&before_), "cudaGetDevice");
    if (before_ != device.index) check(cudaSetDevice(device.index), "cudaSetDevice");
    changed_ = before_ != device.index;
  }
  ~DeviceGuard() {
    if (changed_) static_cast<void>(cudaSetDevice(before_));
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

}  // namespace xlstm::cuda
