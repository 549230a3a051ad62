#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm_team.cuh"

namespace xlstm::kernels {
namespace {

using Args = xlstm_norm_fwd_args;

// Which run a team has in a round of its block.
struct Run {
  int64_t row, group;
  bool valid;
  __device__ Run(const Args& a, int64_t index)
      : row(index / a.groups), group(index % a.groups), valid(index < a.rows * a.groups) {}
};

// From the sums over the run of d and d^2, where d = x - first: the mean beyond `first`, and rstd.
__device__ inline float2 statistics(const Args& a, float2 sums) {
  const float n = static_cast<float>(a.width);
  const float shift = a.subtract_mean ? sums.x / n : 0.0f;
  const float variance = fmaxf(sums.y / n - shift * shift, 0.0f);
  // fmaxf would hide a NaN.
  const float kept = sums.y == sums.y ? variance : sums.y;
  return make_float2(shift, 1.0f / sqrtf(kept + static_cast<float>(a.eps)));
}

__device__ inline void save(const Args& a, const Run& run, float mean, float rstd) {
  const int64_t at = run.row * a.groups + run.group;
  if (a.subtract_mean && a.mean != nullptr) static_cast<float*>(a.mean)[at] = mean;
  if (a.rstd != nullptr) static_cast<float*>(a.rstd)[at] = rstd;
}

// The run is in registers, kHeld packs a thread. The mean is taken twice: the second time of
// x - mean, which repairs the rounding of a mean that is large beside the spread.
template <class T, class W, bool kBlock, int kHeld>
__global__ void __launch_bounds__(512) forward_held(Args a, int team) {
  constexpr int N = kPack<T>;
  __shared__ float scratch[2][64];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const int packs = static_cast<int>(a.width / N);
  const int64_t n_runs = a.rows * a.groups;
  const float one = a.one_plus ? 1.0f : 0.0f;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * teams; first < n_runs;
       first += static_cast<int64_t>(gridDim.x) * teams) {
    const Run run(a, first + threadIdx.x / team);
    const T* x_run = static_cast<const T*>(a.x) + run.row * a.x_stride_row + run.group * a.width;
    float x[kHeld][N];
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const int pack = i * team + lane;
      if (run.valid && pack < packs) {
        load_values<N>(x_run + pack * N, x[i]);
      } else {
#pragma unroll
        for (int j = 0; j < N; ++j) x[i][j] = 0.0f;
      }
    }
    float mean = 0;
    if (a.subtract_mean) {
      float sum = 0;
#pragma unroll
      for (int i = 0; i < kHeld; ++i)
#pragma unroll
        for (int j = 0; j < N; ++j) sum += x[i][j];
      mean = team_sum<kBlock>(make_float2(sum, 0.0f), team, scratch[0]).x /
             static_cast<float>(a.width);
    }
    float2 sums = make_float2(0.0f, 0.0f);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (i * team + lane < packs) {
#pragma unroll
        for (int j = 0; j < N; ++j) {
          x[i][j] -= mean;
          sums.x += x[i][j];
          sums.y += x[i][j] * x[i][j];
        }
      }
    }
    const float2 found = statistics(a, team_sum<kBlock>(sums, team, scratch[1]));
    const float shift = found.x, rstd = found.y;
    if (run.valid && lane == 0) save(a, run, mean + shift, rstd);
    T* y_run = static_cast<T*>(a.y) + run.row * a.y_stride_row + run.group * a.width;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const int pack = i * team + lane;
      if (!run.valid || pack >= packs) continue;
      const int64_t at = run.group * a.width + pack * N;
      float scale[N], bias[N] = {}, y[N];
      load_values<N>(static_cast<const W*>(a.weight) + at, scale);
      if (a.bias != nullptr) load_values<N>(static_cast<const W*>(a.bias) + at, bias);
#pragma unroll
      for (int j = 0; j < N; ++j) y[j] = (x[i][j] - shift) * rstd * (one + scale[j]) + bias[j];
      store_values<N>(y_run + pack * N, y);
    }
    if constexpr (kBlock) __syncthreads();  // the scratch is used again
  }
}

