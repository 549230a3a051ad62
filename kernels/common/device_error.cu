#include <cuda_runtime_api.h>

#include "kernels/common/types.h"

const char* xlstm_take_device_error(void) {
  return cudaGetErrorString(cudaGetLastError());
}
