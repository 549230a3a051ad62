#include "kernels/causal_conv1d/conv_cuda.cuh"
#include "kernels/common/weight_dtype.h"

namespace xlstm::kernels::conv {
namespace {

using Args = xlstm_causal_conv1d_bwd_args;

constexpr int kChannels = 4;  // of a thread
constexpr int kAhead = 4;     // steps read before they are needed
constexpr int64_t kLongestRun = 128;

// d(pre) = d(y) silu'(pre), silu'(p) = s (1 + p (1 - s)), s = sigmoid(p).
__device__ inline float through_silu(float pre, float dy) {
  const float s = sigmoid_fast(pre);
  return dy * s * (1.0f + pre * (1.0f - s));
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

// Threads are numbered through the channels, then through the runs. One owns 4 channels of a run:
// dx of its steps, and dstate_init with the first run of a row. pending[d - 1] is the gradient, so
// far, of the input d steps back. partial: [tasks][5][C], sums of dweight by taps, then dbias; null
// if not wanted.
template <class T, class W>
__global__ void __launch_bounds__(kThreads, 4) backward_taps(Args a, Runs runs, float* partial) {
  constexpr int V = kChannels;
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x, across = a.C / V;
  const int64_t task = thread / across, c = thread % across * V;
  if (task >= a.B * runs.per_row) return;
  const int64_t b = task / runs.per_row, t0 = task % runs.per_row * runs.steps;
  const int64_t t1 = t0 + runs.steps < a.T ? t0 + runs.steps : a.T;
  // Steps after the run whose taps reach back into it.
  const int64_t last = t1 + (kTaps - 1) < a.T ? t1 + (kTaps - 1) : a.T;
  const T* x = static_cast<const T*>(a.x) + b * a.x_stride_b + c;
  const T* dy = static_cast<const T*>(a.dy) + b * a.dy_stride_b + c;

  Raw<T, V> next_x[kAhead], next_dy[kAhead];
  const auto read = [&](int k, int64_t t) {
    if (t >= last || a.dy == nullptr) return;
    next_x[k] = load_raw<V>(x + t * a.x_stride_t);
    next_dy[k] = load_raw<V>(dy + t * a.dy_stride_t);
  };
#pragma unroll
  for (int k = 0; k < kAhead; ++k) read(k, t0 + k);
  float w[kTaps][V], bias[V];
  load_weights<V, W>(a.weight, a.bias, c, w, bias);
  History<V> history;
  history.template load<T>(a, b, t0, c);
  float dweight[kTaps][V] = {}, dbias[V] = {}, pending[kTaps - 1][V] = {};
  if (t0 == 0) {
    for (int d = 1; d < kTaps; ++d) {
      float start[V] = {};
      if (const T* from = from_final_state<T>(a, b, -d, c)) load_values<V>(from, start);
#pragma unroll
      for (int k = 1; k < kTaps; ++k)
#pragma unroll
        for (int i = 0; i < V; ++i) pending[k - 1][i] = k == d ? start[i] : pending[k - 1][i];
    }
  }

  for (int64_t t = t0; t < t1 + kTaps - 1; t += kAhead) {
    Raw<T, V> now_x[kAhead], now_dy[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      now_x[k] = next_x[k];
      now_dy[k] = next_dy[k];
      read(k, t + kAhead + k);
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      const int64_t step = t + k;
      if (step >= t1 + kTaps - 1) break;
      float total[V] = {};
      if (step >= a.T - (kTaps - 1) && step < t1) {
        if (const T* from = from_final_state<T>(a, b, step, c)) load_values<V>(from, total);
      }
      if (step < last && a.dy != nullptr) {
        history.begin_step(starts(a.reset, a.T, b, step));
        float in[V];
#pragma unroll
        for (int i = 0; i < V; ++i) in[i] = now_x[k][i];
#pragma unroll
        for (int i = 0; i < V; ++i) {
          float dpre = now_dy[k][i];
          if (a.silu) dpre = through_silu(pre_activation<V>(in, history, w, bias, i), dpre);
          total[i] += w[0][i] * dpre;
#pragma unroll
          for (int d = 1; d < kTaps; ++d)
            if (d < history.seen) pending[d - 1][i] += w[d][i] * dpre;
          if (step < t1) {
            dweight[0][i] += dpre * in[i];
#pragma unroll
            for (int d = 1; d < kTaps; ++d) dweight[d][i] += dpre * history.x[d - 1][i];
            dbias[i] += dpre;
          }
        }
        history.push(in);
      }
      // No later step sees the input three steps back. Before the run it belongs to another thread.
      const int64_t done = step - (kTaps - 1);
      if (done >= t0 || t0 == 0) {
        if (T* to = gradient<T>(a, b, done, c)) store_values<V>(to, pending[2]);
      }
#pragma unroll
      for (int i = 0; i < V; ++i) {
        pending[2][i] = pending[1][i];
        pending[1][i] = pending[0][i];
        pending[0][i] = total[i];
      }
    }
  }
  if (partial == nullptr) return;
  float* out = partial + task * (kTaps + 1) * a.C + c;
#pragma unroll
  for (int d = 0; d < kTaps; ++d) store_values<V>(out + d * a.C, dweight[d]);
  store_values<V>(out + kTaps * a.C, dbias);
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
bool is_fast(const Args& a) {
  const auto aligned = [](const void* p, int64_t stride_b, int64_t stride_t) {
    const auto bytes = static_cast<int64_t>(kChannels * sizeof(T));
    const auto size = static_cast<int64_t>(sizeof(T));
    return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)) % bytes == 0 &&
           stride_b * size % bytes == 0 && stride_t * size % bytes == 0;
  };
  const int64_t tasks = a.B * a.T * ceil_div(a.C, kChannels * kThreads);
  return a.KS == kTaps && a.C % kChannels == 0 && tasks < (int64_t{1} << 31) &&
         aligned(a.x, a.x_stride_b, a.x_stride_t) && is_packed<W>(a.weight) &&
         (a.dy == nullptr || aligned(a.dy, a.dy_stride_b, a.dy_stride_t)) &&
         (a.dx == nullptr || aligned(a.dx, a.dx_stride_b, a.dx_stride_t)) &&
         aligned(a.state_init, 0, 0) && aligned(a.dstate_init, 0, 0) &&
         aligned(a.dstate_final, 0, 0);
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
  const Runs runs(a.B, a.T, a.C, kLongestRun);
  return wants_sums(a) ? a.B * runs.per_row * (a.KS + 1) * a.C : 0;
}

template <class T, class W>
void backward(const Args& a, float* partial, cudaStream_t stream) {
  const Runs runs(a.B, a.T, a.C, kLongestRun);
  const int64_t inputs = a.B * (a.T + a.KS - 1) * a.C, steps = a.B * a.T * a.C;
  if (steps > 0 && is_fast<T, W>(a)) {
    const int64_t blocks = ceil_div(a.B * runs.per_row * (a.C / kChannels), kThreads);
    backward_taps<T, W><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(
        a, runs, wants_sums(a) ? partial : nullptr);
  } else {
    if (inputs > 0 && (a.dx != nullptr || a.dstate_init != nullptr))
      backward_plain<T, W><<<grid_for(inputs, 256), 256, 0, stream>>>(a);
    if (steps > 0 && wants_sums(a))
      sums_plain<T, W><<<grid_for(partial_floats(a), 256), 256, 0, stream>>>(a, runs, partial);
  }
  if (wants_sums(a))
    combine_partials<W>(partial, a.B * runs.per_row, (a.KS + 1) * a.C,
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
