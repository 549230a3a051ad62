#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm_gated.cuh"
#include "kernels/norm/norm_team.cuh"

namespace xlstm::kernels {
namespace {

// The arguments as kernels take them: above 128 bytes they would cost registers.
struct Args {
  int64_t width;
  float eps;
  bool subtract_mean, one_plus, silu;
  const void *x, *gate, *skip, *weight, *shift_weight;
  void *y, *mean, *rstd;
  int64_t x_stride_row, gate_stride_row, skip_stride_row, y_stride_row;
  explicit Args(const xlstm_norm_gated_fwd_args& a)
      : width(a.width),
        eps(static_cast<float>(a.eps)),
        subtract_mean(a.subtract_mean != 0),
        one_plus(a.one_plus != 0),
        silu(a.activation == XLSTM_SILU),
        x(a.x),
        gate(a.gate),
        skip(a.skip),
        weight(a.weight),
        shift_weight(kernels::shift_weight(a)),
        y(a.y),
        mean(a.mean),
        rstd(a.rstd),
        x_stride_row(a.x_stride_row),
        gate_stride_row(a.gate_stride_row),
        skip_stride_row(a.skip_stride_row),
        y_stride_row(a.y_stride_row) {}
};
static_assert(sizeof(Args) <= 128, "parameters of kernels");

// Blocks that share an SM at least: 64 KiB or more on their way.
constexpr int blocks_for(int held, int runs) {
  return held * runs <= 2 ? 6 : held * runs <= 4 ? 5 : 3;
}

// y of a pack.
template <class T, class W, bool kSkip>
__device__ inline void write_pack(const Args& a, int64_t column, const Raw<T, kPack<T>>& x,
                                  const Raw<T, kPack<T>>& gate, const Raw<T, kPack<T>>& skip,
                                  float mean, float2 found, T* y_pack) {
  constexpr int N = kPack<T>;
  const float one = a.one_plus ? 1.0f : 0.0f;
  const Raw<W, N> scale = load_raw<N>(static_cast<const W*>(a.weight) + column);
  float y[N];
#pragma unroll
  for (int j = 0; j < N; ++j)
    y[j] = ((x[j] - mean) * found.y - found.x * found.y) * (one + scale[j]);
  if (kSkip || a.shift_weight != nullptr) {
    const Raw<W, N> shift = load_raw<N>(static_cast<const W*>(a.shift_weight) + column);
#pragma unroll
    for (int j = 0; j < N; ++j) y[j] += kSkip ? shift[j] * skip[j] : shift[j];
  }
#pragma unroll
  for (int j = 0; j < N; ++j) y[j] *= gate_at<T>(gate[j], a.silu).value;
  store_values<N>(y_pack, y);
}

// A team has kRuns runs of x, gate and skip in registers at once, up to kHeld packs of each a
// thread. Every thread writes only where it has read, so y may be any of them.
template <class T, class W, bool kSkip, int kHeld, int kRuns>
__global__ void __launch_bounds__(kWarpTeamThreads, blocks_for(kHeld, kRuns))
    forward_held(const Args a, const Runs runs, int team) {
  constexpr int N = kPack<T>;
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const int packs = static_cast<int>(a.width / N);
  const float inverse_n = 1.0f / static_cast<float>(a.width);
  const int64_t mine =
      static_cast<int64_t>(blockIdx.x) * (teams * kRuns) + static_cast<int>(threadIdx.x) / team;
  Raw<T, N> x[kRuns][kHeld], gate[kRuns][kHeld], skip[kRuns][kHeld];
#pragma unroll
  for (int r = 0; r < kRuns; ++r) {
    // Past the last run it is read again, without a branch.
    const int64_t run = mine + r * teams < runs.count ? mine + r * teams : runs.count - 1;
    const int64_t row = runs.row_of(run), begin = (run - row * runs.groups) * a.width + lane * N;
    const T* from_x = static_cast<const T*>(a.x) + row * a.x_stride_row + begin;
    const T* from_gate = static_cast<const T*>(a.gate) + row * a.gate_stride_row + begin;
    const T* from_skip = static_cast<const T*>(a.skip) + row * a.skip_stride_row + begin;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      x[r][i] = Raw<T, N>{};
      if (i * team + lane >= packs) continue;
      x[r][i] = load_raw<N>(from_x + i * team * N);
      gate[r][i] = load_raw<N>(from_gate + i * team * N);
      if constexpr (kSkip) skip[r][i] = load_raw<N>(from_skip + i * team * N);
    }
  }
  float mean[kRuns], sums[2 * kRuns];
  held_sums<false, false, T>(x, a.subtract_mean, team, lane, packs, inverse_n, mean, sums, nullptr);
#pragma unroll
  for (int r = 0; r < kRuns; ++r) {
    const int64_t run = mine + r * teams;
    if (run >= runs.count) return;
    const int64_t row = runs.row_of(run), begin = (run - row * runs.groups) * a.width + lane * N;
    const float2 found = statistics(a, inverse_n, sums[2 * r], sums[2 * r + 1]);
    if (lane == 0) save(a, run, mean[r] + found.x, found.y);
    T* to = static_cast<T*>(a.y) + row * a.y_stride_row + begin;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (i * team + lane >= packs) continue;
      x[r][i].forget_floats();
      write_pack<T, W, kSkip>(a, begin + i * team * N, x[r][i], gate[r][i], skip[r][i], mean[r],
                              found, to + i * team * N);
    }
  }
}

