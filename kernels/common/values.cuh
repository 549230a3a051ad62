// Runs of neighbouring elements in registers, and sums of partial results in a fixed order.
#pragma once

#include <type_traits>

#include "kernels/common/cuda.cuh"

namespace xlstm::kernels {

// What a run is held as: words of two 16-bit elements, for an element alone takes a register too.
template <class T, int N>
constexpr bool kInWords = sizeof(T) == 2 && N % 2 == 0;
template <class T, int N>
using Held = std::conditional_t<kInWords<T, N>, uint32_t, T>;

__device__ inline float2 pair_of(uint32_t word, bf16) {
  return make_float2(__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u));
}
__device__ inline float2 pair_of(uint32_t word, f16) {
  return __half22float2(*reinterpret_cast<const __half2*>(&word));
}
// Rounded to nearest by one instruction.
__device__ inline uint32_t word_of(float low, float high, bf16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}
__device__ inline uint32_t word_of(float low, float high, f16) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// N neighbouring elements as memory holds them, in accesses of at most 16 bytes. Converted only
// when used, so that several can be on their way at once and cost few registers.
template <class T, int N>
struct Raw {
  using H = Held<T, N>;
  static constexpr int kHeld = N * static_cast<int>(sizeof(T)) / static_cast<int>(sizeof(H));
  static constexpr int kPart = kHeld * sizeof(H) > 16 ? 16 / static_cast<int>(sizeof(H)) : kHeld;
  Pack<H, kPart> part[kHeld / kPart];

  __device__ H& held(int i) { return part[i / kPart].v[i % kPart]; }
  __device__ const H& held(int i) const { return part[i / kPart].v[i % kPart]; }
  __device__ float operator[](int i) const {
    if constexpr (kInWords<T, N>) {
      const float2 pair = pair_of(held(i / 2), T{});
      return i % 2 == 0 ? pair.x : pair.y;
    } else {
      return to_float(held(i));
    }
  }
  // Has elements converted again where they are used again: kept, they would fill the registers.
  __device__ void forget_floats() {
    if constexpr (kInWords<T, N>)
#pragma unroll
      for (int i = 0; i < kHeld; ++i) asm volatile("" : "+r"(held(i)));
  }
};

template <int N, class T>
__device__ inline Raw<T, N> load_raw(const T* p) {
  using R = Raw<T, N>;
  R raw;
#pragma unroll
  for (int i = 0; i < R::kHeld / R::kPart; ++i)
    raw.part[i] = reinterpret_cast<const Pack<typename R::H, R::kPart>*>(p)[i];
  return raw;
}
template <int N, class T>
__device__ inline void store_raw(T* p, const Raw<T, N>& raw) {
  using R = Raw<T, N>;
#pragma unroll
  for (int i = 0; i < R::kHeld / R::kPart; ++i)
    reinterpret_cast<Pack<typename R::H, R::kPart>*>(p)[i] = raw.part[i];
}
template <int N, class T>
__device__ inline Raw<T, N> repeated(T x) {
  Raw<T, N> raw;
#pragma unroll
  for (int i = 0; i < Raw<T, N>::kHeld; ++i) {
    if constexpr (kInWords<T, N>) {
      raw.held(i) = word_of(to_float(x), to_float(x), T{});
    } else {
      raw.held(i) = x;
    }
  }
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
  R raw;
#pragma unroll
  for (int i = 0; i < R::kHeld; ++i) {
    if constexpr (kInWords<T, N>) {
      raw.held(i) = word_of(x[2 * i], x[2 * i + 1], T{});
    } else {
      raw.held(i) = from_float<T>(x[i]);
    }
  }
  store_raw(p, raw);
}

// The sum over a block of whole warps, in thread 0. All threads call it; between two calls lies a
// __syncthreads().
__device__ inline double block_total(double x) {
  __shared__ double scratch[32];
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffu, x, lane);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  double total = 0;
  if (threadIdx.x == 0)
    for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; ++warp) total += scratch[warp];
  return total;
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
