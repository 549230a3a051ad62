// Where a tensor lives.
#pragma once

#include <cstdint>
#include <string>

namespace xlstm {

enum class DeviceType : int8_t { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int32_t index = 0;
  bool operator==(const Device&) const = default;
};

inline constexpr Device kCpu{};

// "cpu", "cuda:0"
std::string to_string(Device device);

// CUDA devices this process can use: 0 in a build without CUDA and on a machine without a driver.
int32_t cuda_device_count();

}  // namespace xlstm
