// A function of the elements of some arrays, over a shape with strides, in one pass.
#pragma once

#include "kernels/common/nd_index.cuh"
#include "kernels/common/values.cuh"

namespace xlstm::kernels {

// float32 functions: accurate ones for float results; fast ones where the result is rounded to 16
// bits, of few instructions, for they would otherwise take longer than memory does: the relative
// error is below 2e-7 times max(1, |x|), that of tanh below 1e-5.
template <class T>
struct Math {
  static __device__ float exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  static __device__ float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  static __device__ float exp(float x) { return exp2(x * 1.4426950408889634f); }
  static __device__ float sigmoid(float x) {
    return reciprocal(1.0f + exp2(x * -1.4426950408889634f));
  }
  static __device__ float tanh(float x) {
    const float far = 1.0f - 2.0f * reciprocal(1.0f + exp2(x * 2.8853900817779268f));
    const float xx = x * x;  // near 0 the difference would cancel
    return xx < 2.5e-3f ? x + x * xx * (-0.33333333f + 0.13333333f * xx) : far;
  }
};
template <>
struct Math<float> {
  static __device__ float exp(float x) { return expf(x); }
  static __device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
  static __device__ float tanh(float x) { return tanhf(x); }
};

inline constexpr int kMapThreads = 256;
// Packs that a thread has on their way at once, a block's width apart.
template <class F>
inline constexpr int kMapUnroll = F::kIn == 1 ? 4 : 2;
// Blocks that share an SM: 64 KiB or more on their way.
template <class F>
inline constexpr int kMapBlocks = F::kIn <= 2 ? 4 : 3;

// Arrays of a map; outputs that are null are not wanted.
template <class T, int kIn, int kOut>
struct MapArrays {
  const T* in[kIn];
  T* out[kOut];
  bool repeats[kIn];  // all of a pack is one element
};

// f of one pack, written to the outputs at `at`.
template <int N, class T, class F>
__device__ inline void map_pack(const F& f, const Raw<T, N> (&raw)[F::kIn],
                                const MapArrays<T, F::kIn, F::kOut>& arrays,
                                const int64_t (&at)[F::kOut]) {
  float in[F::kIn][N], out[F::kOut][N];
#pragma unroll
  for (int a = 0; a < F::kIn; ++a)
#pragma unroll
    for (int j = 0; j < N; ++j) in[a][j] = raw[a][j];
  f(in, out);
#pragma unroll
  for (int b = 0; b < F::kOut; ++b)
    if (arrays.out[b] != nullptr) store_values<N>(arrays.out[b] + at[b], out[b]);
}

// Every array is dense: element i lies at i. A thread takes kMapUnroll packs of N; the first block
// also takes the elements that fill no pack. All inputs are read before anything is written, so
// outputs may be inputs.
template <int N, class T, class F>
__global__ void __launch_bounds__(kMapThreads, kMapBlocks<F>)
    dense_map_kernel(const MapArrays<T, F::kIn, F::kOut> arrays, const F f, int64_t n) {
  constexpr int kUnroll = kMapUnroll<F>;
  const int64_t n_packs = n / N, step = int64_t{gridDim.x} * (kMapThreads * kUnroll);
  for (int64_t first = int64_t{blockIdx.x} * (kMapThreads * kUnroll) + threadIdx.x; first < n_packs;
       first += step) {
    Raw<T, N> raw[kUnroll][F::kIn];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
#pragma unroll
      for (int a = 0; a < F::kIn; ++a)
        if (first + u * kMapThreads < n_packs)
          raw[u][a] = load_raw<N>(arrays.in[a] + (first + u * kMapThreads) * N);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * kMapThreads >= n_packs) break;
      int64_t at[F::kOut];
#pragma unroll
      for (int b = 0; b < F::kOut; ++b) at[b] = (first + u * kMapThreads) * N;
      map_pack<N>(f, raw[u], arrays, at);
    }
  }
  const int64_t i = n_packs * N + threadIdx.x;
  if (N == 1 || blockIdx.x != 0 || i >= n) return;
  Raw<T, 1> rest[F::kIn];
  int64_t at[F::kOut];
#pragma unroll
  for (int a = 0; a < F::kIn; ++a) rest[a] = load_raw<1>(arrays.in[a] + i);
#pragma unroll
  for (int b = 0; b < F::kOut; ++b) at[b] = i;
  map_pack<1>(f, rest, arrays, at);
}

