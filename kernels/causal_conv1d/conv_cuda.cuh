// What the forward and the backward on CUDA share: runs of steps and their way to the warps,
// document borders, inputs by time.
#pragma once

#include <type_traits>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/shared_memory.cuh"
#include "kernels/common/values.cuh"

namespace xlstm::kernels::conv {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kTaps = 4;  // of the fast path
// Channels of a lane of the fast path, eight bytes, and those of its warp, a slice.
template <class T>
constexpr int kChannels = 8 / static_cast<int>(sizeof(T));
template <class T>
constexpr int kSlice = 32 * kChannels<T>;
template <class T>
__host__ __device__ inline int64_t slices(int64_t C) {
  return ceil_div(C, kSlice<T>);
}

// How B x T is cut into runs of steps: long ones, unless too few threads would be busy. A function
// of the shape alone.
struct Runs {
  int64_t steps, per_row, count;
  Runs(int64_t B, int64_t T, int64_t C) : steps(256) {
    while (steps > 32 && B * ceil_div(T, steps) * C < (1 << 19)) steps /= 2;
    per_row = ceil_div(T, steps);
    count = B * per_row;
  }
  int64_t groups() const { return ceil_div(count, kWarps); }
  // Whether steps, channels and warps can be counted in an int, with room to round up.
  bool is_countable(int64_t C, int64_t slices) const {
    constexpr int64_t kLimit = 1 << 30;
    return count * steps < kLimit && C < kLimit && groups() * kWarps * slices < kLimit;
  }
};

// The run of a warp and the channels of a lane. kPacked: 16 bytes of any array may be moved at
// once, and a lane has all of its channels or none.
template <class T, bool kPacked>
struct Span {
  int b = 0, t0 = 0, n = 0;  // n steps from t0 on
  int first, c;              // the warp's first channel, the lane's
  int width;                 // how many of the lane's channels exist
  __device__ Span(const Runs& runs, int run, int slice, int64_t length, int64_t C) {
    first = slice * kSlice<T>;
    c = first + static_cast<int>(threadIdx.x % 32) * kChannels<T>;
    width = max(0, min(kChannels<T>, static_cast<int>(C) - c));
    if (run >= runs.count) return;
    const int per_row = static_cast<int>(runs.per_row), steps = static_cast<int>(runs.steps);
    b = run / per_row;
    t0 = run % per_row * steps;
    n = min(steps, static_cast<int>(length) - t0);
  }

  // The lane's channels from and to memory; those that do not exist are zero, and not written.
  __device__ void load(const T* p, float (&x)[kChannels<T>]) const {
#pragma unroll
    for (int i = 0; i < kChannels<T>; ++i) x[i] = kPacked || i >= width ? 0.0f : to_float(p[i]);
    if (kPacked && width > 0) load_values<kChannels<T>>(p, x);
  }
  __device__ void store(T* p, const float (&x)[kChannels<T>]) const {
    if (kPacked && width > 0) store_values<kChannels<T>>(p, x);
#pragma unroll
    for (int i = 0; i < kChannels<T>; ++i)
      if (!kPacked && i < width) p[i] = from_float<T>(x[i]);
  }
};

// ---- steps on their way ----

constexpr int kSteps = 8, kStages = 3;  // of a stage, of a ring
using Stage = uint2[kSteps][32];        // what each lane has of each step

// A warp's steps of kArrays arrays on their way through a ring of stages in shared memory. Not
// through registers: a warp has six scoreboards for all its loads, so that a wait for the oldest is
// one for younger ones too.
template <class T, bool kPacked, int kArrays>
class Ring {
 public:
  using Stages = Stage[kStages][kArrays];

  // n steps from `from` on, where channel 0 of the first lies in each array.
  __device__ Ring(Stages& stages, const T* const (&from)[kArrays],
                  const int64_t (&strides)[kArrays], int n, const Span<T, kPacked>& span, int64_t C)
      : stages_(stages), span_(span), left_(n) {
    // Half a warp copies a step by 16 bytes a lane, every second one.
    const int lane = static_cast<int>(threadIdx.x % 32), step = lane / 16;
    const int64_t c = span.first + lane % 16 * kPack<T>;
    if (kPacked) left_ = c < C ? n - step : 0;
#pragma unroll
    for (int i = 0; i < kArrays; ++i) {
      stride_[i] = strides[i];
      from_[i] = from[i] + (kPacked ? step * strides[i] + c : span.c);
    }
#pragma unroll 1
    for (int s = 0; s < kStages - 1; ++s) send(stages_[s]);
  }

  // Waits for the next stage, and has another one sent to the place of the one before.
  __device__ const Stage (&next())[kArrays] {
    wait_copies<kStages - 2>();
    __syncwarp();  // all lanes' copies have arrived, all lanes are done with the stage before
    send(stages_[at_ == 0 ? kStages - 1 : at_ - 1]);
    const int now = at_;
    at_ = at_ == kStages - 1 ? 0 : at_ + 1;
    return stages_[now];
  }

