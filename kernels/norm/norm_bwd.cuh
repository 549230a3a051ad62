// What the backward passes share: how rows are shared out to teams, their sums, and where those go.
#pragma once

#include "kernels/common/shared_memory.cuh"
#include "kernels/norm/norm_team.cuh"

namespace xlstm::kernels {

constexpr int kTeamThreads = 256;

// How a kernel holds rows: a thread has `packs` packs of each of `rows` rows at once, and as many
// of the rounds to come on their way to shared memory. A block has at most `threads` threads, and
// `blocks` of them share an SM.
struct HeldShape {
  int packs, rows, threads, blocks;
};

// How rows and groups are shared out, a function of the sizes alone. A block has teams of `lanes`
// threads, a part of a warp or whole warps: team k has group k % groups and the k / groups-th part
// of the rows of a round. Blocks own neighbouring rows, as many as fill 132 SMs at once.
struct RowPlan {
  HeldShape shape;
  int lanes, groups, teams_of_rows;
  int64_t rows_each, count, height;

  int threads() const { return lanes * groups * teams_of_rows; }

  template <class Args>
  RowPlan(const Args& a, const HeldShape& of, int64_t elements_per_pack) : shape(of) {
    constexpr int64_t kSms = 132;
    const int64_t packs = ceil_div(a.width, elements_per_pack);
    const int64_t slots = ceil_div(packs, shape.packs);
    lanes = slots <= 32 ? lanes_for(slots) : threads_for(slots, shape.threads);
    const int teams = lanes < kTeamThreads ? kTeamThreads / lanes : 1;
    groups = 1;
    while (groups * 2 <= teams && groups < a.groups) groups *= 2;
    teams_of_rows = teams / groups;
    height = a.groups > 0 ? ceil_div(a.groups, groups) : 1;
    const int64_t at_once = kSms * (shape.blocks * shape.threads / threads());
    const int64_t most = at_once > height ? at_once / height : 1;
    const int64_t round = shape.rows * teams_of_rows;
    rows_each = ceil_div(ceil_div(a.rows, most), round) * round;
    if (rows_each < round) rows_each = round;
    count = ceil_div(a.rows, rows_each);
  }
};

template <class Args>
__device__ inline float mean_of(const Args& a, int64_t at) {
  return a.subtract_mean ? static_cast<const float*>(a.mean)[at] : 0.0f;
}
template <class Args>
__device__ inline float rstd_of(const Args& a, int64_t at) {
  return static_cast<const float*>(a.rstd)[at];
}

// Sums of K values (a power of two) over teams of whole warps, in every thread: K values cost
// hardly more than one, for every exchange leaves a lane with half as many. All threads of the
// block take part; `scratch` holds K floats for each of 16 warps, free again after the next
// barrier.
template <int K>
__device__ inline void wide_team_sums(float (&x)[K], int lanes, float* scratch) {
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
#pragma unroll
  for (int n = K / 2, mask = 16; n > 0; n /= 2, mask /= 2) {
    const bool upper = (lane & mask) != 0;
#pragma unroll
    for (int k = 0; k < n; ++k) {
      const float given = upper ? x[k] : x[k + n], kept = upper ? x[k + n] : x[k];
      x[k] = kept + __shfl_xor_sync(0xffffffffu, given, mask);
    }
  }
  // kShare lanes have the same value now, the lane / kShare-th.
  constexpr int kShare = 32 / K;
  float sum = x[0];
#pragma unroll
  for (int mask = kShare / 2; mask > 0; mask /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
  if (lanes > 32) {
    if (lane % kShare == 0) scratch[warp * K + lane / kShare] = sum;
    __syncthreads();
    const int team_warps = lanes / 32, first = warp / team_warps * team_warps;
    sum = 0.0f;
    for (int w = lane % kShare; w < team_warps; w += kShare)
      sum += scratch[(first + w) * K + lane / kShare];
#pragma unroll
    for (int mask = kShare / 2; mask > 0; mask /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
  }
#pragma unroll
  for (int k = 0; k < K; ++k) x[k] = __shfl_sync(0xffffffffu, sum, k * kShare);
}

// Sums of a block's teams that share a group, written by the first of them.
template <int kHeld, int N, class Args>
__device__ inline void write_sums(const float (&sum)[kHeld][N], const Args& a, const RowPlan& plan,
                                  int64_t group, int lane, int packs, float* shared, float* out) {
  const int team = static_cast<int>(threadIdx.x) / plan.lanes;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    float total[N];
#pragma unroll
    for (int j = 0; j < N; ++j) total[j] = sum[i][j];
    if (plan.teams_of_rows > 1) {
      __syncthreads();
#pragma unroll
      for (int j = 0; j < N; ++j) shared[j * blockDim.x + threadIdx.x] = sum[i][j];
      __syncthreads();
      if (team < plan.groups) {
        for (int k = 1; k < plan.teams_of_rows; ++k)
#pragma unroll
          for (int j = 0; j < N; ++j)
            total[j] += shared[j * blockDim.x + threadIdx.x + k * plan.groups * plan.lanes];
      }
    }
    const int pack = i * plan.lanes + lane;
    if (team < plan.groups && group < a.groups && pack < packs)
      store_values<N>(out + group * a.width + pack * N, total);
  }
}

// The gradient of runs of at most kNarrow elements. With one or two elements nearly all of it
// cancels: what remains is eps * rstd^2 of the terms, which a rounded rstd no longer holds. So the
// statistics are taken again, and all is in double. Of the elements x and g = dy * scale of a run,
// g becomes the gradient.
constexpr int kNarrow = 4;
template <class Args>
__device__ inline void narrow_gradient(const Args& a, double (&x)[kNarrow], double (&g)[kNarrow]) {
  const int width = static_cast<int>(a.width);
  const double n = width;
  double mean = 0, variance = 0, shift = 0, slope = 0;
#pragma unroll
  for (int i = 0; i < kNarrow; ++i)
    if (i < width && a.subtract_mean) mean += x[i] / n, shift += g[i] / n;
#pragma unroll
  for (int i = 0; i < kNarrow; ++i) {
    if (i >= width) continue;
    x[i] -= mean;
    variance += x[i] * x[i] / n;
    slope += g[i] * x[i] / n;
  }
  const double rstd = 1.0 / sqrt(variance + a.eps);
#pragma unroll
  for (int i = 0; i < kNarrow; ++i) g[i] = rstd * (g[i] - shift - x[i] * (rstd * rstd * slope));
}

// Where the sum of a column goes, of two sums or of the one that is wanted: [n_sums][D].
template <class W>
struct SumPlace {
  W *first, *second;
  int64_t D;
  __device__ W* operator()(int64_t i) const {
    if (first != nullptr && i < D) return first + i;
    return second + (first != nullptr ? i - D : i);
  }
};

}  // namespace xlstm::kernels
