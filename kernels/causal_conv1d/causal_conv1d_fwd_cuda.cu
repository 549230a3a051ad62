#include "kernels/causal_conv1d/conv_cuda.cuh"
#include "kernels/common/weight_dtype.h"

namespace xlstm::kernels::conv {
namespace {

using Args = xlstm_causal_conv1d_fwd_args;

constexpr int kAhead = 4;  // steps read before they are needed

template <class T, class W>
__global__ void __launch_bounds__(kThreads, 4) forward_taps(Args a, Runs runs) {
  constexpr int V = kPack<T>;
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x, across = a.C / V;
  const int64_t task = thread / across, c = thread % across * V;
  if (task >= a.B * runs.per_row) return;
  const int64_t b = task / runs.per_row, t0 = task % runs.per_row * runs.steps;
  const int64_t t1 = t0 + runs.steps < a.T ? t0 + runs.steps : a.T;
  const T* x = static_cast<const T*>(a.x) + b * a.x_stride_b + c;
  T* y = static_cast<T*>(a.y) + b * a.y_stride_b + c;

  Raw<T, V> next[kAhead];
#pragma unroll
  for (int k = 0; k < kAhead; ++k)
    if (t0 + k < t1) next[k] = load_raw<V>(x + (t0 + k) * a.x_stride_t);
  float w[kTaps][V], bias[V];
  load_weights<V, W>(a.weight, a.bias, c, w, bias);
  History<V> history;
  history.template load<T>(a, b, t0, c);

  for (int64_t t = t0; t < t1; t += kAhead) {
    Raw<T, V> now[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      now[k] = next[k];
      if (t + kAhead + k < t1) next[k] = load_raw<V>(x + (t + kAhead + k) * a.x_stride_t);
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (t + k >= t1) break;
      history.begin_step(starts(a.reset, a.T, b, t + k));
      float in[V], out[V];
#pragma unroll
      for (int i = 0; i < V; ++i) in[i] = now[k][i];
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float pre = pre_activation<V>(in, history, w, bias, i);
        out[i] = a.silu ? pre * sigmoid_fast(pre) : pre;
      }
      store_values<V>(y + (t + k) * a.y_stride_t, out);
      history.push(in);
    }
  }
}

template <class T, class W>
__global__ void forward_plain(Args a) {
  const int64_t n = a.B * a.T * a.C;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64_t c = i % a.C, t = i / a.C % a.T, b = i / a.C / a.T;
    const float pre = pre_activation_plain<T, W>(a, b, t, c);
    static_cast<T*>(a.y)[b * a.y_stride_b + t * a.y_stride_t + c] =
        from_float<T>(a.silu ? pre * sigmoid_fast(pre) : pre);
  }
}

// The inputs that a step after the last would see, itself not counted.
template <class T>
__global__ void final_state(Args a) {
  const int64_t n = a.B * (a.KS - 1) * a.C;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64_t c = i % a.C, d = a.KS - 2 - i / a.C % (a.KS - 1), b = i / a.C / (a.KS - 1);
    const int64_t seen = a.T > 0 ? visible(a.reset, a.T, a.KS, b, a.T - 1) : a.KS;
    const T* from = d < seen ? input<T>(a, b, a.T - 1 - d, c) : nullptr;
    static_cast<T*>(a.state_final)[i] = from == nullptr ? from_float<T>(0.0f) : *from;
  }
}

template <class T, class W>
bool is_fast(const Args& a) {
  constexpr int V = kPack<T>;
  const int64_t tasks = a.B * a.T * ceil_div(a.C, V * kThreads);
  return a.KS == kTaps && a.C % V == 0 && tasks < (int64_t{1} << 31) &&
         is_packed<T>(a.x, a.x_stride_b) && is_packed<T>(a.x, a.x_stride_t) &&
         is_packed<T>(a.y, a.y_stride_b) && is_packed<T>(a.y, a.y_stride_t) &&
         is_packed<T>(a.state_init) && is_packed<W>(a.weight);
}

template <class T, class W>
void forward(const Args& a, cudaStream_t stream) {
  if (a.B * a.T * a.C > 0) {
    if (is_fast<T, W>(a)) {
      const Runs runs(a.B, a.T, a.C, 64);
      const int64_t blocks = ceil_div(a.B * runs.per_row * (a.C / kPack<T>), kThreads);
      forward_taps<T, W><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(a, runs);
    } else {
      forward_plain<T, W><<<grid_for(a.B * a.T * a.C, 256), 256, 0, stream>>>(a);
    }
  }
  const int64_t state = a.B * (a.KS - 1) * a.C;
  if (a.state_final != nullptr && state > 0)
    final_state<T><<<grid_for(state, 256), 256, 0, stream>>>(a);
}

}  // namespace
}  // namespace xlstm::kernels::conv

using namespace xlstm::kernels;

int64_t xlstm_causal_conv1d_fwd_workspace_cuda(const xlstm_causal_conv1d_fwd_args*) {
  return 0;
}

xlstm_status xlstm_causal_conv1d_fwd_cuda(const xlstm_causal_conv1d_fwd_args* args,
                                          xlstm_exec exec) {
  return Cuda::run(args, xlstm_causal_conv1d_fwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    with_weight_type<T>(args->weight_dtype, [&](auto weight) {
      conv::forward<T, typename decltype(weight)::type>(*args, stream_of(exec));
    });
    return launched();
  });
}
