// CUDA status codes as exceptions. Internal to core/cuda.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <string>

#include "core/device.h"
#include "core/error.h"

namespace xlstm::cuda {

// ": cudaErrorInvalidValue, invalid argument"
std::string text_of(cudaError_t error);

// Throw OutOfMemory or CudaError: what was tried, the error, the current device, the op in
// progress. The error is no longer pending then.
[[noreturn]] void fail(cudaError_t status, const char* what);
[[noreturn]] void fail(cublasStatus_t status, const char* what);

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) [[unlikely]]
    fail(status, what);
}
inline void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) [[unlikely]]
    fail(status, what);
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