// Any strides: packs of N neighbours, counted by the index. kRows: rows of packs, fewer than 2^31
// of them.
template <int N, bool kRows, class T, class F>
__global__ void __launch_bounds__(kMapThreads, kRows ? kMapBlocks<F> : 2)
    map_kernel(const __grid_constant__ NdIndex<F::kIn + F::kOut> index,
               const MapArrays<T, F::kIn, F::kOut> arrays, const F f, int64_t n_packs) {
  constexpr int kIn = F::kIn, kOut = F::kOut, kUnroll = kMapUnroll<F>;
  const int64_t step = int64_t{gridDim.x} * (kMapThreads * kUnroll);
  for (int64_t first = int64_t{blockIdx.x} * (kMapThreads * kUnroll) + threadIdx.x; first < n_packs;
       first += step) {
    int64_t at_in[kUnroll][kIn], at_out[kUnroll][kOut];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      int64_t at[kIn + kOut];
      if constexpr (kRows) {
        const uint32_t i = static_cast<uint32_t>(first) + u * kMapThreads;
        const uint32_t row = index.divisors[1].quotient(i);
        const uint32_t pack = i - row * static_cast<uint32_t>(index.sizes[1]);
#pragma unroll
        for (int a = 0; a < kIn + kOut; ++a)
          at[a] = row * index.strides[a][0] + pack * index.strides[a][1];
      } else {
        index.offsets(first + u * kMapThreads, at);
      }
#pragma unroll
      for (int a = 0; a < kIn; ++a) at_in[u][a] = at[a];
#pragma unroll
      for (int b = 0; b < kOut; ++b) at_out[u][b] = at[kIn + b];
    }
    Raw<T, N> raw[kUnroll][kIn];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
#pragma unroll
      for (int a = 0; a < kIn; ++a) {
        if (first + u * kMapThreads >= n_packs) continue;
        const T* p = arrays.in[a] + at_in[u][a];
        if (N > 1 && arrays.repeats[a]) {
          raw[u][a] = repeated<N>(*p);
        } else {
          raw[u][a] = load_raw<N>(p);
        }
      }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * kMapThreads >= n_packs) break;
      map_pack<N>(f, raw[u], arrays, at_out[u]);
    }
  }
}

// How the arrays may be read and written: as dense ones, in packs along the last dimension, or
// element by element.
enum class MapWay { dense, packs, elements };

template <class T, int kIn, int kOut>
MapWay way_of(const NdLoop<kIn + kOut>& loop, const MapArrays<T, kIn, kOut>& arrays) {
  const int last = loop.n_dims - 1;
  bool dense = last == 0;
  for (int a = 0; a < kIn + kOut; ++a) {
    const void* p = a < kIn ? static_cast<const void*>(arrays.in[a]) : arrays.out[a - kIn];
    if (p == nullptr) continue;
    if (a < kIn && loop.strides[a][last] == 0) {
      dense = false;
      continue;
    }
    if (loop.strides[a][last] != 1 || !is_packed<T>(p)) return MapWay::elements;
    for (int d = 0; d < last; ++d)
      if (!is_packed<T>(p, loop.strides[a][d])) return MapWay::elements;
  }
  if (dense) return MapWay::dense;
  return loop.sizes[last] % kPack<T> == 0 ? MapWay::packs : MapWay::elements;
}

// F has kIn, kOut and `template <int N> void operator()(const float (&in)[kIn][N],
// float (&out)[kOut][N]) const` on the device. The loop's arrays are the inputs and then the
// outputs.
template <class T, class F>
xlstm_status map(const NdLoop<F::kIn + F::kOut>& given, MapArrays<T, F::kIn, F::kOut> arrays,
                 const F& f, const xlstm_exec& exec) {
  NdLoop<F::kIn + F::kOut> loop = merged(given);
  if (loop.count() == 0) return XLSTM_OK;
  constexpr int N = kPack<T>;
  const cudaStream_t stream = stream_of(exec);
  const auto grid = [](int64_t packs) {
    return grid_for(packs, kMapThreads * kMapUnroll<F>, 1 << 20);
  };
  const int last = loop.n_dims - 1;
  const MapWay way = way_of(loop, arrays);
  if (way == MapWay::dense) {
    const int64_t n = loop.count();
    dense_map_kernel<N><<<grid(n / N), kMapThreads, 0, stream>>>(arrays, f, n);
    return launched();
  }
  for (int a = 0; a < F::kIn; ++a) arrays.repeats[a] = loop.strides[a][last] == 0;
  const auto launch = [&](auto kernel) {
    const int64_t n = loop.count();
    kernel<<<grid(n), kMapThreads, 0, stream>>>(NdIndex<F::kIn + F::kOut>(loop), arrays, f, n);
    return launched();
  };
  if (way == MapWay::elements) return launch(map_kernel<1, false, T, F>);
  loop.sizes[last] /= N;
  for (auto& strides : loop.strides) strides[last] *= N;
  if (loop.n_dims == 2 && loop.count() < (int64_t{1} << 31))
    return launch(map_kernel<N, true, T, F>);
  return launch(map_kernel<N, false, T, F>);
}

}  // namespace xlstm::kernels
