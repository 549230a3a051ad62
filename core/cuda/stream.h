// cuda::stream with its CUDA type. Internal to core.
#pragma once

#include <cuda_runtime_api.h>

#include "core/cuda/runtime.h"

namespace xlstm::cuda {

cudaStream_t stream_of(Device device);

}  // namespace xlstm::cuda
