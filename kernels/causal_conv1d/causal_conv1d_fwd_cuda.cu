#include "kernels/causal_conv1d/conv_cuda.cuh"
#include "kernels/common/weight_dtype.h"

namespace xlstm::kernels::conv {
namespace {

using Args = xlstm_causal_conv1d_fwd_args;

// A warp walks over a run of steps, eight bytes of channels a lane; the next warp has the channels
// beside them, or those of the next run.
template <class T, class W, bool kSilu, bool kPacked>
__global__ void __launch_bounds__(kThreads, 8) forward_taps(Args a, Runs runs) {
  constexpr int V = kChannels<T>;
  __shared__ alignas(16) typename Ring<T, kPacked, 1>::Stages stages[kWarps];
  const uint32_t unit = blockIdx.x * kWarps + threadIdx.x / 32;
  const uint32_t across = static_cast<uint32_t>(slices<T>(a.C));
  const Span<T, kPacked> span(runs, static_cast<int>(unit / across),
                              static_cast<int>(unit % across), a.T, a.C);
  if (span.n == 0) return;
  const T* x = static_cast<const T*>(a.x) + span.b * a.x_stride_b + span.t0 * a.x_stride_t;
  T* y = static_cast<T*>(a.y) + span.b * a.y_stride_b + span.t0 * a.y_stride_t + span.c;
  Ring<T, kPacked, 1> ring(stages[threadIdx.x / 32], {x}, {a.x_stride_t}, span.n, span, a.C);
  float w[kTaps][V], bias[V], history[kTaps - 1][V];
  load_history(a, span, history);
  load_weights<W>(a.weight, a.bias, span, w, bias);
  Starts starts(a.reset, a.T, span.b, span.t0, span.n);

  // `plain`: packed, all these steps are of the run, and no document starts nearby.
  const auto walk = [&](const Stage& stage, int t, uint32_t near, auto plain) {
    constexpr bool kPlain = decltype(plain)::value;
    constexpr int kAtOnce = kPlain ? 4 : 1;  // more than the history: no moves of registers
#pragma unroll kAtOnce
    for (int k = 0; k < kSteps; ++k) {
      if (!kPlain && t + k >= span.n) return;
      float now[V], out[V];
      receive<T>(stage[k], now);
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
      if (!kPlain) {
        span.store(y, out);
      } else if (span.width > 0) {
        store_values<V>(y, out);
      }
      y += a.y_stride_t;
      shift_in(history, now);
    }
  };
#pragma unroll 1
  for (int t = 0; t < span.n; t += kSteps) {
    const Stage& stage = ring.next()[0];
    const uint32_t near = starts.near(t);
    if (kPacked && near == 0 && t + kSteps <= span.n) {
      walk(stage, t, near, std::true_type{});
    } else {
      walk(stage, t, near, std::false_type{});
    }
  }
  wait_copies<0>();
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
  return a.KS == kTaps && runs.is_countable(a.C, slices<T>(a.C)) && is_packed<W>(a.weight);
}

template <class T>
bool is_packed_call(const Args& a) {
  return a.C % kPack<T> == 0 && is_packed_array<T>(a.x, a.x_stride_b, a.x_stride_t) &&
         is_packed_array<T>(a.y, a.y_stride_b, a.y_stride_t) && is_packed_array<T>(a.state_init);
}

template <class T, class W>
void forward(const Args& a, cudaStream_t stream) {
  if (a.B * a.T * a.C > 0) {
    const Runs runs(a.B, a.T, a.C);
    if (is_fast<T, W>(a, runs)) {
      const auto launch = [&](auto packed) {
        constexpr bool kPacked = decltype(packed)::value;
        const auto kernel =
            a.silu ? forward_taps<T, W, true, kPacked> : forward_taps<T, W, false, kPacked>;
        const int64_t blocks = ceil_div(runs.count * slices<T>(a.C), kWarps);
        kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(a, runs);
      };
      is_packed_call<T>(a) ? launch(std::true_type{}) : launch(std::false_type{});
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
