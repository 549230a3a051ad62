#include "kernels/causal_conv1d/conv_cuda.cuh"
#include "kernels/common/weight_dtype.h"

namespace xlstm::kernels::conv {
namespace {

using Args = xlstm_causal_conv1d_fwd_args;

// A warp walks over a run of steps, two channels a lane. Each step's registers are filled again,
// for the step kAhead later, as soon as they are read.
template <class T, class W, bool kSilu>
__global__ void __launch_bounds__(kThreads, 8) forward_taps(Args a, Runs runs) {
  constexpr int V = kChannels, kAhead = 32 / static_cast<int>(sizeof(T));
  const Span span(runs, a.T, a.C);
  if (span.n == 0) return;
  const T* x = static_cast<const T*>(a.x) + span.b * a.x_stride_b + span.t0 * a.x_stride_t + span.c;
  T* y = static_cast<T*>(a.y) + span.b * a.y_stride_b + span.t0 * a.y_stride_t + span.c;
  Pair<T> raw[kAhead];
#pragma unroll
  for (int k = 0; k < kAhead; ++k, x += a.x_stride_t)
    if (k < span.n) raw[k] = load_pair(x);
  bool start = starts_near(a.reset, a.T, span.b, span.t0, kAhead);
  float w[kTaps][V], bias[V], history[kTaps - 1][V];
  load_weights<V, W>(a.weight, a.bias, span.c, w, bias);
  load_history<T>(a, span.b, span.t0, span.c, history);

  // `plain`: all these steps and the next kAhead are of the run, and no document starts nearby.
  const auto walk = [&](int t, uint32_t near, auto plain) {
    constexpr bool kPlain = decltype(plain)::value;
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (!kPlain && t + k >= span.n) return;
      float now[V], out[V];
      unpack(raw[k], now);
      if (kPlain || t + kAhead + k < span.n) raw[k] = load_pair(x);
      x += a.x_stride_t;
      if (!kPlain) {
#pragma unroll
        for (int d = 1; d < kTaps; ++d)
#pragma unroll
          for (int i = 0; i < V; ++i)
            history[d - 1][i] = sees(near, k, d) ? history[d - 1][i] : 0.0f;
      }
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float pre = pre_activation<V>(now, history, w, bias, i);
        out[i] = kSilu ? pre * sigmoid_fast(pre) : pre;
      }
      if (span.inside) store_pair(y, out);
      y += a.y_stride_t;
      shift_in(history, now);
    }
  };
#pragma unroll 1
  for (int t = 0; t < span.n; t += kAhead) {
    const uint32_t near = __ballot_sync(0xffffffffu, start);
    start = starts_near(a.reset, a.T, span.b, span.t0 + t + kAhead, kAhead);
    if (near == 0 && t + 2 * kAhead <= span.n) {
      walk(t, near, std::true_type{});
    } else {
      walk(t, near, std::false_type{});
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
bool is_fast(const Args& a, const Runs& runs) {
  return a.KS == kTaps && a.C % kChannels == 0 && runs.blocks(a.C) * kWarps < (int64_t{1} << 31) &&
         is_paired<T>(a.x, a.x_stride_b, a.x_stride_t) &&
         is_paired<T>(a.y, a.y_stride_b, a.y_stride_t) && is_paired<T>(a.state_init) &&
         is_packed<W>(a.weight);
}

template <class T, class W>
void forward(const Args& a, cudaStream_t stream) {
  if (a.B * a.T * a.C > 0) {
    const Runs runs(a.B, a.T, a.C);
    if (is_fast<T, W>(a, runs)) {
      const auto kernel = a.silu ? forward_taps<T, W, true> : forward_taps<T, W, false>;
      kernel<<<static_cast<unsigned>(runs.blocks(a.C)), kThreads, 0, stream>>>(a, runs);
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
