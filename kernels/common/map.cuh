// A function of the elements of some arrays, over a shape with strides, in one pass.
#pragma once

#include "kernels/common/math.cuh"
#include "kernels/common/nd_index.cuh"
#include "kernels/common/values.cuh"

namespace xlstm::kernels {

inline constexpr int kMapThreads = 256;
// Packs that a thread has on their way at once, a block's width apart.
template <class F>
inline constexpr int kMapUnroll = F::kIn == 1   ? 4
                                  : F::kIn == 2 ? 2
                                                : 1;
// Blocks that share an SM: 36 KiB or more on their way while as much is computed.
template <class F, class Place>
inline constexpr int kMapBlocks = !Place::kQuick                 ? 2
                                  : F::kIn <= 2 && Place::kDense ? 4
                                                                 : 3;

// Arrays of a map; outputs that are null are not wanted.
template <class T, int kIn, int kOut>
struct MapArrays {
  const T* in[kIn];
  T* out[kOut];
  bool repeats[kIn];  // all of a pack is one element
};

// Where a pack lies in each of the arrays: at the same place in all of them,
template <int N, int kArrays>
struct DensePlace {
  static constexpr bool kDense = true, kQuick = true;
  __device__ void offsets(int64_t pack, int64_t (&at)[kArrays]) const {
#pragma unroll
    for (int a = 0; a < kArrays; ++a) at[a] = pack * N;
  }
};
// in rows of packs, fewer than 2^31 of them,
template <int kArrays>
struct RowPlace {
  static constexpr bool kDense = false, kQuick = true;
  NdIndex<kArrays> index;
  __device__ void offsets(int64_t pack, int64_t (&at)[kArrays]) const {
    const uint32_t i = static_cast<uint32_t>(pack), row = index.divisors[1].quotient(i);
    const uint32_t column = i - row * static_cast<uint32_t>(index.sizes[1]);
#pragma unroll
    for (int a = 0; a < kArrays; ++a)
      at[a] = row * index.strides[a][0] + column * index.strides[a][1];
  }
};
// or anywhere.
template <int kArrays>
struct AnyPlace {
  static constexpr bool kDense = false, kQuick = false;
  NdIndex<kArrays> index;
  __device__ void offsets(int64_t pack, int64_t (&at)[kArrays]) const { index.offsets(pack, at); }
};

// The packs of a thread's round: `first`, and every kMapThreads-th after it.
template <int N, class T, class F>
struct MapRound {
  static constexpr int kIn = F::kIn, kOut = F::kOut, kUnroll = kMapUnroll<F>;
  using Arrays = MapArrays<T, kIn, kOut>;
  Raw<T, N> raw[kUnroll][kIn];

  template <class Place>
  __device__ void load(const Place& place, const Arrays& arrays, int64_t first, int64_t n_packs) {
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * kMapThreads >= n_packs) break;
      int64_t at[kIn + kOut];
      place.offsets(first + u * kMapThreads, at);
#pragma unroll
      for (int a = 0; a < kIn; ++a) {
        const T* p = arrays.in[a] + at[a];
        if (N > 1 && !Place::kDense && arrays.repeats[a]) {
          raw[u][a] = repeated<N>(*p);
        } else {
          raw[u][a] = load_raw<N>(p);
        }
      }
    }
  }

  template <class Place>
  __device__ void write(const Place& place, const Arrays& arrays, const F& f, int64_t first,
                        int64_t n_packs) const {
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * kMapThreads >= n_packs) break;
      float in[kIn][N], out[kOut][N];
#pragma unroll
      for (int a = 0; a < kIn; ++a)
#pragma unroll
        for (int j = 0; j < N; ++j) in[a][j] = raw[u][a][j];
      f(in, out);
      int64_t at[kIn + kOut];
      place.offsets(first + u * kMapThreads, at);
#pragma unroll
      for (int b = 0; b < kOut; ++b)
        if (arrays.out[b] != nullptr) store_values<N>(arrays.out[b] + at[kIn + b], out[b]);
    }
  }
};

// The next round is on its way while this one is computed. A thread reads a pack before it writes
// there, and no other thread touches it, so outputs may be inputs.
template <int N, class Place, class T, class F>
__global__ void __launch_bounds__(kMapThreads, kMapBlocks<F, Place>)
    map_kernel(const __grid_constant__ Place place, const MapArrays<T, F::kIn, F::kOut> arrays,
               const F f, int64_t n_packs) {
  constexpr int kRound = kMapThreads * kMapUnroll<F>;
  const int64_t step = int64_t{gridDim.x} * kRound;
  int64_t first = int64_t{blockIdx.x} * kRound + threadIdx.x;
  MapRound<N, T, F> now, next;
  now.load(place, arrays, first, n_packs);
  for (; first < n_packs; first += step) {
    next.load(place, arrays, first + step, n_packs);
    now.write(place, arrays, f, first, n_packs);
    now = next;
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
  constexpr int N = kPack<T>, kArrays = F::kIn + F::kOut;
  NdLoop<kArrays> loop = merged(given);
  if (loop.count() == 0) return XLSTM_OK;
  const auto launch = [&](auto pack, const auto& place, int64_t n_packs) {
    if (n_packs == 0) return XLSTM_OK;
    map_kernel<decltype(pack)::value>
        <<<grid_for(n_packs, kMapThreads * kMapUnroll<F>), kMapThreads, 0, stream_of(exec)>>>(
            place, arrays, f, n_packs);
    return launched();
  };
  constexpr std::integral_constant<int, N> kMany{};
  constexpr std::integral_constant<int, 1> kOne{};
  const int last = loop.n_dims - 1;
  const MapWay way = way_of(loop, arrays);
  if (way == MapWay::dense) {
    const int64_t n = loop.count();
    const xlstm_status status = launch(kMany, DensePlace<N, kArrays>{}, n / N);
    if (status != XLSTM_OK || n % N == 0) return status;
    for (auto& in : arrays.in) in += n / N * N;
    for (auto& out : arrays.out)
      if (out != nullptr) out += n / N * N;
    return launch(kOne, DensePlace<1, kArrays>{}, n % N);
  }
  for (int a = 0; a < F::kIn; ++a) arrays.repeats[a] = loop.strides[a][last] == 0;
  if (way == MapWay::elements)
    return launch(kOne, AnyPlace<kArrays>{NdIndex<kArrays>(loop)}, loop.count());
  loop.sizes[last] /= N;
  for (auto& strides : loop.strides) strides[last] *= N;
  const NdIndex<kArrays> index(loop);
  if (loop.n_dims == 2 && loop.count() < (int64_t{1} << 31))
    return launch(kMany, RowPlace<kArrays>{index}, loop.count());
  return launch(kMany, AnyPlace<kArrays>{index}, loop.count());
}

}  // namespace xlstm::kernels
