#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm_team.cuh"

namespace xlstm::kernels {
namespace {

// The arguments as kernels take them: above 128 bytes they would cost registers.
struct Args {
  int64_t width;
  float eps;
  bool subtract_mean, one_plus;
  const void *x, *residual, *weight, *bias;
  void *y, *sum, *mean, *rstd;
  int64_t x_stride_row, residual_stride_row, y_stride_row, sum_stride_row;
  explicit Args(const xlstm_norm_fwd_args& a)
      : width(a.width),
        eps(static_cast<float>(a.eps)),
        subtract_mean(a.subtract_mean != 0),
        one_plus(a.one_plus != 0),
        x(a.x),
        residual(a.residual),
        weight(a.weight),
        bias(a.bias),
        y(a.y),
        sum(a.sum),
        mean(a.mean),
        rstd(a.rstd),
        x_stride_row(a.x_stride_row),
        residual_stride_row(a.residual_stride_row),
        y_stride_row(a.y_stride_row),
        sum_stride_row(a.sum_stride_row) {}
};
static_assert(sizeof(Args) <= 128, "parameters of kernels");

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

// x + y, rounded to T as if it had been to memory.
template <class T, int N>
__device__ inline void add_rounded(Raw<T, N>& x, const Raw<T, N>& y) {
#pragma unroll
  for (int i = 0; i < Raw<T, N>::kHeld; ++i) {
    if constexpr (kInWords<T, N>) {
      x.held(i) = word_of(x[2 * i] + y[2 * i], x[2 * i + 1] + y[2 * i + 1], T{});
    } else {
      x.held(i) = from_float<T>(x[i] + y[i]);
    }
  }
}

// Blocks that share an SM at least: 64 KiB or more on their way.
constexpr int blocks_for(bool block, bool adds, bool full, int held, int runs) {
  if (block) return 1;
  if (adds) return held <= 4 ? 6 : held <= 8 ? 5 : 4;
  return runs > 1 ? 6 : held <= 8 ? 8 : full ? 5 : 4;
}

// A team has kRuns runs in registers at once, kHeld packs of each a thread; kFull: just as many as
// the run has. kAdds: x + residual is normalised and written to sum. Every thread writes only where
// it has read, so y and sum may be x and residual.
template <class T, class W, bool kAdds, bool kBlock, bool kFull, int kHeld, int kRuns>
__global__ void __launch_bounds__(kBlock ? 512 : kWarpTeamThreads,
                                  blocks_for(kBlock, kAdds, kFull, kHeld, kRuns))
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
                    (run - row * runs.groups) * a.width + lane * N;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (kFull || i * team + lane < packs) {
        x[r][i] = load_raw<N>(from + i * team * N);
      } else {
        x[r][i] = Raw<T, N>{};
      }
    }
  }
  if constexpr (kAdds) {
#pragma unroll
    for (int r = 0; r < kRuns; ++r) {
      const int64_t run = mine + r * teams < runs.count ? mine + r * teams : runs.count - 1;
      const int64_t row = runs.row_of(run);
      const T* from = static_cast<const T*>(a.residual) + row * a.residual_stride_row +
                      (run - row * runs.groups) * a.width + lane * N;
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        if (!kFull && i * team + lane >= packs) continue;
        add_rounded(x[r][i], load_raw<N>(from + i * team * N));
        x[r][i].forget_floats();
      }
    }
  }
  float mean[kRuns], sums[2 * kRuns];
  held_sums<kBlock, kFull, T>(x, a.subtract_mean, team, lane, packs, inverse_n, mean, sums,
                              scratch);
#pragma unroll
  for (int r = 0; r < kRuns; ++r) {
    const int64_t run = mine + r * teams;
    if (run >= runs.count) return;
    const int64_t row = runs.row_of(run), begin = (run - row * runs.groups) * a.width + lane * N;
    const float2 found = statistics(a, inverse_n, sums[2 * r], sums[2 * r + 1]);
    if (lane == 0) save(a, run, mean[r] + found.x, found.y);
    T* to = static_cast<T*>(a.y) + row * a.y_stride_row + begin;
    if constexpr (kAdds) {
      T* sum = static_cast<T*>(a.sum) + row * a.sum_stride_row + begin;
#pragma unroll
      for (int i = 0; i < kHeld; ++i)
        if (kFull || i * team + lane < packs) store_raw(sum + i * team * N, x[r][i]);
    }
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (!kFull && i * team + lane >= packs) continue;
      x[r][i].forget_floats();
      write_pack<T, W>(a, begin + i * team * N, x[r][i], mean[r], found, to + i * team * N);
    }
  }
}

