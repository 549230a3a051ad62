#include "kernels/causal_conv1d/conv_cuda.cuh"
#include "kernels/common/weight_dtype.h"

namespace xlstm::kernels::conv {
namespace {

using Args = xlstm_causal_conv1d_bwd_args;

// d(pre) = d(y) silu'(pre), silu'(p) = s + p (s - s s), s = sigmoid(p).
__device__ inline float through_silu(float pre, float dy) {
  const float s = sigmoid_fast(pre);
  return dy * fmaf(pre, fmaf(-s, s, s), s);
}

// What the final state gives to the gradient of the input at time s.
template <class T>
__device__ const T* from_final_state(const Args& a, int64_t b, int64_t s, int64_t c) {
  const int64_t d = a.T - 1 - s;
  if (a.dstate_final == nullptr || d >= a.KS - 1 || d >= visible(a.reset, a.T, a.KS, b, a.T - 1))
    return nullptr;
  return static_cast<const T*>(a.dstate_final) + (b * (a.KS - 1) + a.KS - 2 - d) * a.C + c;
}

// Where the gradient of the input at time s goes, or null if it is not wanted.
template <class T>
__device__ T* gradient(const Args& a, int64_t b, int64_t s, int64_t c) {
  if (s >= 0) {
    if (a.dx == nullptr) return nullptr;
    return static_cast<T*>(a.dx) + b * a.dx_stride_b + s * a.dx_stride_t + c;
  }
  if (a.dstate_init == nullptr) return nullptr;
  return static_cast<T*>(a.dstate_init) + (b * (a.KS - 1) + a.KS - 1 + s) * a.C + c;
}

// A warp walks over a run of steps, eight bytes of channels a lane; those of a block have the same
// channels, and blocks are numbered through the channels first. A warp gives dx of its steps, and
// dstate_init with the first run of a row. pending[d - 1] is the gradient, so far, of the input d
// steps back. partial: [groups of runs][5][C], a block's sums of dweight by taps, then of dbias;
// null if not wanted.
template <class T, class W, bool kSilu, bool kPacked>
__global__ void __launch_bounds__(kThreads, 4) backward_taps(Args a, Runs runs, float* partial) {
  constexpr int V = kChannels<T>;
  constexpr int kBeyond = kTaps - 1;  // steps after the run whose taps reach back into it
  __shared__ alignas(16) typename Ring<T, kPacked, 2>::Stages stages[kWarps];
  const uint32_t across = static_cast<uint32_t>(slices<T>(a.C));
  const int group = static_cast<int>(blockIdx.x / across);
  const Span<T, kPacked> span(runs, group * kWarps + static_cast<int>(threadIdx.x / 32),
                              static_cast<int>(blockIdx.x % across), a.T, a.C);
  const int b = span.b, t0 = span.t0, c = span.c;
  const int n = span.n, end = n > 0 ? n + kBeyond : 0;
  // Steps that have gradients to read.
  const int last = a.dy == nullptr ? 0 : min(end, static_cast<int>(a.T) - t0);
  const bool writes = span.width > 0 && a.dx != nullptr;
  const T* x = static_cast<const T*>(a.x) + b * a.x_stride_b + t0 * a.x_stride_t;
  const T* dy = static_cast<const T*>(a.dy) + b * a.dy_stride_b + t0 * a.dy_stride_t;
  T* dx = static_cast<T*>(a.dx) + b * a.dx_stride_b + (t0 - kBeyond) * a.dx_stride_t + c;
  Ring<T, kPacked, 2> ring(stages[threadIdx.x / 32], {x, dy}, {a.x_stride_t, a.dy_stride_t}, last,
                           span, a.C);
  Starts starts(a.reset, a.T, b, t0, last);
  float w[kTaps][V], bias[V], history[kTaps - 1][V];
  load_weights<W>(a.weight, a.bias, span, w, bias);
  load_history(a, span, history);
  float dweight[kTaps][V] = {}, dbias[V] = {}, pending[kTaps - 1][V] = {};
  if (t0 == 0 && n > 0) {
#pragma unroll
    for (int d = 1; d < kTaps; ++d)
      if (const T* from = from_final_state<T>(a, b, -d, c)) span.load(from, pending[d - 1]);
  }

  // `plain`: packed, all these steps can be read, the first of the run and the last of the row
  // are not among them, and no document starts nearby.
  const auto walk = [&](const Stage(&stage)[2], int t, uint32_t near, auto plain) {
    constexpr bool kPlain = decltype(plain)::value;
    constexpr int kAtOnce = kPlain ? 4 : 1;  // more than the history: no moves of registers
#pragma unroll kAtOnce
    for (int k = 0; k < kSteps; ++k) {
      const int step = t + k;
      if (!kPlain && step >= end) return;
      float total[V] = {};
      if (!kPlain && step < n) {
        if (const T* from = from_final_state<T>(a, b, t0 + step, c)) span.load(from, total);
      }
      if (kPlain || step < last) {
        float now[V], dpres[V];
        receive<T>(stage[0][k], now);
        receive<T>(stage[1][k], dpres);
        if (!kPlain) {
#pragma unroll
          for (int d = 1; d < kTaps; ++d)
#pragma unroll
            for (int i = 0; i < V; ++i)
              history[d - 1][i] = sees(near, k, d) ? history[d - 1][i] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < V; ++i) {
          float dpre = dpres[i];
          if (kSilu) dpre = through_silu(pre_activation<V>(now, history, w, bias, i), dpre);
          total[i] += w[0][i] * dpre;
#pragma unroll
          for (int d = 1; d < kTaps; ++d)
            if (kPlain || sees(near, k, d)) pending[d - 1][i] += w[d][i] * dpre;
          if (kPlain || step < n) {
            dweight[0][i] += dpre * now[i];
#pragma unroll
            for (int d = 1; d < kTaps; ++d) dweight[d][i] += dpre * history[d - 1][i];
            dbias[i] += dpre;
          }
        }
        shift_in(history, now);
      }
      // No later step sees the input three steps back. Before the run it belongs to another warp.
      if (kPlain) {
        if (writes) store_values<V>(dx, pending[2]);
      } else if (step >= kBeyond) {
        if (writes) span.store(dx, pending[2]);
      } else if (t0 == 0) {
        if (T* to = gradient<T>(a, b, step - kBeyond, c)) span.store(to, pending[2]);
      }
      shift_in(pending, total);
      dx += a.dx_stride_t;
    }
  };
#pragma unroll 1
  for (int t = 0; t < end; t += kSteps) {
    const Stage(&stage)[2] = ring.next();
    const uint32_t near = starts.near(t);
    if (kPacked && near == 0 && t > 0 && t + kSteps <= last - kBeyond) {
      walk(stage, t, near, std::true_type{});
    } else {
      walk(stage, t, near, std::false_type{});
    }
  }
  wait_copies<0>();
  if (partial == nullptr) return;

  // The runs of the block, in order, where the rings were.
  float(&sums)[kWarps][kTaps + 1][kSlice<T>] =
      reinterpret_cast<float(&)[kWarps][kTaps + 1][kSlice<T>]>(stages);
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
#pragma unroll
  for (int i = 0; i < V; ++i) {
#pragma unroll
    for (int d = 0; d < kTaps; ++d) sums[warp][d][lane * V + i] = dweight[d][i];
    sums[warp][kTaps][lane * V + i] = dbias[i];
  }
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < (kTaps + 1) * kSlice<T>; at += kThreads) {
    const int d = at / kSlice<T>, column = at % kSlice<T>;
    float sum = 0;
#pragma unroll
    for (int run = 0; run < kWarps; ++run) sum += sums[run][d][column];
    const int64_t channel = span.first + column;
    if (channel < a.C) partial[(int64_t{group} * (kTaps + 1) + d) * a.C + channel] = sum;
  }
}

// ---- any number of taps, any alignment ----

template <class T, class W>
__device__ float dpre_plain(const Args& a, int64_t b, int64_t t, int64_t c) {
  const float dy = to_float(static_cast<const T*>(a.dy)[b * a.dy_stride_b + t * a.dy_stride_t + c]);
  return a.silu ? through_silu(pre_activation_plain<T, W>(a, b, t, c), dy) : dy;
}

// One thread for the gradient of one input, those of the initial state first.
template <class T, class W>
__global__ void backward_plain(Args a) {
  const int64_t times = a.T + a.KS - 1, n = a.B * times * a.C;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += stride) {
    const int64_t c = i % a.C, s = i / a.C % times - (a.KS - 1), b = i / a.C / times;
    T* to = gradient<T>(a, b, s, c);
    if (to == nullptr) continue;
    const T* from = from_final_state<T>(a, b, s, c);
    float total = from == nullptr ? 0.0f : to_float(*from);
    for (int64_t d = s < 0 ? -s : 0; a.dy != nullptr && d < a.KS && s + d < a.T; ++d) {
      if (d >= visible(a.reset, a.T, a.KS, b, s + d)) break;
      total += to_float(static_cast<const W*>(a.weight)[c * a.KS + a.KS - 1 - d]) *
               dpre_plain<T, W>(a, b, s + d, c);
    }
    *to = from_float<T>(total);
  }
}

