#include <vector>

#include "kernels/common/cuda.cuh"
#include "kernels/common/memset_nodes.h"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 32;

template <class T>
__global__ void set_kernel(T* to, unsigned value, int64_t n) {
  for (int64_t i = threadIdx.x; i < n; i += kThreads) to[i] = static_cast<T>(value);
}

// The nodes before (or behind) one. An edge may have properties since CUDA 12.3, and the calls take
// them since CUDA 13.
cudaError_t neighbours(cudaGraphNode_t node, bool before, cudaGraphNode_t* nodes, size_t* n) {
#if CUDART_VERSION >= 13000
  return before ? cudaGraphNodeGetDependencies(node, nodes, nullptr, n)
                : cudaGraphNodeGetDependentNodes(node, nodes, nullptr, n);
#else
  return before ? cudaGraphNodeGetDependencies(node, nodes, n)
                : cudaGraphNodeGetDependentNodes(node, nodes, n);
#endif
}

cudaError_t connect(cudaGraph_t graph, cudaGraphNode_t from, cudaGraphNode_t to) {
#if CUDART_VERSION >= 13000
  return cudaGraphAddDependencies(graph, &from, &to, nullptr, 1);
#else
  return cudaGraphAddDependencies(graph, &from, &to, 1);
#endif
}

// False: there are some that cannot be had without their edges' properties.
bool neighbours_of(cudaGraphNode_t node, bool before, std::vector<cudaGraphNode_t>& nodes) {
  size_t n = 0;
  if (!answered(neighbours(node, before, nullptr, &n))) return false;
  nodes.resize(n);
  return n == 0 || answered(neighbours(node, before, nodes.data(), &n));
}

cudaError_t add_set(cudaGraph_t graph, const std::vector<cudaGraphNode_t>& before,
                    const cudaMemsetParams& set, cudaGraphNode_t* node) {
  void* to = set.dst;
  unsigned value = set.value;
  auto n = static_cast<int64_t>(set.width);
  void* arguments[] = {&to, &value, &n};
  cudaKernelNodeParams kernel{};
  kernel.func = set.elementSize == 1   ? reinterpret_cast<void*>(set_kernel<uint8_t>)
                : set.elementSize == 2 ? reinterpret_cast<void*>(set_kernel<uint16_t>)
                                       : reinterpret_cast<void*>(set_kernel<uint32_t>);
  kernel.gridDim = dim3(1);
  kernel.blockDim = dim3(kThreads);
  kernel.kernelParams = arguments;
  return cudaGraphAddKernelNode(node, graph, before.data(), before.size(), &kernel);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_replace_memsets(void* any_graph, int64_t most, int64_t* n_replaced) {
  const auto graph = static_cast<cudaGraph_t>(any_graph);
  *n_replaced = 0;
  if (graph == nullptr) return XLSTM_NULL_POINTER;
  size_t n = 0;
  cudaError_t status = cudaGraphGetNodes(graph, nullptr, &n);
  std::vector<cudaGraphNode_t> nodes(n), before, behind;
  if (status == cudaSuccess) status = cudaGraphGetNodes(graph, nodes.data(), &n);
  if (status != cudaSuccess) return XLSTM_DEVICE_ERROR;
  for (const cudaGraphNode_t node : nodes) {
    // The runtime does not know all of the driver's types.
    cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
    cudaMemsetParams set{};
    if (!answered(cudaGraphNodeGetType(node, &type)) || type != cudaGraphNodeTypeMemset ||
        !answered(cudaGraphMemsetNodeGetParams(node, &set)))
      continue;
    if (set.height != 1 || static_cast<int64_t>(set.width * set.elementSize) > most) continue;
    if (!neighbours_of(node, true, before) || !neighbours_of(node, false, behind)) continue;
    cudaGraphNode_t kernel = nullptr;
    if (!answered(add_set(graph, before, set, &kernel))) continue;
    bool is_connected = true;
    for (const cudaGraphNode_t next : behind)
      is_connected = is_connected && answered(connect(graph, kernel, next));
    status = cudaGraphDestroyNode(is_connected ? node : kernel);
    if (status != cudaSuccess) return XLSTM_DEVICE_ERROR;
    if (!is_connected) continue;
    ++*n_replaced;
  }
  return XLSTM_OK;
}
