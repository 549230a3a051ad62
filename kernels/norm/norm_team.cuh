// How threads share a run of a row: in a team, which is a part of a warp or the whole block.
#pragma once

#include "kernels/common/values.cuh"
#include "kernels/norm/norm.h"

namespace xlstm::kernels {

// Threads of a block whose teams are parts of warps.
constexpr int kWarpTeamThreads = 128;

// Sums over the team in every one of its threads. A team in a warp is a power of two of neighbours;
// all threads of the warp take part. `scratch` holds 64 floats, free again after the next barrier.
template <bool kBlock>
__device__ inline float2 team_sum(float2 x, int team, float* scratch) {
  if constexpr (kBlock) {
    x = make_float2(warp_sum(x.x), warp_sum(x.y));
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    if (lane == 0) scratch[warp] = x.x, scratch[32 + warp] = x.y;
    __syncthreads();
    const bool some = lane < static_cast<int>(blockDim.x / 32);
    return make_float2(warp_sum(some ? scratch[lane] : 0.0f),
                       warp_sum(some ? scratch[32 + lane] : 0.0f));
  } else {
    for (int lane = team / 2; lane > 0; lane /= 2) {
      x.x += __shfl_xor_sync(0xffffffffu, x.x, lane);
      x.y += __shfl_xor_sync(0xffffffffu, x.y, lane);
    }
    return x;
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
