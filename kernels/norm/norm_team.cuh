// How threads share a run of a row: in a team, which is a part of a warp or whole warps.
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
