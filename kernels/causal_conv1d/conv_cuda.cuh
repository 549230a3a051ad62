// What the forward and the backward on CUDA share: inputs by time, document borders, runs of steps.
#pragma once

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/values.cuh"

namespace xlstm::kernels::conv {

constexpr int kThreads = 128;
constexpr int kTaps = 4;  // of the fast path

// How B x T is cut into runs of steps: long ones, unless too few threads would be busy. A function
// of the shape alone.
struct Runs {
  int64_t steps, per_row;
  Runs(int64_t B, int64_t T, int64_t C, int64_t longest) : steps(longest) {
    while (steps > 16 && B * ceil_div(T, steps) * C < (1 << 20)) steps /= 2;
    per_row = ceil_div(T, steps);
  }
};

__device__ inline bool starts(const uint8_t* reset, int64_t T, int64_t b, int64_t t) {
  return reset != nullptr && reset[b * T + t] != 0;
}

// Number of taps at t that stay in t's document: tap d (0 = current token) is seen if d is below.
__device__ inline int64_t visible(const uint8_t* reset, int64_t T, int64_t KS, int64_t b,
                                  int64_t t) {
  for (int64_t d = 0; reset != nullptr && d < KS && d <= t; ++d)
    if (reset[b * T + t - d] != 0) return d + 1;
  return KS;
}

// The input at time s > -KS, channels from c on; null where it is zero.
template <class T, class Args>
__device__ inline const T* input(const Args& a, int64_t b, int64_t s, int64_t c) {
  if (s >= 0) return static_cast<const T*>(a.x) + b * a.x_stride_b + s * a.x_stride_t + c;
  if (a.state_init == nullptr) return nullptr;
  return static_cast<const T*>(a.state_init) + (b * (a.KS - 1) + a.KS - 1 + s) * a.C + c;
}

// The last three inputs of V channels, hist[d - 1] for tap d, and how many taps are seen.
template <int V>
struct History {
  float x[kTaps - 1][V] = {};
  int seen = kTaps;

  // Before step t: what lies before a document is zero.
  __device__ void begin_step(bool starts_document) {
    seen = starts_document ? 1 : seen < kTaps ? seen + 1 : kTaps;
    if (!starts_document) return;
#pragma unroll
    for (int d = 0; d < kTaps - 1; ++d)
#pragma unroll
      for (int i = 0; i < V; ++i) x[d][i] = 0.0f;
  }
  __device__ void push(const float (&now)[V]) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      x[2][i] = x[1][i];
      x[1][i] = x[0][i];
      x[0][i] = now[i];
    }
  }
  // As it is before step t0.
  template <class T, class Args>
  __device__ void load(const Args& a, int64_t b, int64_t t0, int64_t c) {
    for (int64_t s = t0 - (kTaps - 1); s < t0; ++s) {
      begin_step(s >= 0 && starts(a.reset, a.T, b, s));
      float now[V] = {};
      if (const T* from = input<T>(a, b, s, c)) load_values<V>(from, now);
      push(now);
    }
  }
};

// w[d][i] = the weight of tap d of channel c + i; tap 0 is the last of four.
template <int V, class W>
__device__ inline void load_weights(const void* weight, const void* bias, int64_t c,
                                    float (&w)[kTaps][V], float (&b)[V]) {
#pragma unroll
  for (int i = 0; i < V; ++i) {
    float taps[kTaps];
    load_values<kTaps>(static_cast<const W*>(weight) + (c + i) * kTaps, taps);
#pragma unroll
    for (int d = 0; d < kTaps; ++d) w[d][i] = taps[kTaps - 1 - d];
    b[i] = bias == nullptr ? 0.0f : to_float(static_cast<const W*>(bias)[c + i]);
  }
}

// Accurate to a few float32 roundings; exp(-p) = infinity gives 0.
__device__ inline float sigmoid_fast(float p) {
  return __fdividef(1.0f, 1.0f + __expf(-p));
}

template <int V>
__device__ inline float pre_activation(const float (&now)[V], const History<V>& history,
                                       const float (&w)[kTaps][V], const float (&bias)[V], int i) {
  return bias[i] + w[0][i] * now[i] + w[1][i] * history.x[0][i] + w[2][i] * history.x[1][i] +
         w[3][i] * history.x[2][i];
}

// The same for any number of taps, one channel, from memory.
template <class T, class W, class Args>
__device__ float pre_activation_plain(const Args& a, int64_t b, int64_t t, int64_t c) {
  float pre = a.bias == nullptr ? 0.0f : to_float(static_cast<const W*>(a.bias)[c]);
  const int64_t seen = visible(a.reset, a.T, a.KS, b, t);
  for (int64_t d = 0; d < seen; ++d)
    if (const T* x = input<T>(a, b, t - d, c))
      pre += to_float(static_cast<const W*>(a.weight)[c * a.KS + a.KS - 1 - d]) * to_float(*x);
  return pre;
}

}  // namespace xlstm::kernels::conv
