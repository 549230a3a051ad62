#include "kernels/common/values.cuh"
#include "kernels/cross_entropy/cross_entropy.h"

namespace xlstm::kernels {
namespace {

using Forward = xlstm_cross_entropy_fwd_args;
using Backward = xlstm_cross_entropy_bwd_args;

constexpr int kThreads = 256, kAtOnce = 4;
constexpr int64_t kWidestForWarp = 2048;
constexpr int64_t kMostBlocks = 1 << 20;

// cap * tanh(x / cap), or x. tanh through one exponential: 1 at infinity, NaN stays NaN; near 0 its
// error is that of one rounding of 1, which is nothing beside a logit's scale `cap`.
struct SoftCap {
  float cap, two_over_cap;
  explicit __device__ SoftCap(double value)
      : cap(static_cast<float>(value)), two_over_cap(value > 0 ? 2.0f / cap : 0.0f) {}
  __device__ float tanh_of(float x) const {
    return 1.0f - __fdividef(2.0f, 1.0f + __expf(x * two_over_cap));
  }
  __device__ float operator()(float x) const { return cap > 0 ? cap * tanh_of(x) : x; }
};

// 2^x; 0 instead of a denormal number.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// exp(z - max); the maximum of a row that has nothing finite so far is -inf.
__device__ inline float shift_of(float max) {
  return max == -INFINITY ? 0.0f : max;
}

// The maximum of a thread's logits and the sum of exp(z - maximum).
struct Running {
  float max = -INFINITY, sum = 0;

