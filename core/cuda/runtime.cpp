#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "core/cuda/check.h"
#include "core/cuda/stream.h"

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

namespace cuda {
namespace {

// What one device needs for its work, made on first use and never destroyed: the driver is gone
// before static destructors run.
struct Context {
  cudaStream_t stream = nullptr;
  cublasLtHandle_t cublaslt = nullptr;
};

Context& context(Device device) {
  static std::mutex mutex;
  static auto* contexts = new std::vector<std::unique_ptr<Context>>;
  std::lock_guard lock(mutex);
  const auto index = static_cast<size_t>(device.index);
  if (contexts->size() <= index) contexts->resize(index + 1);
  auto& slot = (*contexts)[index];
  if (slot == nullptr) {
    const DeviceGuard guard(device);
    auto made = std::make_unique<Context>();
    check(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cublasLtCreate(&made->cublaslt), "cublasLtCreate");
    slot = std::move(made);
  }
  return *slot;
}

}  // namespace

cudaStream_t stream_of(Device device) {
  return context(device).stream;
}

void* allocate(int64_t bytes, Device device) {
  const DeviceGuard guard(device);
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, static_cast<size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  check(status, "cudaMalloc");
  return data;
}

void free(void* pointer, Device) noexcept {
  static_cast<void>(cudaFree(pointer));
}

DeviceMemory memory_of(Device device) {
  const DeviceGuard guard(device);
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

void make_current(Device device) {
  check(cudaSetDevice(device.index), "cudaSetDevice");
}

void* stream(Device device) {
  return stream_of(device);
}

void* cublaslt(Device device) {
  return context(device).cublaslt;
}

void copy(void* to, Device to_device, const void* from, Device from_device, int64_t bytes) {
  if (bytes == 0) return;
  const Device device = to_device == kCpu ? from_device : to_device;
  const DeviceGuard guard(device);
  if (to_device != kCpu && from_device != kCpu && to_device != from_device)
    synchronize(from_device);  // what wrote `from` is in another stream
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, stream_of(device)),
        "copy between devices");
  // Copies within a device stay in its order; others are waited for.
  if (to_device != from_device) return synchronize(device);
  check_status(settled(XLSTM_OK, device), "copy", device);
}

void set_zero(void* data, Device device, int64_t bytes) {
  if (bytes == 0) return;
  const DeviceGuard guard(device);
  check(cudaMemsetAsync(data, 0, static_cast<size_t>(bytes), stream_of(device)), "cudaMemset");
  check_status(settled(XLSTM_OK, device), "cudaMemset", device);
}

void synchronize(Device device) {
  check(cudaStreamSynchronize(stream_of(device)), "waiting for the device");
}

std::string take_error() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? "" : text_of(error);
}

bool waits_after_each_call() {
  static const bool waits = [] {
    const char* value = std::getenv("XLSTM_CUDA_SYNC");
    return value != nullptr && std::strcmp(value, "1") == 0;
  }();
  return waits;
}

xlstm_status settled(xlstm_status status, Device device) {
  if (status != XLSTM_OK || !waits_after_each_call()) return status;
  const cudaStream_t stream = stream_of(device);
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(stream, &capture) != cudaSuccess) return XLSTM_DEVICE_ERROR;
  if (capture != cudaStreamCaptureStatusNone) return status;
  return cudaStreamSynchronize(stream) == cudaSuccess ? XLSTM_OK : XLSTM_DEVICE_ERROR;
}

}  // namespace cuda
}  // namespace xlstm
