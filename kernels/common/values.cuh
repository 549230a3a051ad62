// Runs of neighbouring elements in registers, and sums of partial results in a fixed order.
#pragma once

#include "kernels/common/cuda.cuh"

namespace xlstm::kernels {

// N neighbouring elements as memory holds them, in accesses of at most 16 bytes. Converted only
// when used, so that several can be on their way at once and cost few registers.
template <class T, int N>
struct Raw {
  static constexpr int kPart = N * sizeof(T) > 16 ? 16 / static_cast<int>(sizeof(T)) : N;
  Pack<T, kPart> part[N / kPart];
  __device__ float operator[](int i) const { return to_float(part[i / kPart].v[i % kPart]); }
};

template <int N, class T>
__device__ inline Raw<T, N> load_raw(const T* p) {
  using R = Raw<T, N>;
  R raw;
#pragma unroll
  for (int i = 0; i < N / R::kPart; ++i)
    raw.part[i] = reinterpret_cast<const Pack<T, R::kPart>*>(p)[i];
  return raw;
}
template <int N, class T>
__device__ inline void load_values(const T* p, float (&x)[N]) {
  const Raw<T, N> raw = load_raw<N>(p);
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = raw[i];
}
template <int N, class T>
__device__ inline void store_values(T* p, const float (&x)[N]) {
  using R = Raw<T, N>;
#pragma unroll
  for (int i = 0; i < N / R::kPart; ++i) {
    Pack<T, R::kPart> part;
#pragma unroll
    for (int j = 0; j < R::kPart; ++j) part.v[j] = from_float<T>(x[i * R::kPart + j]);
    reinterpret_cast<Pack<T, R::kPart>*>(p)[i] = part;
  }
}

// *place(i) = sum over blocks of partial[block][i], i < n, for the i whose place is not null.
// 32 threads share an element: each adds every 32nd block in order, then they are added in order.
template <class W, class Place>
__global__ void __launch_bounds__(1024)
    combine_kernel(const float* partial, int64_t n_blocks, int64_t n, Place place) {
  __shared__ float sums[32][33];
  const int column = static_cast<int>(threadIdx.x % 32), part = static_cast<int>(threadIdx.x / 32);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 32 + column;
  float sum = 0;
  if (i < n) {
#pragma unroll 4
    for (int64_t block = part; block < n_blocks; block += 32) sum += partial[block * n + i];
  }
  sums[part][column] = sum;
  __syncthreads();
  // Transposed, so that a warp adds one element: a fixed tree.
  const float total = warp_sum(sums[column][part]);
  const int64_t out = static_cast<int64_t>(blockIdx.x) * 32 + part;
  if (column != 0 || out >= n) return;
  if (W* to = place(out)) *to = from_float<W>(total);
}

// n < 2^36, which workspaces never reach.
template <class W, class Place>
void combine_partials(const float* partial, int64_t n_blocks, int64_t n, Place place,
                      cudaStream_t stream) {
  if (n == 0) return;
  combine_kernel<W>
      <<<static_cast<unsigned>(ceil_div(n, 32)), 1024, 0, stream>>>(partial, n_blocks, n, place);
}

}  // namespace xlstm::kernels