  template <int V>
  __device__ void add(const float (&z)[V]) {
    float most = z[0];
#pragma unroll
    for (int i = 1; i < V; ++i) most = fmaxf(most, z[i]);
    if (most > max) {
      sum *= __expf(max - most);
      max = most;
    }
    const float shift = shift_of(max);
#pragma unroll
    for (int i = 0; i < V; ++i) sum += __expf(z[i] - shift);
  }
};

// The same of capped logits, for caps within these bounds: all lie in [-cap, cap], so that the
// sum of exp(z - cap) neither overflows nor loses what counts, and the maximum is that of x,
// capped. |x| <= cap: z = x p((x / cap)^2), p of degree 6 interpolating tanh(u) / u at Chebyshev's
// points (relative error 1e-7); multiplications, of which a card does eight for one exponential.
constexpr double kLeastCap = 1, kMostCap = 40;
struct CapTerms {  // made by the host once a launch
  static constexpr int kTerms = 7;
  float cap, minus_cap_log2, p[kTerms];
  explicit CapTerms(double value) : cap(static_cast<float>(value)) {
    constexpr double kLog2e = 1.4426950408889634;
    constexpr double kTanh[kTerms] = {0.99999994,  -0.33332828,   0.13325076,  -0.053451646,
                                      0.020279707, -0.0061943247, 0.0010380251};
    minus_cap_log2 = static_cast<float>(-value * kLog2e);
    double scale = kLog2e;
    for (int k = 0; k < kTerms; ++k, scale /= value * value)
      p[k] = static_cast<float>(kTanh[k] * scale);
  }
};
// The largest x and |x| of a run; NaN is left out, for the sum has it. Two at once in 16 bits.
template <int V>
__device__ inline void largest_of(const Raw<float, V>& raw, float& most, float& size) {
  most = raw[0], size = fabsf(raw[0]);
#pragma unroll
  for (int i = 1; i < V; ++i) most = fmaxf(most, raw[i]), size = fmaxf(size, fabsf(raw[i]));
}
template <class Two, class T, int V>
__device__ inline void largest_of_pairs(const Raw<T, V>& raw, float& most, float& size) {
  Two pair = *reinterpret_cast<const Two*>(&raw.held(0)), sizes = __habs2(pair);
#pragma unroll
  for (int i = 1; i < V / 2; ++i) {
    const Two next = *reinterpret_cast<const Two*>(&raw.held(i));
    pair = __hmax2(pair, next), sizes = __hmax2(sizes, __habs2(next));
  }
  most = fmaxf(to_float(pair.x), to_float(pair.y));
  size = fmaxf(to_float(sizes.x), to_float(sizes.y));
}
template <int V>
__device__ inline void largest_of(const Raw<bf16, V>& raw, float& most, float& size) {
  largest_of_pairs<__nv_bfloat162>(raw, most, size);
}
template <int V>
__device__ inline void largest_of(const Raw<f16, V>& raw, float& most, float& size) {
  largest_of_pairs<__half2>(raw, most, size);
}

struct CappedRunning {
  float max = -INFINITY, sum = 0;
  template <class T, int V>
  __device__ void add(const Raw<T, V>& raw, const SoftCap& soft_cap, const CapTerms& terms) {
    float most = raw[0], largest = fabsf(most);
    if constexpr (V > 1) largest_of(raw, most, largest);
    float x[V];
#pragma unroll
    for (int i = 0; i < V; ++i) x[i] = raw[i];
    max = fmaxf(max, most);
    float part = 0;
    if (largest <= terms.cap) {
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float t = x[i] * x[i];
        float q = terms.p[CapTerms::kTerms - 1];
#pragma unroll
        for (int k = CapTerms::kTerms - 2; k >= 0; --k) q = q * t + terms.p[k];
        part += exp2_fast(x[i] * q + terms.minus_cap_log2);
      }
    } else {
#pragma unroll
      for (int i = 0; i < V; ++i) part += __expf(soft_cap(x[i]) - terms.cap);
    }
    sum += part;
  }
  __device__ Running capped(const SoftCap& soft_cap) const {
    Running all;
    if (max == -INFINITY && sum == 0) return all;  // nothing was added
    all.max = soft_cap(max);
    all.sum = sum * __expf(soft_cap.cap - all.max);
    return all;
  }
};

template <bool kBlock>
__device__ inline Running combined(Running mine, float (*scratch)[32]) {
  Running all;
  all.max = kBlock ? block_max(mine.max, scratch[0]) : warp_max(mine.max);
  const float scaled = mine.sum * __expf(mine.max - shift_of(all.max));
  all.sum = kBlock ? block_sum(scaled, scratch[1]) : warp_sum(scaled);
  return all;
}

// A row for every block, or for every warp. V logits are read at once. kCapped: a cap within the
// bounds of CappedRunning.
template <class T, bool kCapped, bool kBlock, int V>
__global__ void __launch_bounds__(kThreads, 4)
    forward_rows(Forward a, CapTerms terms, float* row_loss) {
  __shared__ float scratch[2][32];
  constexpr int kTeam = kBlock ? kThreads : 32, kTeams = kThreads / kTeam;
  const int lane = static_cast<int>(threadIdx.x) % kTeam;
  const SoftCap cap(a.soft_cap);
  const int64_t packs = a.n_vocab / V;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kTeams + threadIdx.x / kTeam; row < a.rows;
       row += static_cast<int64_t>(gridDim.x) * kTeams) {
    float* row_max = static_cast<float*>(a.row_max) + row;
    float* row_sum = static_cast<float*>(a.row_sum) + row;
    const int64_t target = a.targets[row];
    if (target == a.ignore_index) {  // the same for the whole team
      if (lane == 0) *row_max = 0.0f, *row_sum = 1.0f, row_loss[row] = 0.0f;
      continue;
    }
    const T* x = static_cast<const T*>(a.logits) + row * a.logits_stride_row;
    std::conditional_t<kCapped, CappedRunning, Running> mine;
    // The next packs are on their way while these are added.
    Raw<T, V> now[kAtOnce], next[kAtOnce];
    const auto load = [&](int64_t first, Raw<T, V>(&raw)[kAtOnce]) {
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k)
        if (first + k * kTeam < packs) raw[k] = load_raw<V>(x + (first + k * kTeam) * V);
    };
    load(lane, now);
    for (int64_t first = lane; first < packs; first += kAtOnce * kTeam) {
      load(first + kAtOnce * kTeam, next);
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        if (first + k * kTeam >= packs) break;
        if constexpr (kCapped) {
          mine.add(now[k], cap, terms);
        } else {
          float z[V];
#pragma unroll
          for (int i = 0; i < V; ++i) z[i] = cap(now[k][i]);
          mine.add(z);
        }
        now[k] = next[k];
      }
    }
    Running part;
    if constexpr (kCapped)
      part = mine.capped(cap);
    else
      part = mine;
    const Running all = combined<kBlock>(part, scratch);
    if (lane == 0) {
      *row_max = all.max;
      *row_sum = all.sum;
      const bool known = target >= 0 && target < a.n_vocab;
      row_loss[row] = known ? logf(all.sum) - (cap(to_float(x[target])) - all.max) : NAN;
    }
    if constexpr (kBlock) __syncthreads();  // the scratch is used again
  }
}

