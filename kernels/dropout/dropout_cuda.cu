#include <cmath>

#include "kernels/common/philox.h"
#include "kernels/common/values.cuh"
#include "kernels/dropout/dropout.h"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 2;  // packs on their way per thread

// Keeps N elements, multiples of 4 from `first` on, where their random word is above `dropped`.
template <int N>
__device__ void drop(const float (&x)[N], float (&y)[N], uint64_t seed, uint64_t first,
                     uint32_t dropped, float scale) {
#pragma unroll
  for (int j = 0; j < N; j += 4) {
    const Philox4 random = philox(seed, first + j / 4, 0);
#pragma unroll
    for (int k = 0; k < 4; ++k) y[j + k] = random.x[k] > dropped ? x[j + k] * scale : 0.0f;
  }
}

// A thread takes packs of 16 bytes (4 or 8 elements: whole Philox blocks), a block's width apart;
// element by element where the arrays are not aligned, and at the end.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const T* x, T* y, int64_t n, bool packed, uint32_t dropped, float scale,
                   uint64_t seed, uint64_t offset, const uint64_t* offset_base) {
  if (offset_base != nullptr) offset += *offset_base;
  constexpr int N = kPack<T>;
  const int64_t n_whole = packed ? n / N : 0, step = int64_t{gridDim.x} * (kThreads * kUnroll);
  for (int64_t first = int64_t{blockIdx.x} * (kThreads * kUnroll) + threadIdx.x; first * N < n;
       first += step) {
    Raw<T, N> raw[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if (first + u * kThreads < n_whole) raw[u] = load_raw<N>(x + (first + u * kThreads) * N);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t i = first + u * kThreads;
      const uint64_t counter = offset + static_cast<uint64_t>(i) * (N / 4);
      float in[N], out[N];
      if (i < n_whole) {
#pragma unroll
        for (int j = 0; j < N; ++j) in[j] = raw[u][j];
        drop(in, out, seed, counter, dropped, scale);
        store_values<N>(y + i * N, out);
      } else if (i * N < n) {
#pragma unroll
        for (int j = 0; j < N; ++j) in[j] = i * N + j < n ? to_float(x[i * N + j]) : 0.0f;
        drop(in, out, seed, counter, dropped, scale);
#pragma unroll
        for (int j = 0; j < N; ++j)
          if (i * N + j < n) y[i * N + j] = from_float<T>(out[j]);
      }
    }
  }
}

template <class T>
xlstm_status dropout(const xlstm_dropout_args& g, const xlstm_exec& exec) {
  if (g.n == 0) return XLSTM_OK;
  // uniform >= p as integers, exactly as on the CPU: the upper 24 bits are at least the threshold.
  const uint32_t threshold = static_cast<uint32_t>(std::ceil(g.p * 16777216.0));
  if (threshold == 0) {  // all are kept
    if (g.x != g.y)
      cudaMemcpyAsync(g.y, g.x, static_cast<size_t>(g.n) * sizeof(T), cudaMemcpyDeviceToDevice,
                      stream_of(exec));
    return launched();
  }
  const uint32_t dropped = static_cast<uint32_t>((uint64_t{threshold} << 8) - 1);
  const bool packed = is_packed<T>(g.x) && is_packed<T>(g.y);
  dropout_kernel<<<grid_for(g.n, kThreads * kUnroll * kPack<T>, 1 << 20), kThreads, 0,
                   stream_of(exec)>>>(static_cast<const T*>(g.x), static_cast<T*>(g.y), g.n, packed,
                                      dropped, static_cast<float>(1.0 / (1.0 - g.p)), g.seed,
                                      g.offset, g.offset_base);
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
