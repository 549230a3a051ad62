// What the forward and the backward on CUDA share: inputs by time, document borders, runs of steps.
#pragma once

#include <type_traits>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/values.cuh"

namespace xlstm::kernels::conv {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kTaps = 4;      // of the fast path
constexpr int kChannels = 2;  // of a thread of the fast path
constexpr int kSpread = 32 * kChannels;

// How B x T is cut into runs of steps: long ones, unless too few threads would be busy. A function
// of the shape alone.
struct Runs {
  int64_t steps, per_row, count;
  Runs(int64_t B, int64_t T, int64_t C) : steps(256) {
    while (steps > 32 && B * ceil_div(T, steps) * C < (1 << 18)) steps /= 2;
    per_row = ceil_div(T, steps);
    count = B * per_row;
  }
  int64_t groups() const { return ceil_div(count, kWarps); }  // a block's runs
  int64_t blocks(int64_t C) const { return groups() * ceil_div(C, kSpread); }
};

// The run of a warp and the channels of a lane, blocks being numbered through the channels first.
// Lanes beyond the last channel go with the last ones and must not write.
struct Span {
  int64_t b = 0, t0 = 0, c;
  uint32_t group;
  int n = 0;  // steps
  bool inside;
  __device__ Span(const Runs& runs, int64_t T, int64_t C) {
    const uint32_t across = static_cast<uint32_t>((C + kSpread - 1) / kSpread);
    group = blockIdx.x / across;
    c = int64_t{blockIdx.x % across} * kSpread + threadIdx.x % 32 * kChannels;
    inside = c < C;
    if (!inside) c = C - kChannels;
    const uint32_t run = group * kWarps + threadIdx.x / 32;
    if (run >= runs.count) return;
    const uint32_t per_row = static_cast<uint32_t>(runs.per_row);
    b = run / per_row;
    t0 = run % per_row * runs.steps;
    n = static_cast<int>(t0 + runs.steps < T ? runs.steps : T - t0);
  }
};

// Whether step t + lane - 2 starts a document, for the lanes of steps t - 2 to t + n - 1. Of the
// warp's ballot, bits k to k + 2 tell which taps step t + k sees: none beyond a start.
__device__ inline bool starts_near(const uint8_t* reset, int64_t T, int64_t b, int64_t t, int n) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t s = t + lane - 2;
  return reset != nullptr && lane < n + 2 && s >= 0 && s < T && reset[b * T + s] != 0;
}
__device__ inline bool sees(uint32_t near, int k, int tap) {
  return (near >> k & (8u - (8u >> tap))) == 0;
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

// history[d - 1] = the input d steps before t0.
template <class T, int V, class Args>
__device__ inline void load_history(const Args& a, int64_t b, int64_t t0, int64_t c,
                                    float (&history)[kTaps - 1][V]) {
#pragma unroll
  for (int d = 1; d < kTaps; ++d) {
    const T* from = input<T>(a, b, t0 - d, c);
#pragma unroll
    for (int i = 0; i < V; ++i) history[d - 1][i] = 0.0f;
    if (from != nullptr) load_values<V>(from, history[d - 1]);
  }
}
template <int V>
__device__ inline void shift_in(float (&history)[kTaps - 1][V], const float (&now)[V]) {
#pragma unroll
  for (int i = 0; i < V; ++i) {
    history[2][i] = history[1][i];
    history[1][i] = history[0][i];
    history[0][i] = now[i];
  }
}

// Two neighbours as memory holds them, in one or two registers until they are needed.
template <class T>
struct Pair {
  uint32_t bits;
};
template <>
struct Pair<float> {
  alignas(8) float2 values;
};
template <class T>
__device__ inline Pair<T> load_pair(const T* p) {
  return *reinterpret_cast<const Pair<T>*>(p);
}
__device__ inline void unpack(Pair<float> pair, float (&x)[2]) {
  x[0] = pair.values.x, x[1] = pair.values.y;
}
__device__ inline void unpack(Pair<bf16> pair, float (&x)[2]) {
  x[0] = __uint_as_float(pair.bits << 16), x[1] = __uint_as_float(pair.bits & 0xffff0000u);
}
__device__ inline void unpack(Pair<f16> pair, float (&x)[2]) {
  x[0] = __half2float(__ushort_as_half(static_cast<unsigned short>(pair.bits)));
  x[1] = __half2float(__ushort_as_half(static_cast<unsigned short>(pair.bits >> 16)));
}
__device__ inline void store_pair(float* p, const float (&x)[2]) {
  *reinterpret_cast<float2*>(p) = make_float2(x[0], x[1]);
}
__device__ inline void store_pair(bf16* p, const float (&x)[2]) {
  *reinterpret_cast<__nv_bfloat162*>(p) = __floats2bfloat162_rn(x[0], x[1]);
}
__device__ inline void store_pair(f16* p, const float (&x)[2]) {
  *reinterpret_cast<__half2*>(p) = __floats2half2_rn(x[0], x[1]);
}

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

// 1 / (1 + exp(-p)), accurate to a few float32 roundings; exp(-p) = infinity gives 0. Without the
// steps that __expf and __fdividef spend on denormal numbers.
__device__ inline float sigmoid_fast(float p) {
  float e, s;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(p * -1.4426950408889634f));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(s) : "f"(1.0f + e));
  return s;
}

template <int V>
__device__ inline float pre_activation(const float (&now)[V], const float (&history)[kTaps - 1][V],
                                       const float (&w)[kTaps][V], const float (&bias)[V], int i) {
  return bias[i] + w[0][i] * now[i] + w[1][i] * history[0][i] + w[2][i] * history[1][i] +
         w[3][i] * history[2][i];
}

// The same for any number of taps and one channel, from memory.
template <class T, class W, class Args>
__device__ float pre_activation_plain(const Args& a, int64_t b, int64_t t, int64_t c) {
  float pre = a.bias == nullptr ? 0.0f : to_float(static_cast<const W*>(a.bias)[c]);
  const int64_t seen = visible(a.reset, a.T, a.KS, b, t);
  for (int64_t d = 0; d < seen; ++d)
    if (const T* x = input<T>(a, b, t - d, c))
      pre += to_float(static_cast<const W*>(a.weight)[c * a.KS + a.KS - 1 - d]) * to_float(*x);
  return pre;
}

// Whether a thread's channels may be read in one access.
template <class T>
bool is_paired(const void* p, int64_t stride_b = 0, int64_t stride_t = 0) {
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(p));
  return address % static_cast<int64_t>(kChannels * sizeof(T)) == 0 && stride_b % kChannels == 0 &&
         stride_t % kChannels == 0;
}

}  // namespace xlstm::kernels::conv
