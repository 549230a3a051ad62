// Times of a device's own work, and what the device is: for benchmarks.
#pragma once

#include <cstdint>
#include <string>

#include "core/device.h"

namespace xlstm::cuda {

// The time between two points of a device's order of work, by its own clock.
class Stopwatch {
 public:
  explicit Stopwatch(Device device);
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  void start();
  void stop();
  double milliseconds() const;  // waits for the work in between

 private:
  Device device_;
  void *start_ = nullptr, *stop_ = nullptr;  // cudaEvent_t
};

struct DeviceFacts {
  std::string name;  // "NVIDIA H200, driver 13.0, runtime 13.0"
  int64_t memory_bytes = 0, l2_bytes = 0;
};
DeviceFacts facts_of(Device device);

}  // namespace xlstm::cuda