// One thread for one channel and one tap (or the bias) over a run. partial: [tasks][KS + 1][C].
template <class T, class W>
__global__ void sums_plain(Args a, Runs runs, float* partial) {
  const int64_t per_task = (a.KS + 1) * a.C, n = a.B * runs.per_row * per_task;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += stride) {
    const int64_t c = i % a.C, d = i / a.C % (a.KS + 1), task = i / per_task;
    const int64_t b = task / runs.per_row, t0 = task % runs.per_row * runs.steps;
    const int64_t t1 = t0 + runs.steps < a.T ? t0 + runs.steps : a.T;
    float sum = 0;
    for (int64_t t = t0; a.dy != nullptr && t < t1; ++t) {
      if (d == a.KS) {
        sum += dpre_plain<T, W>(a, b, t, c);
      } else if (d < visible(a.reset, a.T, a.KS, b, t)) {
        if (const T* x = input<T>(a, b, t - d, c))
          sum += dpre_plain<T, W>(a, b, t, c) * to_float(*x);
      }
    }
    partial[i] = sum;
  }
}

template <class T, class W>
bool is_fast(const Args& a, const Runs& runs) {
  return a.KS == kTaps && runs.is_countable(a.C, slices<T>(a.C)) && is_packed<W>(a.weight);
}
template <class T>
bool is_packed_call(const Args& a) {
  return a.C % kPack<T> == 0 && is_packed_array<T>(a.x, a.x_stride_b, a.x_stride_t) &&
         is_packed_array<T>(a.dy, a.dy_stride_b, a.dy_stride_t) &&
         is_packed_array<T>(a.dx, a.dx_stride_b, a.dx_stride_t) &&
         is_packed_array<T>(a.state_init) && is_packed_array<T>(a.dstate_init) &&
         is_packed_array<T>(a.dstate_final);
}

