#include "kernels/common/cuda.cuh"
#include "kernels/common/hopper_device.h"

namespace xlstm::kernels {

bool device_is_hopper() {
#ifdef XLSTM_SM90A
  int device = 0, major = 0, minor = 0;
  return answered(cudaGetDevice(&device)) &&
         answered(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device)) &&
         answered(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device)) &&
         major == 9 && minor == 0;
#else
  return false;
#endif
}

}  // namespace xlstm::kernels