 private:
  __device__ void send(Stage (&to)[kArrays]) {
#pragma unroll
    for (int i = 0; i < kArrays; ++i) {
      if constexpr (kPacked) {
        send_packs(to[i], from_[i], stride_[i]);
      } else {
        send_channels(to[i], from_[i], stride_[i]);
      }
      from_[i] += kSteps * stride_[i];
    }
    left_ -= kSteps;
    commit_copies();
  }
  __device__ void send_packs(Stage& to, const T* from, int64_t stride) const {
    uint2* pack = &to[0][threadIdx.x % 32 * 2];  // of the first two steps, which are neighbours
#pragma unroll
    for (int k = 0; k < kSteps; k += 2)
      copy_16_async(pack + k * 32, from + k * stride, k < left_ ? 16 : 0);
  }
  __device__ void send_channels(Stage& to, const T* from, int64_t stride) const {
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      float x[kChannels<T>];
      if (k >= left_) return;
      span_.load(from + k * stride, x);
      store_values<kChannels<T>>(reinterpret_cast<T*>(&to[k][threadIdx.x % 32]), x);
    }
  }

  Stages& stages_;
  const Span<T, kPacked>& span_;
  const T* from_[kArrays];
  int64_t stride_[kArrays];
  int left_;    // steps to be sent, counted from the lane's first
  int at_ = 0;  // the next stage
};

// What this lane has of a step.
template <class T>
__device__ inline void receive(const uint2 (&step)[32], float (&x)[kChannels<T>]) {
  load_values<kChannels<T>>(reinterpret_cast<const T*>(&step[threadIdx.x % 32]), x);
}

// ---- steps, inputs, weights ----

// The starts of documents near the stages of a run, asked for one stage after the other.
class Starts {
 public:
  // The run is of the `end` steps from t0 on.
  __device__ Starts(const uint8_t* reset, int64_t T, int b, int t0, int end)
      : reset_(reset), first_(static_cast<int>(b * T) + t0), end_(end) {
    for (int d = 1; d <= 2; ++d)
      if (reset != nullptr && end > 0 && t0 >= d && reset[first_ - d] != 0) window_ |= 4u >> d;
  }
  // For the stage of step t of the run, bit k: step t + k - 2 starts a document. Bits k to k + 2
  // tell which taps step t + k sees.
  __device__ uint32_t near(int t) {
    if (reset_ != nullptr && t % 32 == 0) {
      const int step = t + static_cast<int>(threadIdx.x % 32);
      const bool start = step < end_ && reset_[first_ + step] != 0;
      window_ |= uint64_t{__ballot_sync(0xffffffffu, start)} << 2;
    }
    const uint32_t bits = static_cast<uint32_t>(window_) & ((4u << kSteps) - 1);
    window_ >>= kSteps;
    return bits;
  }

 private:
  const uint8_t* reset_;
  int first_, end_;
  uint64_t window_ = 0;  // from two steps before the next stage on
};
// No tap sees beyond a start.
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

// history[d - 1] = the input d steps before the run.
template <class T, bool kPacked, class Args>
__device__ inline void load_history(const Args& a, const Span<T, kPacked>& span,
                                    float (&history)[kTaps - 1][kChannels<T>]) {
#pragma unroll
  for (int d = 1; d < kTaps; ++d) {
    const T* from = input<T>(a, span.b, span.t0 - d, span.c);
#pragma unroll
    for (int i = 0; i < kChannels<T>; ++i) history[d - 1][i] = 0.0f;
    if (from != nullptr) span.load(from, history[d - 1]);
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

// w[d][i] = the weight of tap d of the lane's channel i; tap 0 is the last of four.
template <class W, class T, bool kPacked>
__device__ inline void load_weights(const void* weight, const void* bias,
                                    const Span<T, kPacked>& span, float (&w)[kTaps][kChannels<T>],
                                    float (&b)[kChannels<T>]) {
#pragma unroll
  for (int i = 0; i < kChannels<T>; ++i) {
    const int64_t c = span.c + i;
    float taps[kTaps] = {};
    if (i < span.width) load_values<kTaps>(static_cast<const W*>(weight) + c * kTaps, taps);
#pragma unroll
    for (int d = 0; d < kTaps; ++d) w[d][i] = taps[kTaps - 1 - d];
    b[i] = bias == nullptr || i >= span.width ? 0.0f : to_float(static_cast<const W*>(bias)[c]);
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

// Whether 16 bytes of an array may be moved at once; true of one that is missing.
template <class T>
bool is_packed_array(const void* p, int64_t stride_b = 0, int64_t stride_t = 0) {
  return p == nullptr || (is_packed<T>(p, stride_b) && is_packed<T>(p, stride_t));
}

}  // namespace xlstm::kernels::conv
