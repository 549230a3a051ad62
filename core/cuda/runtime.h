// The CUDA runtime as the rest of core sees it: no CUDA type appears here. A build without CUDA
// links core/no_cuda.cpp instead, where every function throws DeviceError.
//
// All work of a device goes to one stream, in program order.
#pragma once

#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/dtype.h"
#include "core/element_copy.h"
#include "kernels/common/types.h"

namespace xlstm::cuda {

// Device memory; null if there is none left. Other failures: CudaError.
void* allocate(int64_t bytes, Device device);
void free(void* pointer, Device device) noexcept;
// What the whole device has, for all processes.
struct DeviceMemory {
  int64_t free = 0, total = 0;
};
DeviceMemory memory_of(Device device);

// Makes it the device on which this thread launches.
void make_current(Device device);
void* stream(Device device);    // cudaStream_t
void* cublaslt(Device device);  // cublasLtHandle_t

// Copies bytes between any two devices; at least one is a CUDA device. Ordered with the work of
// that device; host memory is free to be reused, and results are there, when the call returns.
void copy(void* to, Device to_device, const void* from, Device from_device, int64_t bytes);
// Sets bytes to zero, in order.
void set_zero(void* data, Device device, int64_t bytes);
// As the functions of the same name in core/element_copy.h, on memory of the device.
void copy_elements(const Shape& shape, const Elements& from, const Elements& to, Device device);
void fill_elements(const Shape& shape, const Elements& to, double value, Device device);
// Waits for all work of the device.
void synchronize(Device device);

// The error that a call of this thread has left behind, for the end of a message: ": name, text".
// It is taken away, so that no later call reports it again; what has ended the device's context
// comes back by itself. Empty if there is none.
std::string take_error();
// True with XLSTM_CUDA_SYNC=1 in the environment: every call waits for the device, so that an error
// is reported by the call that caused it. A debugging tool.
bool waits_after_each_call();
// The status of a call that has launched work: where calls wait, XLSTM_DEVICE_ERROR if the device
// reports an error when the work is done. While a graph is recorded there is nothing to wait for.
xlstm_status settled(xlstm_status status, Device device);

// y[M,N] = op(a) op(b) + beta y, or op(a) op(b) + bias[N] for each row (beta 0 then), all
// row-major, for a batch of matrices; op is the transpose where trans is set. a and b have the type
// `dtype`; y and bias, which is dense, `y_dtype`. Sums in float32; float32 inputs are multiplied
// without TF32.
struct Product {
  DType dtype = DType::f32, y_dtype = DType::f32;
  bool trans_a = false, trans_b = false;
  int64_t M = 0, N = 0, K = 0, batch = 1;
  const void *a = nullptr, *b = nullptr, *bias = nullptr;
  void* y = nullptr;
  int64_t a_ld = 0, b_ld = 0, y_ld = 0;              // elements from row to row of what is stored
  int64_t a_stride = 0, b_stride = 0, y_stride = 0;  // from matrix to matrix
  double beta = 0;
};
void multiply(const Product& product, Device device);

}  // namespace xlstm::cuda
