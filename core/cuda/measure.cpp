#include "core/cuda/measure.h"

#include "core/cuda/check.h"
#include "core/cuda/stream.h"

namespace xlstm::cuda {
namespace {

void* make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  return event;
}

void record(void* event, Device device) {
  const DeviceGuard guard(device);
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), stream_of(device)), "cudaEventRecord");
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

Stopwatch::Stopwatch(Device device) : device_(device) {
  const DeviceGuard guard(device);
  start_ = make_event();
  stop_ = make_event();
}

Stopwatch::~Stopwatch() {
  static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(start_)));
  static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(stop_)));
}

void Stopwatch::start() {
  record(start_, device_);
}
void Stopwatch::stop() {
  record(stop_, device_);
}

double Stopwatch::milliseconds() const {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(stop_)), "waiting for the device");
  float ms = 0;
  check(
      cudaEventElapsedTime(&ms, static_cast<cudaEvent_t>(start_), static_cast<cudaEvent_t>(stop_)),
      "cudaEventElapsedTime");
  return static_cast<double>(ms);
}

DeviceFacts facts_of(Device device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device.index), "cudaGetDeviceProperties");
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return {std::string(properties.name) + ", driver for CUDA " + version_text(driver) +
              ", runtime " + version_text(runtime),
          static_cast<int64_t>(properties.totalGlobalMem),
          static_cast<int64_t>(properties.l2CacheSize)};
}

}  // namespace xlstm::cuda
