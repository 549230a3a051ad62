#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm_team.cuh"

namespace xlstm::kernels {
namespace {

using Args = xlstm_norm_fwd_args;

// From the sums over the run of d and d^2, where d = x - first: the mean beyond `first`, and rstd.
__device__ inline float2 statistics(const Args& a, float inverse_n, float sum, float squares) {
  const float shift = a.subtract_mean ? sum * inverse_n : 0.0f;
  const float variance = fmaxf(squares * inverse_n - shift * shift, 0.0f);
  // fmaxf would hide a NaN.
  const float kept = squares == squares ? variance : squares;
  return make_float2(shift, rsqrtf(kept + static_cast<float>(a.eps)));
}

__device__ inline void save(const Args& a, int64_t run, float mean, float rstd) {
  if (a.subtract_mean && a.mean != nullptr) static_cast<float*>(a.mean)[run] = mean;
  if (a.rstd != nullptr) static_cast<float*>(a.rstd)[run] = rstd;
}

// y of a pack, from its x - first.
template <class T, class W>
__device__ inline void write_pack(const Args& a, int64_t column, const Raw<T, kPack<T>>& x,
                                  float mean, float2 found, T* y_pack) {
  constexpr int N = kPack<T>;
  const float one = a.one_plus ? 1.0f : 0.0f;
  const Raw<W, N> scale = load_raw<N>(static_cast<const W*>(a.weight) + column);
  float y[N];
#pragma unroll
  for (int j = 0; j < N; ++j)
    y[j] = ((x[j] - mean) * found.y - found.x * found.y) * (one + scale[j]);
  if (a.bias != nullptr) {
    const Raw<W, N> bias = load_raw<N>(static_cast<const W*>(a.bias) + column);
#pragma unroll
    for (int j = 0; j < N; ++j) y[j] += bias[j];
  }
  store_values<N>(y_pack, y);
}

// Blocks that share an SM at least: 64 KiB or more on their way.
constexpr int blocks_for(bool block, int held, int runs) {
  return block ? 1 : runs > 1 ? 6 : held <= 8 ? 8 : 5;
}

// A team has kRuns runs in registers at once, kHeld packs of each a thread; kFull: just as many as
// the run has. The mean is taken twice: the second time of x - mean, which repairs the rounding of
// a mean that is large beside the spread. Every thread writes only where it has read, so y may be
// x.
template <class T, class W, bool kBlock, bool kFull, int kHeld, int kRuns>
__global__ void __launch_bounds__(kBlock ? 512 : kWarpTeamThreads, blocks_for(kBlock, kHeld, kRuns))
    forward_held(const Args a, const Runs runs, int team) {
  static_assert(!kBlock || kRuns == 1, "the scratch is for one run");
  constexpr int N = kPack<T>;
  __shared__ float scratch[kBlock ? 3 * 32 : 1];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const int packs = static_cast<int>(a.width / N);
  const float inverse_n = 1.0f / static_cast<float>(a.width);
  const int64_t mine =
      static_cast<int64_t>(blockIdx.x) * (teams * kRuns) + static_cast<int>(threadIdx.x) / team;
  Raw<T, N> x[kRuns][kHeld];
#pragma unroll
  for (int r = 0; r < kRuns; ++r) {
    // Past the last run it is read again, without a branch.
    const int64_t run = mine + r * teams < runs.count ? mine + r * teams : runs.count - 1;
    const int64_t row = runs.row_of(run);
    const T* from = static_cast<const T*>(a.x) + row * a.x_stride_row +
                    (run - row * a.groups) * a.width + lane * N;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (kFull || i * team + lane < packs) {
        x[r][i] = load_raw<N>(from + i * team * N);
      } else {
        x[r][i] = Raw<T, N>{};
      }
    }
  }
  float mean[kRuns] = {};
  if (a.subtract_mean) {
#pragma unroll
    for (int r = 0; r < kRuns; ++r)
#pragma unroll
      for (int i = 0; i < kHeld; ++i)
#pragma unroll
        for (int j = 0; j < N; ++j) mean[r] += x[r][i][j];
    team_sums<kBlock>(mean, team, scratch);
#pragma unroll
    for (int r = 0; r < kRuns; ++r) mean[r] *= inverse_n;
  }
  float sums[2 * kRuns] = {};
#pragma unroll
  for (int r = 0; r < kRuns; ++r)
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (!kFull && i * team + lane >= packs) continue;
      x[r][i].forget_floats();
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float d = x[r][i][j] - mean[r];
        sums[2 * r] += d;
        sums[2 * r + 1] += d * d;
      }
    }
  team_sums<kBlock>(sums, team, scratch + (kBlock ? 32 : 0));
