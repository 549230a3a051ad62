// What the kernels for Hopper share: how a head is cut into groups of units and its batch into
// rows, tiles of 8 units by 8 rows as the tensor cores hold them, and one cell with few
// instructions.
//
// A head's units come in groups of 8, and the blocks of a cluster share the groups of one head and
// `rows` rows of the batch, 8 or 4, over all of time. What belongs to a group and its rows is a
// tile: an 8x8 matrix in shared memory with a row of 16 bytes for every row of the batch. Lane l of
// a warp holds unit l / 4 of it, of rows 2 (l % 4) and the next in one register, which is how
// products leave their sums, and how ldmatrix and stmatrix (transposed) read and write the tile.
//
// With 4 rows the 8 columns of a product are these rows, each twice; a lane has the same row l % 4
// in both halves and computes one cell instead of two. That is for small batches: a step then is
// short of time, not of processors.
#pragma once

#include "kernels/common/hopper.cuh"
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {

constexpr int kGroupUnits = 8;

// How a launch is cut; from the sizes alone.
struct ClusterPlan {
  int blocks;            // of a cluster: 1, 2, 4, 8 or 16
  int rows;              // of the batch per cluster: 4 or 8
  int groups;            // of the head
  int groups_per_block;  // the last blocks of a cluster may have fewer
  int used_blocks;       // that have any
  int64_t tiles;         // of the batch
  int64_t grid(int64_t H) const { return tiles * H * blocks; }
};

// What a lane has of a tile.
template <int kRows>
struct TileLane {
  static_assert(kRows == 8 || kRows == 4);
  static constexpr int kCells = kRows / 4;
  static constexpr int kTileBytes = kRows * 16;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  __device__ int unit() const { return lane / 4; }
  __device__ int row(int cell) const { return lane % 4 * kCells + cell; }
  // The row that this lane points ldmatrix and stmatrix at, within the matrix lane / 8.
  __device__ int matrix_row() const { return lane % 8 * kRows / 8; }
};

// The two halves of a register as the cells of this lane; with one cell both halves are it.
template <class T, int kCells>
__device__ inline void unpack_cells(uint32_t bits, float (&x)[kCells]) {
  const float2 pair = unpacked_pair<T>(bits);
  x[0] = pair.x;
  if constexpr (kCells == 2) x[1] = pair.y;
}
template <class T, int kCells>
__device__ inline uint32_t pack_cells(const float (&x)[kCells]) {
  return packed_pair<T>(x[0], x[kCells - 1]);
}

// slstm_cell_forward in the fewest instructions of the special function unit, which limits a block:
// seven instead of ten, because the reciprocals of z and f are one, and those of o and 1 / n. All
// factors lie between 1 and 2, but for n, which is at least min(1, n_init).
struct CellState {
  float c, n, m;
};
// Returns h before any clamp; x: what is to be saved.
__device__ inline float cluster_cell_forward(CellState& s, float g_i, float g_f, float g_z,
                                             float g_o, float (&x)[kSlstmSaved]) {
  using namespace hopper;
  constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;
  const float e_f = exp2_fast(fabsf(g_f) * -kLog2E), one_e_f = 1.0f + e_f;
  const float e_z = exp2_fast(fabsf(g_z) * (-2 * kLog2E)), one_e_z = 1.0f + e_z;
  const float e_o = exp2_fast(fabsf(g_o) * -kLog2E), one_e_o = 1.0f + e_o;
  const float l = fmaf(log2_fast(one_e_f), -kLn2, s.m + fminf(g_f, 0.0f));
  const float d = g_i - l;
  const float q = exp2_fast(fabsf(d) * -kLog2E);
  const float inv_fz = reciprocal_fast(one_e_f * one_e_z);
  const float z = copysignf((1.0f - e_z) * (inv_fz * one_e_f), g_z);
  const bool rises = d >= 0, takes_input = rises || s.n == 0;
  const float i = takes_input ? 1.0f : q, f = rises ? q : 1.0f;
  s.m = takes_input ? g_i : l;
  s.c = fmaf(f, s.c, i * z);
  s.n = fmaf(f, s.n, i);
  const float inv_on = (g_o < 0 ? e_o : 1.0f) * reciprocal_fast(one_e_o * s.n);
  x[0] = s.c;
  x[1] = s.n;
  x[2] = f < 1.0f ? f : -i;
  x[3] = z;
  x[4] = inv_on * s.n;
  x[5] = (g_f < 0 ? 1.0f : e_f) * (inv_fz * one_e_z);
  return s.c * inv_on;
}

// The gradients of the four pre-activations; dc and dn become those of the state before the step.
// x: the saved six, `recip_n` one over the second of them.
struct CellGrad {
  float dc, dn;
};
__device__ inline void cluster_cell_backward(CellGrad& s, const float (&x)[kSlstmSaved],
                                             float recip_n, float c_before, float n_before,
                                             float dh, float (&dg)[4]) {
  const float i = signbit(x[2]) ? -x[2] : 1.0f, f = signbit(x[2]) ? 1.0f : x[2];
  const float z = x[3], o = x[4], o_over_n = o * recip_n, h = o_over_n * x[0];
  const float dc = fmaf(dh, o_over_n, s.dc), dn = fmaf(-dh, h * recip_n, s.dn);
  dg[0] = i * fmaf(z, dc, dn);
  dg[1] = f * x[5] * fmaf(c_before, dc, n_before * dn);
  dg[2] = i * ((1.0f - z) * (1.0f + z)) * dc;
  dg[3] = dh * (h * (1.0f - o));
  s.dc = f * dc;
  s.dn = f * dn;
}

// ---- the kernels, one set per type ----

struct ClusterForwardArgs {
  xlstm_slstm_fwd_args a;
  ClusterPlan plan;
  const uint4* fragments;  // [H, groups of the cluster, steps of 16 units of h, 2, 32]
  float clip;              // of h; infinity: none
};

template <class T>
SlstmGroupFragments slstm_cluster_fwd_fragments(int64_t D, const ClusterPlan& plan);
// Whether the card can hold one cluster.
template <class T>
bool slstm_cluster_fwd_resident(int64_t H, int64_t D, const ClusterPlan& plan);
template <class T>
xlstm_status slstm_cluster_fwd_launch(const ClusterForwardArgs& args, cudaStream_t stream);

struct ClusterBackwardArgs {
  xlstm_slstm_bwd_args a;
  ClusterPlan plan;
  const uint4* fragments;  // [H, tiles of 16 units, steps of 16 gates, 32]
  float clip;              // of the carried gradient of h; infinity: none
};
template <class T>
SlstmGroupFragments slstm_cluster_bwd_fragments(int64_t D, const ClusterPlan& plan);
template <class T>
bool slstm_cluster_bwd_resident(int64_t H, int64_t D, const ClusterPlan& plan);
template <class T>
xlstm_status slstm_cluster_bwd_launch(const ClusterBackwardArgs& args, cudaStream_t stream);

}  // namespace xlstm::kernels
