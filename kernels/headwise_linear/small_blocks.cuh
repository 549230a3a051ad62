// Square blocks of G = 2, 4 or 8 channels: a thread owns V neighbouring channels, whole blocks of
// them, over a run of rows; threads are numbered through the channels, then through the runs.
#pragma once

#include <type_traits>

#include "kernels/common/values.cuh"
#include "kernels/headwise_linear/headwise_linear.h"

namespace xlstm::kernels::headwise {

constexpr int kSmallThreads = 128;

template <class T, int G>
constexpr int kSmallChannels = kPack<T> > G ? kPack<T> : G;

// Of a thread of the backward pass, whose sums take registers.
template <class T, int G>
constexpr int kBackChannels = 8 / static_cast<int>(sizeof(T)) > G ? 8 / static_cast<int>(sizeof(T))
                                                                  : G;

// How N rows are cut into runs. Sums over rows are taken run by run.
struct RowRuns {
  int64_t rows, count;
  RowRuns(int64_t N, int64_t most_runs, int64_t shortest) {
    rows = ceil_div(N, most_runs);
    if (rows < shortest) rows = shortest;
    count = ceil_div(N, rows);
  }
};

// w[l][i] = W[h, o, i] for channel c + l = h G + o.
template <int G, int V, class W>
__device__ inline void load_blocks(const W* weight, int64_t c, float (&w)[V][G]) {
#pragma unroll
  for (int l = 0; l < V; ++l) load_values<G>(weight + (c + l) * G, w[l]);
}

template <class T, class W, int G>
__global__ void __launch_bounds__(kSmallThreads)
    map_rows(xlstm_headwise_linear_fwd_args a, RowRuns runs, uint32_t n_threads) {
  constexpr int V = kSmallChannels<T, G>, kAtOnce = 4;
  const uint32_t thread = blockIdx.x * kSmallThreads + threadIdx.x;
  if (thread >= n_threads) return;
  const uint32_t across = static_cast<uint32_t>(a.H * G / V);
  const int64_t c = int64_t{thread % across} * V;
  const int64_t begin = thread / across * runs.rows;
  const int64_t end = begin + runs.rows < a.N ? begin + runs.rows : a.N;
  float w[V][G], bias[V];
  load_blocks<G, V>(static_cast<const W*>(a.W), c, w);
#pragma unroll
  for (int l = 0; l < V; ++l)
    bias[l] = a.bias == nullptr ? 0.0f : to_float(static_cast<const W*>(a.bias)[c + l]);
  for (int64_t r = begin; r < end; r += kAtOnce) {
    Raw<T, V> x[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k)
      if (r + k < end) x[k] = load_raw<V>(static_cast<const T*>(a.x) + (r + k) * a.x_stride_n + c);
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (r + k >= end) break;
      float y[V];
#pragma unroll
      for (int l = 0; l < V; ++l) {
        y[l] = bias[l];
#pragma unroll
        for (int i = 0; i < G; ++i) y[l] += w[l][i] * x[k][l / G * G + i];
      }
      store_values<V>(static_cast<T*>(a.y) + (r + k) * a.y_stride_n + c, y);
    }
  }
}

// N neighbouring elements as whole registers, which a Raw of 16-bit elements may split.
template <class T, int N>
struct Words {
  static constexpr int kBytes = N * static_cast<int>(sizeof(T));
  static constexpr int kPart = kBytes > 16 ? 4 : kBytes / 4;  // words of an access
  Pack<uint32_t, kPart> part[kBytes / 4 / kPart];
  __device__ explicit Words(const T* p) {
#pragma unroll
    for (int i = 0; i < kBytes / 4 / kPart; ++i)
      part[i] = reinterpret_cast<const Pack<uint32_t, kPart>*>(p)[i];
  }
  Words() = default;
  __device__ float operator[](int i) const {
    const int at = i * static_cast<int>(sizeof(T)) / 4;
    const uint32_t word = part[at / kPart].v[at % kPart];
    if constexpr (sizeof(T) == 4) {
      return __uint_as_float(word);
    } else if constexpr (std::is_same_v<T, bf16>) {
      return __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xffff0000u);
    } else {
      return to_float(__ushort_as_half(static_cast<unsigned short>(word >> i % 2 * 16)));
    }
  }
};

