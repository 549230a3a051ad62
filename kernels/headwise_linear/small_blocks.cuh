// Square blocks of G = 2, 4 or 8 channels: a thread owns V neighbouring channels, whole blocks of
// them, over a run of rows; threads are numbered through the channels, then through the runs.
#pragma once

#include "kernels/common/values.cuh"
#include "kernels/headwise_linear/headwise_linear.h"

namespace xlstm::kernels::headwise {

constexpr int kSmallThreads = 128;

template <class T, int G>
constexpr int kSmallChannels = kPack<T> > G ? kPack<T> : G;

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

// partial: [runs][C G + C], dW then dbias; null if not wanted.
template <class T, class W, int G>
__global__ void __launch_bounds__(kSmallThreads)
    map_back(xlstm_headwise_linear_bwd_args a, RowRuns runs, uint32_t n_threads, float* partial) {
  constexpr int V = kSmallChannels<T, G>, kAtOnce = 2;
  const uint32_t thread = blockIdx.x * kSmallThreads + threadIdx.x;
  if (thread >= n_threads) return;
  const int64_t C = a.H * G;
  const uint32_t across = static_cast<uint32_t>(C / V);
  const int64_t c = int64_t{thread % across} * V, run = thread / across;
  const int64_t begin = run * runs.rows;
  const int64_t end = begin + runs.rows < a.N ? begin + runs.rows : a.N;
  float w[V][G] = {}, dW[V][G] = {}, dbias[V] = {};
  if (a.dx != nullptr) load_blocks<G, V>(static_cast<const W*>(a.W), c, w);
  for (int64_t r = begin; r < end; r += kAtOnce) {
    Raw<T, V> x[kAtOnce], dy[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (r + k >= end) break;
      dy[k] = load_raw<V>(static_cast<const T*>(a.dy) + (r + k) * a.dy_stride_n + c);
      if (a.dW != nullptr)
        x[k] = load_raw<V>(static_cast<const T*>(a.x) + (r + k) * a.x_stride_n + c);
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (r + k >= end) break;
      float dx[V] = {};
#pragma unroll
      for (int l = 0; l < V; ++l) {
        const float g = dy[k][l];
        dbias[l] += g;
#pragma unroll
        for (int i = 0; i < G; ++i) {
          dx[l / G * G + i] += w[l][i] * g;
          if (a.dW != nullptr) dW[l][i] += g * x[k][l / G * G + i];
        }
      }
      if (a.dx != nullptr) store_values<V>(static_cast<T*>(a.dx) + (r + k) * a.dx_stride_n + c, dx);
    }
  }
  if (partial == nullptr) return;
  float* out = partial + run * C * (G + 1);
#pragma unroll
  for (int l = 0; l < V; ++l) store_values<G>(out + (c + l) * G, dW[l]);
  store_values<V>(out + C * G + c, dbias);
}

}  // namespace xlstm::kernels::headwise