// Where the sum of tap d of channel c goes: [KS + 1][C].
template <class W>
struct Place {
  W *dweight, *dbias;
  int64_t C, KS;
  __device__ W* operator()(int64_t i) const {
    const int64_t d = i / C, c = i % C;
    if (d < KS) return dweight == nullptr ? nullptr : dweight + c * KS + KS - 1 - d;
    return dbias == nullptr ? nullptr : dbias + c;
  }
};

bool wants_sums(const Args& a) {
  return a.dweight != nullptr || a.dbias != nullptr;
}

int64_t partial_floats(const Args& a) {
  // The plain path takes a row a run, the fast one a row a group of runs.
  return wants_sums(a) ? Runs(a.B, a.T, a.C).count * (a.KS + 1) * a.C : 0;
}

template <class T, class W>
void backward(const Args& a, float* partial, cudaStream_t stream) {
  const Runs runs(a.B, a.T, a.C);
  const int64_t inputs = a.B * (a.T + a.KS - 1) * a.C, steps = a.B * a.T * a.C;
  int64_t partial_rows = runs.count;
  if (steps > 0 && is_fast<T, W>(a, runs)) {
    partial_rows = runs.groups();
    const auto launch = [&](auto packed) {
      constexpr bool kPacked = decltype(packed)::value;
      const auto kernel =
          a.silu ? backward_taps<T, W, true, kPacked> : backward_taps<T, W, false, kPacked>;
      const int64_t blocks = runs.groups() * slices<T>(a.C);
      kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(
          a, runs, wants_sums(a) ? partial : nullptr);
    };
    is_packed_call<T>(a) ? launch(std::true_type{}) : launch(std::false_type{});
  } else {
    if (inputs > 0 && (a.dx != nullptr || a.dstate_init != nullptr))
      backward_plain<T, W><<<grid_for(inputs, 256), 256, 0, stream>>>(a);
    if (steps > 0 && wants_sums(a))
      sums_plain<T, W><<<grid_for(partial_floats(a), 256), 256, 0, stream>>>(a, runs, partial);
  }
  if (wants_sums(a))
    combine_partials<W>(partial, partial_rows, (a.KS + 1) * a.C,
                        Place<W>{static_cast<W*>(a.dweight), static_cast<W*>(a.dbias), a.C, a.KS},
                        stream);
}

}  // namespace
}  // namespace xlstm::kernels::conv

using namespace xlstm::kernels;

int64_t xlstm_causal_conv1d_bwd_workspace_cuda(const xlstm_causal_conv1d_bwd_args* args) {
  return Cuda::workspace(args, xlstm_causal_conv1d_bwd_check, [&](auto) {
    return conv::partial_floats(*args) * int64_t{sizeof(float)};
  });
}

xlstm_status xlstm_causal_conv1d_bwd_cuda(const xlstm_causal_conv1d_bwd_args* args,
                                          xlstm_exec exec) {
  return Cuda::run(args, xlstm_causal_conv1d_bwd_check, exec,
                   xlstm_causal_conv1d_bwd_workspace_cuda, [&](auto element) {
                     using T = typename decltype(element)::type;
                     with_weight_type<T>(args->weight_dtype, [&](auto weight) {
                       conv::backward<T, typename decltype(weight)::type>(
                           *args, static_cast<float*>(exec.workspace), stream_of(exec));
                     });
                     return launched();
                   });
}
