#include "kernels/common/values.cuh"
#include "kernels/sum_parts/sum_parts.h"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kAtOnce = 4;             // packs of a part on their way
constexpr int64_t kMostBlocks = 1056;  // eight to each multiprocessor of a Hopper

// The last block to arrive adds what all have left in `partial`, in their order.
__device__ void add_squares(double mine, double* partial, double* squares, uint32_t* arrived) {
  __shared__ bool is_last;
  mine = block_total(mine);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = mine;
    __threadfence();
    is_last = atomicInc(arrived, gridDim.x - 1) == gridDim.x - 1;  // back to 0 by the last
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  double total = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kThreads) total += __ldcg(partial + i);
  total = block_total(total);
  if (threadIdx.x == 0) *squares = total;
}

// N elements an access, which divide n.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    sum_parts_kernel(const T* parts, int64_t n_parts, int64_t n, T* sum, double* partial,
                     double* squares, uint32_t* arrived) {
  const int64_t step = int64_t{gridDim.x} * kThreads * N;
  double mine = 0;
  for (int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * N; first < n;
       first += kAtOnce * step) {
    float total[kAtOnce][N] = {};
    for (int64_t r = 0; r < n_parts; ++r) {
      Raw<T, N> raw[kAtOnce];
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u)
        if (first + u * step < n) raw[u] = load_raw<N>(parts + r * n + first + u * step);
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u)
        if (first + u * step < n)
#pragma unroll
          for (int j = 0; j < N; ++j) total[u][j] += raw[u][j];
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      if (first + u * step >= n) break;
      store_values<N>(sum + first + u * step, total[u]);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const auto rounded = static_cast<double>(to_float(from_float<T>(total[u][j])));
        mine += rounded * rounded;
      }
    }
  }
  if (squares != nullptr) add_squares(mine, partial, squares, arrived);
}

int64_t blocks_of(int64_t n) {
  return grid_for(n, kThreads * 16, kMostBlocks);
}

template <class T>
void add(const xlstm_sum_parts_args& a, const xlstm_exec& exec) {
  const auto launch = [&](auto width) {
    constexpr int N = decltype(width)::value;
    sum_parts_kernel<T, N><<<static_cast<unsigned>(blocks_of(a.n)), kThreads, 0, stream_of(exec)>>>(
        static_cast<const T*>(a.parts), a.n_parts, a.n, static_cast<T*>(a.sum),
        static_cast<double*>(exec.workspace), a.squares, a.arrived);
  };
  if (is_packed<T>(a.parts, a.n) && is_packed<T>(a.sum))
    launch(std::integral_constant<int, kPack<T>>{});
  else
    launch(std::integral_constant<int, 1>{});
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_sum_parts_workspace_cuda(const xlstm_sum_parts_args* args) {
  return Cuda::workspace(args, xlstm_sum_parts_check, [&](auto) {
    return args->squares == nullptr ? 0 : blocks_of(args->n) * int64_t{sizeof(double)};
  });
}

xlstm_status xlstm_sum_parts_cuda(const xlstm_sum_parts_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_sum_parts_check, exec, xlstm_sum_parts_workspace_cuda,
                   [&](auto element) {
                     add<typename decltype(element)::type>(*args, exec);
                     return launched();
                   });
}
