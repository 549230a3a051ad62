// The devices that a case runs on: the CPU, and every CUDA device that is there.
#pragma once

#include <vector>

#include "core/device.h"
#include "tests/catch.h"
#include "tests/skip.h"

namespace xlstm::test {

inline std::vector<Device> devices() {
  std::vector<Device> all{kCpu};
  for (int32_t i = 0; i < cuda_device_count(); ++i) all.push_back({DeviceType::cuda, i});
  return all;
}

// body(device) for each of them. What fails names the device.
template <class Body>
void for_each_device(Body body) {
  for (const Device device : devices()) {
    INFO("on " << to_string(device));
    body(device);
  }
  if (cuda_device_count() == 0) skipped_part("on CUDA", "no CUDA device here");
}

}  // namespace xlstm::test
