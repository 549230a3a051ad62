// How threads share a run of a row: in a team, which is a part of a warp or whole warps; and the
// statistics of runs that teams have in registers.
#pragma once

#include "kernels/common/nd_index.cuh"
#include "kernels/common/values.cuh"
#include "kernels/norm/norm.h"

namespace xlstm::kernels {

// Threads of a block whose teams are parts of warps.
constexpr int kWarpTeamThreads = 128;

// Which row and group a run has.
struct Runs {
  int64_t count, groups;
  bool is_small;
  Divisor divisor;
  Runs(int64_t rows, int64_t n_groups)
      : count(rows * n_groups),
        groups(n_groups),
        is_small(count < (int64_t{1} << 31)),
        divisor(is_small ? n_groups : 1) {}
  __device__ int64_t row_of(int64_t run) const {
    return is_small ? divisor.quotient(static_cast<uint32_t>(run)) : run / groups;
  }
};

// Sums of K values over the team, in every one of its threads. A team is the block, or a power of
// two of neighbours in a warp; all threads of the warp take part. `scratch` holds 32 * K floats,
// free again after the next barrier.
template <bool kBlock, int K>
__device__ inline void team_sums(float (&x)[K], int team, float* scratch) {
  if constexpr (kBlock) {
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
    for (int k = 0; k < K; ++k) {
      x[k] = warp_sum(x[k]);
      if (lane == 0) scratch[k * 32 + warp] = x[k];
    }
    __syncthreads();
    const bool some = lane < static_cast<int>(blockDim.x / 32);
#pragma unroll
    for (int k = 0; k < K; ++k) x[k] = warp_sum(some ? scratch[k * 32 + lane] : 0.0f);
  } else {
    for (int lane = team / 2; lane > 0; lane /= 2)
#pragma unroll
      for (int k = 0; k < K; ++k) x[k] += __shfl_xor_sync(0xffffffffu, x[k], lane);
  }
}

// First means of the runs that a team holds, kHeld packs of each a thread, and the sums of x - mean
// and of its square. The mean is taken twice: the second time of x - mean, which repairs the
// rounding of a mean that is large beside the spread. kFull: runs have just as many packs; else
// those beyond are zeros.
template <bool kBlock, bool kFull, class T, int kHeld, int kRuns>
__device__ inline void held_sums(Raw<T, kPack<T>> (&x)[kRuns][kHeld], bool subtract_mean, int team,
                                 int lane, int packs, float inverse_n, float (&mean)[kRuns],
                                 float (&sums)[2 * kRuns], float* scratch) {
  constexpr int N = kPack<T>;
#pragma unroll
  for (int r = 0; r < kRuns; ++r) mean[r] = 0.0f;
  if (subtract_mean) {
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
#pragma unroll
  for (int r = 0; r < kRuns; ++r) {
    sums[2 * r] = sums[2 * r + 1] = 0.0f;
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
  }
  team_sums<kBlock>(sums, team, scratch + (kBlock ? 32 : 0));
}

// From the sums over the run of d and d^2, where d = x - first: the mean beyond `first`, and rstd.
template <class Args>
__device__ inline float2 statistics(const Args& a, float inverse_n, float sum, float squares) {
  const float shift = a.subtract_mean ? sum * inverse_n : 0.0f;
  const float variance = fmaxf(squares * inverse_n - shift * shift, 0.0f);
  // fmaxf would hide a NaN.
  const float kept = squares == squares ? variance : squares;
  return make_float2(shift, rsqrtf(kept + a.eps));
}

template <class Args>
__device__ inline void save(const Args& a, int64_t run, float mean, float rstd) {
  if (a.subtract_mean && a.mean != nullptr) static_cast<float*>(a.mean)[run] = mean;
  if (a.rstd != nullptr) static_cast<float*>(a.rstd)[run] = rstd;
}

// Lanes for a run of n pieces, at most a warp.
inline int lanes_for(int64_t n) {
  int lanes = 1;
  while (lanes < 32 && lanes < n) lanes *= 2;
  return lanes;
}
// Threads of a block for n pieces, at most `most`.
inline int threads_for(int64_t n, int most) {
  const int64_t threads = ceil_div(n, 32) * 32;
  return static_cast<int>(threads < most ? threads : most);
}

}  // namespace xlstm::kernels