// Any width and alignment: elements are read again from memory, and added again. Every thread
// writes only what it alone reads after the last barrier, so y and sum may be x and residual.
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
    const T* residual = a.residual == nullptr ? nullptr
                                              : static_cast<const T*>(a.residual) +
                                                    row * a.residual_stride_row + begin;
    const auto at = [&](int64_t i) {
      const float value = to_float(x[i]);
      return residual == nullptr ? value : to_float(from_float<T>(value + to_float(residual[i])));
    };
    float mean[1] = {};
    if (a.subtract_mean) {
      for (int64_t i = lane; i < width; i += team) mean[0] += at(i);
      team_sums<kBlock>(mean, team, scratch);
      mean[0] /= static_cast<float>(a.width);
    }
    float sums[2] = {};
    for (int64_t i = lane; i < width; i += team) {
      const float d = at(i) - mean[0];
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
      const float value = at(i), xhat = (value - mean[0] - found.x) * found.y;
      const float b = bias == nullptr ? 0.0f : to_float(bias[begin + i]);
      if (residual != nullptr)
        static_cast<T*>(a.sum)[row * a.sum_stride_row + begin + i] = from_float<T>(value);
      y[i] = from_float<T>(xhat * (one + to_float(weight[i])) + b);
    }
    if constexpr (kBlock) __syncthreads();
  }
}

template <class T>
bool is_aligned(const Args& a) {
  return a.width % kPack<T> == 0 && is_packed<T>(a.x, a.x_stride_row) &&
         is_packed<T>(a.y, a.y_stride_row) && is_packed<T>(a.weight) && is_packed<T>(a.bias) &&
         (a.residual == nullptr || (is_packed<T>(a.residual, a.residual_stride_row) &&
                                    is_packed<T>(a.sum, a.sum_stride_row)));
}

template <class T, class W, bool kAdds>
void forward(const Args& a, const Runs& runs, cudaStream_t stream) {
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
  // Runs too few to fill the card, as in decoding, take what is soonest done: a pack a thread.
  const bool few = packs > 64 && runs.count <= 256;
  if (packs > 512 || few) {
    const int threads = threads_for(few ? packs : ceil_div(packs, 4), 512);
    return launch(forward_held<T, W, kAdds, true, false, 4, 1>, threads, threads, 1);
  }
  const int team = lanes_for(packs);
  const auto in_warps = [&](auto kernel, int runs_each) {
    launch(kernel, kWarpTeamThreads, team, runs_each);
  };
  // Two arrays on their way need fewer runs at once.
  constexpr int kTwo = kAdds ? 1 : 2;
  if (packs == team) return in_warps(forward_held<T, W, kAdds, false, true, 1, 4>, 4);
  if (packs == 2 * team)
    return in_warps(forward_held<T, W, kAdds, false, true, 2, 2 * kTwo>, 2 * kTwo);
  if (packs == 3 * team) return in_warps(forward_held<T, W, kAdds, false, true, 3, kTwo>, kTwo);
  if (packs == 4 * team) return in_warps(forward_held<T, W, kAdds, false, true, 4, kTwo>, kTwo);
  if (packs == 8 * team) return in_warps(forward_held<T, W, kAdds, false, true, 8, 1>, 1);
  // Without its branches, the compiler would have more of two arrays on their way than fits.
  if constexpr (!kAdds)
    if (packs == 16 * team) return in_warps(forward_held<T, W, false, false, true, 16, 1>, 1);
  if (packs <= 128) return in_warps(forward_held<T, W, kAdds, false, false, 4, kTwo>, kTwo);
  in_warps(forward_held<T, W, kAdds, false, false, 16, 1>, 1);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_norm_fwd_cuda(const xlstm_norm_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_norm_fwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    if (args->rows * args->groups * args->width == 0) return XLSTM_OK;
    with_weight_type<T>(args->weight_dtype, [&](auto weight) {
      using W = typename decltype(weight)::type;
      const Args a(*args);
      const Runs runs(args->rows, args->groups);
      if (a.residual != nullptr) {
        forward<T, W, true>(a, runs, stream_of(exec));
      } else {
        forward<T, W, false>(a, runs, stream_of(exec));
      }
    });
    return launched();
  });
}