// partial: [runs][C G + C], dW then dbias; null if not wanted. A row's registers are filled again,
// for the row kAhead later, as soon as they are read.
template <class T, class W, int G>
__global__ void __launch_bounds__(kSmallThreads, G == 8 ? 2 : 5)
    map_back(xlstm_headwise_linear_bwd_args a, RowRuns runs, uint32_t n_threads, float* partial) {
  constexpr int V = kBackChannels<T, G>, kAhead = V * sizeof(T) > 8 ? 2 : 4;
  const uint32_t thread = blockIdx.x * kSmallThreads + threadIdx.x;
  if (thread >= n_threads) return;
  const int64_t C = a.H * G;
  const uint32_t across = static_cast<uint32_t>(C / V);
  const int64_t c = int64_t{thread % across} * V, run = thread / across;
  const int64_t begin = run * runs.rows;
  const int n = static_cast<int>(begin + runs.rows < a.N ? runs.rows : a.N - begin);
  const bool wants_dW = a.dW != nullptr, wants_dx = a.dx != nullptr;
  // Where x is not wanted, dy is read in its place and the sums are dropped.
  const int64_t x_stride = wants_dW ? a.x_stride_n : a.dy_stride_n;
  const T* dy = static_cast<const T*>(a.dy) + begin * a.dy_stride_n + c;
  const T* x = static_cast<const T*>(wants_dW ? a.x : a.dy) + begin * x_stride + c;
  T* to = static_cast<T*>(a.dx) + begin * a.dx_stride_n + c;
  Words<T, V> raw_x[kAhead], raw_dy[kAhead];
  const auto read = [&](int k) {
    raw_dy[k] = Words<T, V>(dy);
    raw_x[k] = Words<T, V>(x);
    dy += a.dy_stride_n;
    x += x_stride;
  };
#pragma unroll
  for (int k = 0; k < kAhead; ++k)
    if (k < n) read(k);
  float w[V][G] = {}, dW[V][G] = {}, dbias[V] = {};
  if (wants_dx) load_blocks<G, V>(static_cast<const W*>(a.W), c, w);
  // `whole`: these rows and the next kAhead are of the run.
  const auto rows = [&](int r, auto whole) {
    constexpr bool kWhole = decltype(whole)::value;
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (!kWhole && r + k >= n) return;
      float in[V], g[V], dx[V] = {};
#pragma unroll
      for (int l = 0; l < V; ++l) in[l] = raw_x[k][l], g[l] = raw_dy[k][l];
      if (kWhole || r + k + kAhead < n) read(k);
#pragma unroll
      for (int l = 0; l < V; ++l) {
        dbias[l] += g[l];
#pragma unroll
        for (int i = 0; i < G; ++i) {
          dx[l / G * G + i] += w[l][i] * g[l];
          dW[l][i] += g[l] * in[l / G * G + i];
        }
      }
      if (wants_dx) store_values<V>(to, dx);
      to += a.dx_stride_n;
    }
  };
#pragma unroll 1
  for (int r = 0; r < n; r += kAhead) {
    if (r + 2 * kAhead <= n) {
      rows(r, std::true_type{});
    } else {
      rows(r, std::false_type{});
    }
  }
  if (partial == nullptr) return;
  float* out = partial + run * C * (G + 1);
#pragma unroll
  for (int l = 0; l < V; ++l) store_values<G>(out + (c + l) * G, dW[l]);
  store_values<V>(out + C * G + c, dbias);
}

}  // namespace xlstm::kernels::headwise