__device__ inline double block_sum_double(double x, double* scratch) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffu, x, lane);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  double sum = 0;
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; ++warp) sum += scratch[warp];
  return sum;
}

// The mean over the counted rows, by one block.
__global__ void __launch_bounds__(1024) mean_loss(Forward a, const float* row_loss) {
  __shared__ double scratch[2][32];
  double total = 0, counted = 0;
  for (int64_t row = threadIdx.x; row < a.rows; row += 1024) {
    if (a.targets[row] == a.ignore_index) continue;
    total += static_cast<double>(row_loss[row]);
    counted += 1;
  }
  total = block_sum_double(total, scratch[0]);
  counted = block_sum_double(counted, scratch[1]);
  if (threadIdx.x != 0) return;
  *a.n_targets = static_cast<int64_t>(counted);
  *static_cast<float*>(a.loss) = counted == 0 ? 0.0f : static_cast<float>(total / counted);
}

// dlogits, of type D, may be logits: a thread writes what it alone has read.
template <class T, class D, bool kBlock, int V>
__global__ void __launch_bounds__(kThreads) backward_rows(Backward a) {
  constexpr int kTeam = kBlock ? kThreads : 32, kTeams = kThreads / kTeam;
  const int lane = static_cast<int>(threadIdx.x) % kTeam;
  const SoftCap cap(a.soft_cap);
  const int64_t packs = a.n_vocab / V;
  const int64_t counted = a.n_targets_device != nullptr ? *a.n_targets_device : a.n_targets;
  const float scale =
      counted == 0 ? 0.0f : *static_cast<const float*>(a.dloss) / static_cast<float>(counted);
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kTeams + threadIdx.x / kTeam; row < a.rows;
       row += static_cast<int64_t>(gridDim.x) * kTeams) {
    const T* x = static_cast<const T*>(a.logits) + row * a.logits_stride_row;
    D* dx = static_cast<D*>(a.dlogits) + row * a.dlogits_stride_row;
    const int64_t target = a.targets[row];
    if (target == a.ignore_index) {
      const float zeros[V] = {};
      for (int64_t pack = lane; pack < packs; pack += kTeam) store_values<V>(dx + pack * V, zeros);
      continue;
    }
    const bool known = target >= 0 && target < a.n_vocab;
    const float max = static_cast<const float*>(a.row_max)[row];
    const float factor = known ? scale / static_cast<const float*>(a.row_sum)[row] : NAN;
    for (int64_t first = lane; first < packs; first += kAtOnce * kTeam) {
      Raw<T, V> raw[kAtOnce];
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k)
        if (first + k * kTeam < packs) raw[k] = load_raw<V>(x + (first + k * kTeam) * V);
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const int64_t pack = first + k * kTeam;
        if (pack >= packs) break;
        float d[V];
#pragma unroll
        for (int i = 0; i < V; ++i) {
          float z = raw[k][i], slope = 1.0f;
          if (cap.cap > 0) {
            const float ratio = cap.tanh_of(z);
            slope = 1.0f - ratio * ratio;
            z = cap.cap * ratio;
          }
          const float hit = pack * V + i == target ? scale : 0.0f;
          d[i] = (__expf(z - max) * factor - hit) * slope;
        }
        store_values<V>(dx + pack * V, d);
      }
    }
  }
}

