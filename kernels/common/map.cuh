// A function of the elements of some arrays, over a shape with strides, in one pass.
#pragma once

#include "kernels/common/nd_index.cuh"

namespace xlstm::kernels {

// float32 functions: accurate ones for float results, fast ones (relative error of e^x below 2e-7
// times |x|) where the result is rounded to 16 bits.
template <class T>
struct Math {
  static __device__ float exp(float x) { return __expf(x); }
  static __device__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }
};
template <>
struct Math<float> {
  static __device__ float exp(float x) { return expf(x); }
  static __device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
};

inline constexpr int kMapThreads = 256;

// Arrays of a map; a null one is not touched.
template <class T, int kIn, int kOut>
struct MapArrays {
  const T* in[kIn];
  T* out[kOut];
  bool repeats[kIn];  // all of a pack is one element
};

// A thread takes kUnroll packs of N neighbouring elements, a block's width apart; n elements in
// all. All inputs are read before anything is written, so outputs may be inputs.
template <int N, class T, class F>
__global__ void __launch_bounds__(kMapThreads)
    map_kernel(const __grid_constant__ NdIndex<F::kIn + F::kOut> index,
               const MapArrays<T, F::kIn, F::kOut> arrays, const F f, int64_t n) {
  constexpr int kIn = F::kIn, kOut = F::kOut, kUnroll = kIn <= 2 ? 2 : 1;
  const int64_t n_packs = (n + N - 1) / N, step = int64_t{gridDim.x} * (kMapThreads * kUnroll);
  for (int64_t first = int64_t{blockIdx.x} * (kMapThreads * kUnroll) + threadIdx.x; first < n_packs;
       first += step) {
    int64_t at[kUnroll][kIn + kOut];
    float in[kUnroll][kIn][N];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t i = first + u * kMapThreads;
      const int64_t left = n - i * N;  // elements from this pack on
      if (left > 0) index.offsets(i, at[u]);
#pragma unroll
      for (int a = 0; a < kIn; ++a) {
        const T* p = arrays.in[a];
#pragma unroll
        for (int j = 0; j < N; ++j) in[u][a][j] = 0;
        if (p == nullptr || left <= 0) continue;
        p += at[u][a];
        if (N == 1 || arrays.repeats[a]) {
          const float x = to_float(*p);
#pragma unroll
          for (int j = 0; j < N; ++j) in[u][a][j] = x;
        } else if (left >= N) {
          load_pack<N>(p, in[u][a]);
        } else {
#pragma unroll
          for (int j = 0; j < N; ++j)
            if (j < left) in[u][a][j] = to_float(p[j]);
        }
      }
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t left = n - (first + u * kMapThreads) * N;
      if (left <= 0) break;
      float out[kOut][N];
      f(in[u], out);
#pragma unroll
      for (int b = 0; b < kOut; ++b) {
        if (arrays.out[b] == nullptr) continue;
        T* p = arrays.out[b] + at[u][kIn + b];
        if (N == 1) {
          *p = from_float<T>(out[b][0]);
        } else if (left >= N) {
          store_pack<N>(p, out[b]);
        } else {
#pragma unroll
          for (int j = 0; j < N; ++j)
            if (j < left) p[j] = from_float<T>(out[b][j]);
        }
      }
    }
  }
}

// Whether every array may be read or written in packs of N along the last dimension.
template <class T, int kIn, int kOut>
bool packs_fit(const NdLoop<kIn + kOut>& loop, const MapArrays<T, kIn, kOut>& arrays) {
  const int last = loop.n_dims - 1;
  if (last > 0 && loop.sizes[last] % kPack<T> != 0) return false;
  for (int a = 0; a < kIn + kOut; ++a) {
    const void* p = a < kIn ? static_cast<const void*>(arrays.in[a]) : arrays.out[a - kIn];
    if (p == nullptr || (a < kIn && loop.strides[a][last] == 0)) continue;
    if (loop.strides[a][last] != 1 || !is_packed<T>(p)) return false;
    for (int d = 0; d < last; ++d)
      if (!is_packed<T>(p, loop.strides[a][d])) return false;
  }
  return true;
}

// F has kIn, kOut and `template <int N> void operator()(const float (&in)[kIn][N],
// float (&out)[kOut][N]) const` on the device; inputs that are null are 0 there. The loop's arrays
// are the inputs and then the outputs.
template <class T, class F>
xlstm_status map(const NdLoop<F::kIn + F::kOut>& given, MapArrays<T, F::kIn, F::kOut> arrays,
                 const F& f, const xlstm_exec& exec) {
  NdLoop<F::kIn + F::kOut> loop = merged(given);
  const int64_t n = loop.count();
  if (n == 0) return XLSTM_OK;
  constexpr int64_t kPacksPerBlock = kMapThreads * (F::kIn <= 2 ? 2 : 1), kMost = 1 << 20;
  const int last = loop.n_dims - 1;
  for (int a = 0; a < F::kIn; ++a) arrays.repeats[a] = loop.strides[a][last] == 0;
  if (packs_fit(loop, arrays)) {
    constexpr int N = kPack<T>;
    loop.sizes[last] = ceil_div(loop.sizes[last], N);
    for (auto& strides : loop.strides) strides[last] *= N;
    map_kernel<N>
        <<<grid_for(ceil_div(n, N), kPacksPerBlock, kMost), kMapThreads, 0, stream_of(exec)>>>(
            NdIndex<F::kIn + F::kOut>(loop), arrays, f, n);
  } else {
    map_kernel<1><<<grid_for(n, kPacksPerBlock, kMost), kMapThreads, 0, stream_of(exec)>>>(
        NdIndex<F::kIn + F::kOut>(loop), arrays, f, n);
  }
  return launched();
}

}  // namespace xlstm::kernels
