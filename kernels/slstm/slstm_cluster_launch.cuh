// How the kernels of slstm_cluster.cuh are launched, and whether the card holds one cluster.
#pragma once

#include "kernels/slstm/slstm_cluster.cuh"

namespace xlstm::kernels {

// `threads` and `bytes` of shared memory a block. False without an error where the card cannot.
template <class Kernel, class Body>
inline bool slstm_with_cluster(const ClusterPlan& plan, Kernel kernel, int64_t H, int threads,
                               int bytes, cudaStream_t stream, Body body) {
  if (!answered(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)) ||
      (plan.blocks > 8 &&
       !answered(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1))))
    return false;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(plan.grid(H)));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.stream = stream;
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(plan.blocks), 1, 1};
  config.attrs = &cluster;
  config.numAttrs = plan.blocks > 1 ? 1 : 0;
  return body(config);
}

template <class Kernel>
inline bool slstm_cluster_is_resident(const ClusterPlan& plan, Kernel kernel, int64_t H,
                                      int threads, int bytes) {
  return slstm_with_cluster(
      plan, kernel, H, threads, bytes, nullptr, [&](const cudaLaunchConfig_t& config) {
        int n = 1;
        return plan.blocks == 1 ||
               (answered(cudaOccupancyMaxActiveClusters(&n, kernel, &config)) && n > 0);
      });
}

template <class Kernel, class Args>
inline xlstm_status slstm_launch_cluster(const ClusterPlan& plan, Kernel kernel, int64_t H,
                                         int threads, int bytes, cudaStream_t stream,
                                         const Args& args) {
  return slstm_with_cluster(plan, kernel, H, threads, bytes, stream,
                            [&](const cudaLaunchConfig_t& config) {
                              return cudaLaunchKernelEx(&config, kernel, args) == cudaSuccess;
                            })
             ? launched()
             : XLSTM_DEVICE_ERROR;
}

}  // namespace xlstm::kernels
