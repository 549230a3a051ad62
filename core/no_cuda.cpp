#include "core/device.h"

// Chosen by CMake in a build without CUDA.
namespace xlstm {

int32_t cuda_device_count() {
  return 0;
}

}  // namespace xlstm
