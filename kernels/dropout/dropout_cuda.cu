#include <cmath>

#include "kernels/common/cuda.cuh"
#include "kernels/common/philox.h"
#include "kernels/dropout/dropout.h"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 256;

// Keeps or drops 4 elements by the words of one Philox block.
template <int N>
__device__ void drop(float (&x)[N], int first, const Philox4& random, uint32_t threshold,
                     float scale) {
#pragma unroll
  for (int j = 0; j < 4; ++j)
    x[first + j] = (random.x[j] >> 8) >= threshold ? x[first + j] * scale : 0.0f;
}

// A thread takes a pack of 16 bytes (4 or 8 elements: whole Philox blocks), element by element
// where the arrays are not aligned and at the end.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const T* x, T* y, int64_t n, bool packed, uint32_t threshold, float scale,
                   uint64_t seed, uint64_t offset, const uint64_t* offset_base) {
  if (offset_base != nullptr) offset += *offset_base;
  constexpr int N = kPack<T>;
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i * N < n; i += step) {
    const bool whole = packed && (i + 1) * N <= n;
    float v[N] = {};
    if (whole) {
      load_pack<N>(x + i * N, v);
    } else {
#pragma unroll
      for (int j = 0; j < N; ++j)
        if (i * N + j < n) v[j] = to_float(x[i * N + j]);
    }
#pragma unroll
    for (int j = 0; j < N; j += 4)
      drop(v, j, philox(seed, offset + static_cast<uint64_t>(i * (N / 4) + j / 4), 0), threshold,
           scale);
    if (whole) {
      store_pack<N>(y + i * N, v);
    } else {
#pragma unroll
      for (int j = 0; j < N; ++j)
        if (i * N + j < n) y[i * N + j] = from_float<T>(v[j]);
    }
  }
}

template <class T>
xlstm_status dropout(const xlstm_dropout_args& g, const xlstm_exec& exec) {
  if (g.n == 0) return XLSTM_OK;
  // uniform >= p as integers, exactly as on the CPU.
  const uint32_t threshold = static_cast<uint32_t>(std::ceil(g.p * 16777216.0));
  const bool packed = is_packed<T>(g.x) && is_packed<T>(g.y);
  dropout_kernel<<<grid_for(g.n, kThreads * kPack<T>, 1 << 20), kThreads, 0, stream_of(exec)>>>(
      static_cast<const T*>(g.x), static_cast<T*>(g.y), g.n, packed, threshold,
      static_cast<float>(1.0 / (1.0 - g.p)), g.seed, g.offset, g.offset_base);
  return launched();
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_dropout_cuda(const xlstm_dropout_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_dropout_check, [&](auto element) {
    return dropout<typename decltype(element)::type>(*args, exec);
  });
}
