// Functions of the CUDA driver, found at run time so that nothing links to its library.
#pragma once

#include <cuda_runtime_api.h>

namespace xlstm::kernels {

// F: its type in cudaTypedefs.h, whose version of CUDA `version` is (12000). Null if the driver has
// none.
template <class F>
F driver_function(const char* name, unsigned version) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  if (cudaGetDriverEntryPointByVersion(name, &function, version, cudaEnableDefault, &found) ==
          cudaSuccess &&
      found == cudaDriverEntryPointSuccess)
    return reinterpret_cast<F>(function);
  static_cast<void>(cudaGetLastError());
  return nullptr;
}

}  // namespace xlstm::kernels