// Any width and alignment: elements are read again from memory. Every thread writes only what it
// alone reads after the last barrier, so y may be x.
template <class T, class W, bool kBlock>
__global__ void __launch_bounds__(512) forward_again(Args a, int team) {
  __shared__ float scratch[2][64];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const int64_t n_runs = a.rows * a.groups;
  const float one = a.one_plus ? 1.0f : 0.0f;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * teams; first < n_runs;
       first += static_cast<int64_t>(gridDim.x) * teams) {
    const Run run(a, first + threadIdx.x / team);
    const int64_t width = run.valid ? a.width : 0;
    const T* x = static_cast<const T*>(a.x) + run.row * a.x_stride_row + run.group * a.width;
    float mean = 0;
    if (a.subtract_mean) {
      float sum = 0;
      for (int64_t i = lane; i < width; i += team) sum += to_float(x[i]);
      mean = team_sum<kBlock>(make_float2(sum, 0.0f), team, scratch[0]).x /
             static_cast<float>(a.width);
    }
    float2 sums = make_float2(0.0f, 0.0f);
    for (int64_t i = lane; i < width; i += team) {
      const float d = to_float(x[i]) - mean;
      sums.x += d;
      sums.y += d * d;
    }
    const float2 found = statistics(a, team_sum<kBlock>(sums, team, scratch[1]));
    if (run.valid && lane == 0) save(a, run, mean + found.x, found.y);
    T* y = static_cast<T*>(a.y) + run.row * a.y_stride_row + run.group * a.width;
    const W* weight = static_cast<const W*>(a.weight) + run.group * a.width;
    const W* bias = static_cast<const W*>(a.bias);
    for (int64_t i = lane; i < width; i += team) {
      const float xhat = (to_float(x[i]) - mean - found.x) * found.y;
      const float b = bias == nullptr ? 0.0f : to_float(bias[run.group * a.width + i]);
      y[i] = from_float<T>(xhat * (one + to_float(weight[i])) + b);
    }
    if constexpr (kBlock) __syncthreads();
  }
}

template <class T>
bool is_aligned(const Args& a) {
  return a.width % kPack<T> == 0 && is_packed<T>(a.x, a.x_stride_row) &&
         is_packed<T>(a.y, a.y_stride_row) && is_packed<T>(a.weight) && is_packed<T>(a.bias);
}

template <class T, class W>
void forward(const Args& a, cudaStream_t stream) {
  constexpr int64_t kMostBlocks = 1 << 20;
  const int64_t runs = a.rows * a.groups;
  const bool in_warp = a.width <= 1024;
  const int64_t packs = a.width / kPack<T>;
  const auto launch = [&](auto kernel, int threads, int team) {
    kernel<<<grid_for(runs, threads / team, kMostBlocks), threads, 0, stream>>>(a, team);
  };
  if (!is_aligned<T>(a) || packs > 2048) {
    if (in_warp) return launch(forward_again<T, W, false>, kWarpTeamThreads, 32);
    const int threads = threads_for(a.width, 512);
    return launch(forward_again<T, W, true>, threads, threads);
  }
  if (in_warp) {
    const int team = lanes_for(packs);
    if (packs <= 32) return launch(forward_held<T, W, false, 1>, kWarpTeamThreads, team);
    if (packs <= 128) return launch(forward_held<T, W, false, 4>, kWarpTeamThreads, team);
    return launch(forward_held<T, W, false, 8>, kWarpTeamThreads, team);
  }
  if (packs <= 1024) {
    const int threads = threads_for(ceil_div(packs, 2), 512);
    return launch(forward_held<T, W, true, 2>, threads, threads);
  }
  const int threads = threads_for(ceil_div(packs, 4), 512);
  launch(forward_held<T, W, true, 4>, threads, threads);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_norm_fwd_cuda(const xlstm_norm_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_norm_fwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    if (args->rows * args->groups * args->width == 0) return XLSTM_OK;
    with_weight_type<T>(args->weight_dtype, [&](auto weight) {
      forward<T, typename decltype(weight)::type>(*args, stream_of(exec));
    });
    return launched();
  });
}