// Calls f with whether a block has a row, and how many logits are read at once.
template <class T, class F>
void with_shape(int64_t n_vocab, bool packed, F f) {
  constexpr std::integral_constant<int, kPack<T>> kMany{};
  constexpr std::integral_constant<int, 1> kOne{};
  const bool many = packed && n_vocab % kPack<T> == 0;
  if (n_vocab > kWidestForWarp)
    return many ? f(std::true_type{}, kMany) : f(std::true_type{}, kOne);
  return many ? f(std::false_type{}, kMany) : f(std::false_type{}, kOne);
}

unsigned grid_of(int64_t rows, bool block) {
  return grid_for(rows, block ? 1 : kThreads / 32, kMostBlocks);
}

template <class T>
void forward(const Forward& a, float* row_loss, cudaStream_t stream) {
  if (a.rows > 0) {
    with_shape<T>(a.n_vocab, is_packed<T>(a.logits, a.logits_stride_row), [&](auto block, auto V) {
      const bool capped = a.soft_cap >= kLeastCap && a.soft_cap <= kMostCap;
      const auto kernel = capped
                              ? forward_rows<T, true, decltype(block)::value, decltype(V)::value>
                              : forward_rows<T, false, decltype(block)::value, decltype(V)::value>;
      kernel<<<grid_of(a.rows, block), kThreads, 0, stream>>>(
          a, CapTerms(capped ? a.soft_cap : kLeastCap), row_loss);
    });
  }
  mean_loss<<<1, 1024, 0, stream>>>(a, row_loss);
}

template <class T, class D>
void backward(const Backward& a, cudaStream_t stream) {
  if (a.rows == 0) return;
  const bool packed =
      is_packed<T>(a.logits, a.logits_stride_row) && is_packed<D>(a.dlogits, a.dlogits_stride_row);
  with_shape<T>(a.n_vocab, packed, [&](auto block, auto V) {
    backward_rows<T, D, decltype(block)::value, decltype(V)::value>
        <<<grid_of(a.rows, block), kThreads, 0, stream>>>(a);
  });
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_cross_entropy_fwd_workspace_cuda(const xlstm_cross_entropy_fwd_args* args) {
  return Cuda::workspace(args, xlstm_cross_entropy_fwd_check,
                         [&](auto) { return args->rows * int64_t{sizeof(float)}; });
}

xlstm_status xlstm_cross_entropy_fwd_cuda(const xlstm_cross_entropy_fwd_args* args,
                                          xlstm_exec exec) {
  return Cuda::run(args, xlstm_cross_entropy_fwd_check, exec,
                   xlstm_cross_entropy_fwd_workspace_cuda, [&](auto element) {
                     forward<typename decltype(element)::type>(
                         *args, static_cast<float*>(exec.workspace), stream_of(exec));
                     return launched();
                   });
}

xlstm_status xlstm_cross_entropy_bwd_cuda(const xlstm_cross_entropy_bwd_args* args,
                                          xlstm_exec exec) {
  return Cuda::run(args, xlstm_cross_entropy_bwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    if (args->dlogits_dtype == args->dtype) {
      backward<T, T>(*args, stream_of(exec));
    } else if constexpr (std::is_same_v<T, float>) {
      if (args->dlogits_dtype == XLSTM_BF16) backward<T, __nv_bfloat16>(*args, stream_of(exec));
      if (args->dlogits_dtype == XLSTM_F16) backward<T, __half>(*args, stream_of(exec));
    }
    return launched();
  });
}