// Any width and alignment: elements are read again from memory. Every thread writes only what it
// alone reads after the last barrier, so y may be x, gate or skip.
template <class T, class W, bool kBlock>
__global__ void __launch_bounds__(512) forward_again(const Args a, const Runs runs, int team) {
  __shared__ float scratch[3 * 32];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const float one = a.one_plus ? 1.0f : 0.0f;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * teams; first < runs.count;
       first += static_cast<int64_t>(gridDim.x) * teams) {
    const int64_t run = first + threadIdx.x / team, row = runs.row_of(run);
    const int64_t begin = (run - row * runs.groups) * a.width;
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
    const T* gate = static_cast<const T*>(a.gate) + row * a.gate_stride_row + begin;
    const T* skip = static_cast<const T*>(a.skip);
    const W* shift = static_cast<const W*>(a.shift_weight);
    T* y = static_cast<T*>(a.y) + row * a.y_stride_row + begin;
    for (int64_t i = lane; i < width; i += team) {
      const float scale = one + to_float(static_cast<const W*>(a.weight)[begin + i]);
      float u = (to_float(x[i]) - mean[0] - found.x) * found.y * scale;
      if (shift != nullptr) {
        const float c =
            skip == nullptr ? 1.0f : to_float(skip[row * a.skip_stride_row + begin + i]);
        u += to_float(shift[begin + i]) * c;
      }
      y[i] = from_float<T>(gate_at<T>(to_float(gate[i]), a.silu).value * u);
    }
    if constexpr (kBlock) __syncthreads();
  }
}

template <class T>
bool is_aligned(const Args& a) {
  return a.width % kPack<T> == 0 && is_packed<T>(a.x, a.x_stride_row) &&
         is_packed<T>(a.gate, a.gate_stride_row) && is_packed<T>(a.y, a.y_stride_row) &&
         (a.skip == nullptr || is_packed<T>(a.skip, a.skip_stride_row)) && is_packed<T>(a.weight) &&
         is_packed<T>(a.shift_weight);
}

template <class T, class W, bool kSkip>
void forward(const Args& a, const Runs& runs, cudaStream_t stream) {
  const int64_t packs = a.width / kPack<T>;
  const auto launch = [&](auto kernel, int threads, int team, int runs_each) {
    const int64_t per_block = threads / team * runs_each, most = 0x7fffffff;
    kernel<<<grid_for(runs.count, per_block, most), threads, 0, stream>>>(a, runs, team);
  };
  if (!is_aligned<T>(a) || packs > kMostGatedPacks) {
    if (a.width <= 1024) return launch(forward_again<T, W, false>, kWarpTeamThreads, 32, 1);
    const int threads = threads_for(a.width, 512);
    return launch(forward_again<T, W, true>, threads, threads, 1);
  }
  const int team = lanes_for(packs);
  const auto in_warps = [&](auto kernel, int runs_each) {
    launch(kernel, kWarpTeamThreads, team, runs_each);
  };
  if (packs <= 32) return in_warps(forward_held<T, W, kSkip, 1, 2>, 2);
  if (packs <= 64) return in_warps(forward_held<T, W, kSkip, 2, 2>, 2);
  if (packs <= 128) return in_warps(forward_held<T, W, kSkip, 4, 1>, 1);
  in_warps(forward_held<T, W, kSkip, 8, 1>, 1);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_norm_gated_fwd_cuda(const xlstm_norm_gated_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_norm_gated_fwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    if (args->rows * args->groups * args->width == 0) return XLSTM_OK;
    with_weight_type<T>(args->weight_dtype, [&](auto weight) {
      using W = typename decltype(weight)::type;
      const Args a(*args);
      const Runs runs(args->rows, args->groups);
      if (a.skip != nullptr) {
        forward<T, W, true>(a, runs, stream_of(exec));
      } else {
        forward<T, W, false>(a, runs, stream_of(exec));
      }
    });
    return launched();
  });
}