#pragma unroll
  for (int r = 0; r < kRuns; ++r) {
    const int64_t run = mine + r * teams;
    if (run >= runs.count) return;
    const int64_t row = runs.row_of(run), begin = (run - row * a.groups) * a.width + lane * N;
    const float2 found = statistics(a, inverse_n, sums[2 * r], sums[2 * r + 1]);
    if (lane == 0) save(a, run, mean[r] + found.x, found.y);
    T* to = static_cast<T*>(a.y) + row * a.y_stride_row + begin;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (!kFull && i * team + lane >= packs) continue;
      x[r][i].forget_floats();
      write_pack<T, W>(a, begin + i * team * N, x[r][i], mean[r], found, to + i * team * N);
    }
  }
}

// Any width and alignment: elements are read again from memory. Every thread writes only what it
// alone reads after the last barrier, so y may be x.
template <class T, class W, bool kBlock>
__global__ void __launch_bounds__(512) forward_again(const Args a, const Runs runs, int team) {
  __shared__ float scratch[3 * 32];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const float one = a.one_plus ? 1.0f : 0.0f;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * teams; first < runs.count;
       first += static_cast<int64_t>(gridDim.x) * teams) {
    const int64_t run = first + threadIdx.x / team, row = runs.row_of(run);
    const int64_t begin = (run - row * a.groups) * a.width;
    const int64_t width = run < runs.count ? a.width : 0;
    const T* x = static_cast<const T*>(a.x) + row * a.x_stride_row + begin;
    float mean[1] = {};
    if (a.subtract_mean) {
      for (int64_t i = lane; i < width; i += team) mean[0] += to_float(x[i]);
      team_sums<kBlock>(mean, team, scratch);
      mean[0] /= static_cast<float>(a.width);
    }
    float sums[2] = {};
    for (int64_t i = lane; i < width; i += team) {
      const float d = to_float(x[i]) - mean[0];
      sums[0] += d;
      sums[1] += d * d;
    }
    team_sums<kBlock>(sums, team, scratch + 32);
    const float2 found = statistics(a, 1.0f / static_cast<float>(a.width), sums[0], sums[1]);
    if (width > 0 && lane == 0) save(a, run, mean[0] + found.x, found.y);
    T* y = static_cast<T*>(a.y) + row * a.y_stride_row + begin;
    const W* weight = static_cast<const W*>(a.weight) + begin;
    const W* bias = static_cast<const W*>(a.bias);
    for (int64_t i = lane; i < width; i += team) {
      const float xhat = (to_float(x[i]) - mean[0] - found.x) * found.y;
      const float b = bias == nullptr ? 0.0f : to_float(bias[begin + i]);
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
  const Runs runs(a.rows, a.groups);
  const int64_t packs = a.width / kPack<T>;
  const auto launch = [&](auto kernel, int threads, int team, int runs_each) {
    const int64_t per_block = threads / team * runs_each, most = 0x7fffffff;
    kernel<<<grid_for(runs.count, per_block, most), threads, 0, stream>>>(a, runs, team);
  };
  if (!is_aligned<T>(a) || packs > 2048) {
    if (a.width <= 1024) return launch(forward_again<T, W, false>, kWarpTeamThreads, 32, 1);
    const int threads = threads_for(a.width, 512);
    return launch(forward_again<T, W, true>, threads, threads, 1);
  }
  if (packs > 512) {
    const int threads = threads_for(ceil_div(packs, 4), 512);
    return launch(forward_held<T, W, true, false, 4, 1>, threads, threads, 1);
  }
  const int team = lanes_for(packs);
  const auto in_warps = [&](auto kernel, int runs_each) {
    launch(kernel, kWarpTeamThreads, team, runs_each);
  };
  if (packs == team) return in_warps(forward_held<T, W, false, true, 1, 4>, 4);
  if (packs == 2 * team) return in_warps(forward_held<T, W, false, true, 2, 4>, 4);
  if (packs == 3 * team) return in_warps(forward_held<T, W, false, true, 3, 2>, 2);
  if (packs == 4 * team) return in_warps(forward_held<T, W, false, true, 4, 2>, 2);
  if (packs == 8 * team) return in_warps(forward_held<T, W, false, true, 8, 1>, 1);
  if (packs == 16 * team) return in_warps(forward_held<T, W, false, true, 16, 1>, 1);
  if (packs <= 128) return in_warps(forward_held<T, W, false, false, 4, 2>, 2);
  in_warps(forward_held<T, W, false, false, 16, 1>, 1);
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
