// What the CUDA kernels of the sLSTM share: the cell on pairs of units, what is saved for the
// backward, fragments of R, and how the entry points call the kernels.
#pragma once

#include "kernels/common/mma.cuh"
#include "kernels/slstm/slstm.h"
#include "kernels/slstm/slstm_cell.h"

namespace xlstm::kernels {

// ---- the functions that slstm_cell.h asks for ----

struct SlstmExactMath {
  __device__ static float exp_of_nonpositive(float x) { return expf(x); }
  __device__ static float log1p_of_fraction(float x) { return log1pf(x); }
  __device__ static float tanh(float x) { return tanhf(x); }
  __device__ static float divide(float a, float b) { return a / b; }
};

// Absolute errors around 1e-7: far below the rounding of wx in a short type.
struct SlstmFastMath {
  __device__ static float exp_of_nonpositive(float x) { return __expf(x); }
  __device__ static float log1p_of_fraction(float x) { return __logf(1.0f + x); }
  __device__ static float tanh(float x) {
    const float t = __expf(-2.0f * fabsf(x));
    return copysignf(__fdividef(1.0f - t, 1.0f + t), x);
  }
  __device__ static float divide(float a, float b) { return __fdividef(a, b); }
};

template <class T>
struct SlstmMathOf {
  using type = SlstmFastMath;
};
template <>
struct SlstmMathOf<float> {
  using type = SlstmExactMath;
};

// ---- the state of two neighbouring units of one row, and one step of it ----

struct SlstmPair {
  float h[2], c[2], n[2], m[2];
};

// Elements `at` and at + 1 of a state, the second only if `both`; null: zeros.
__device__ inline void slstm_load_state(float (&x)[2], const void* state, int64_t at, bool both) {
  const float* p = static_cast<const float*>(state);
  x[0] = p == nullptr ? 0.0f : p[at];
  x[1] = p == nullptr || !both ? 0.0f : p[at + 1];
}
__device__ inline void slstm_store_state(void* state, int64_t at, bool both, const float (&x)[2]) {
  if (state == nullptr) return;
  static_cast<float*>(state)[at] = x[0];
  if (both) static_cast<float*>(state)[at + 1] = x[1];
}

// NaN stays NaN.
__device__ inline float slstm_clamp(float x, float clip) {
  const float y = x > clip ? clip : x;
  return y < -clip ? -clip : y;
}
__host__ __device__ inline float slstm_clip_of(double clip) {
  return clip > 0 ? static_cast<float>(clip) : INFINITY;
}

// Saved for the backward, [H, T, B, groups of 8 units, 6, 8] of float: c, n, q, z, o, sigmoid(-g_f)
// of every unit. One of i' and f' is 1. q is f' if f' < 1, else i' with its sign bit set.
constexpr int kSlstmSaved = 6;
constexpr int kSlstmSavedUnits = 8;  // a group's; from one of a unit's numbers to the next
__host__ __device__ inline int64_t slstm_saved_width(int64_t D) {
  return (D + kSlstmSavedUnits - 1) / kSlstmSavedUnits * kSlstmSavedUnits;
}
// The place of a unit's first number.
__host__ __device__ inline int64_t slstm_saved_at(int64_t B, int64_t T, int64_t D, int64_t h,
                                                  int64_t t, int64_t b, int64_t unit) {
  return ((h * T + t) * B + b) * kSlstmSaved * slstm_saved_width(D) +
         unit / kSlstmSavedUnits * (kSlstmSaved * kSlstmSavedUnits) + unit % kSlstmSavedUnits;
}

// Gates of both units in order i, f, z, o; x: what is to be saved.
template <class Math>
__device__ inline void slstm_step_pair(SlstmPair& s, const float (&g)[4][2], float clip,
                                       float (&x)[kSlstmSaved][2]) {
#pragma unroll
  for (int e = 0; e < 2; ++e) {
    const SlstmStep<float> next =
        slstm_cell_forward<float, Math>(g[0][e], g[1][e], g[2][e], g[3][e], s.c[e], s.n[e], s.m[e]);
    x[0][e] = s.c[e] = next.c;
    x[1][e] = s.n[e] = next.n;
    s.m[e] = next.m;
    s.h[e] = slstm_clamp(next.h, clip);
    x[2][e] = next.f < 1.0f ? next.f : -next.i;
    x[3][e] = next.z;
    x[4][e] = next.o;
    x[5][e] = next.one_minus_sig_f;
  }
}
// `to`: the place of the first unit, an even one, so both are of one group.
__device__ inline void slstm_save_pair(float* to, const float (&x)[kSlstmSaved][2]) {
#pragma unroll
  for (int i = 0; i < kSlstmSaved; ++i)
    *reinterpret_cast<float2*>(to + i * kSlstmSavedUnits) = make_float2(x[i][0], x[i][1]);
}

// One step back for one unit: x holds the saved six, dh the whole gradient of h_t.
template <class Math>
__device__ inline SlstmStepGrad<float> slstm_step_back(const float (&x)[kSlstmSaved],
                                                       float c_before, float n_before, float dh,
                                                       float dc, float dn) {
  SlstmStep<float> s;
  s.c = x[0];
  s.n = x[1];
  s.i = signbit(x[2]) ? -x[2] : 1.0f;
  s.f = signbit(x[2]) ? 1.0f : x[2];
  s.z = x[3];
  s.o = x[4];
  s.one_minus_sig_f = x[5];
  return slstm_cell_backward<float, Math>(s, c_before, n_before, dh, dc, dn);
}

// ---- R as fragments ----
//
// The tensor cores' left operand, 16 x 16 elements of R_h (transposed forward) as one uint4 per
// lane, laid out [H, groups of 16 units, K / 16, tiles, 32 lanes]. Forward: 4 tiles, 2 u + p
// holding the gates 2 p (rows 0-7) and 2 p + 1 (rows 8-15) of the units 2 r + u of the group; K =
// units of h, so that a lane's sums are all four gates of two neighbouring units. Backward: 1 tile,
// row r of unit 2 r, row 8 + r of unit 2 r + 1; K = 4 gates of `gate_width` elements of dg each.
// Everything beyond D is zero.
struct SlstmFragments {
  int64_t groups, k_tiles, gate_width;  // gate_width only backward
  int64_t bytes(int64_t H, bool backward) const {
    return H * groups * k_tiles * (backward ? 1 : 4) * 512;
  }
};
xlstm_status slstm_pack_fragments(const void* R, xlstm_dtype weight_dtype, xlstm_dtype dtype,
                                  int64_t H, int64_t D, const SlstmFragments& shape, bool backward,
                                  void* to, cudaStream_t stream);

// The same for the kernels of slstm_cluster.cuh. Forward: groups of 8 units and 2 tiles; tile p has
// the gates 2 p (rows 0-7) and 2 p + 1 (rows 8-15) of the group. Backward: groups of 16 units in
// their order and 1 tile; K runs over groups of 8 units, then gates, then units of the group.
struct SlstmGroupFragments {
  int64_t groups, k_tiles;
  int64_t bytes(int64_t H, bool backward) const {
    return H * groups * k_tiles * (backward ? 1 : 2) * 512;
  }
};
xlstm_status slstm_pack_groups(const void* R, xlstm_dtype weight_dtype, xlstm_dtype dtype,
                               int64_t H, int64_t D, const SlstmGroupFragments& shape,
                               bool backward, void* to, cudaStream_t stream);

// ---- the kernels; all arguments have been checked, B, H, D > 0 ----

constexpr int64_t slstm_round(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

// Sizes in bytes are multiples of 256. `dwx`: where the backward leaves the gradients of the gates:
// the caller's, or workspace with the strides in the args.
bool slstm_small_fits(xlstm_dtype dtype, int64_t D);
int64_t slstm_small_workspace(int64_t H, int64_t D);  // both directions
xlstm_status slstm_small_fwd(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream);
xlstm_status slstm_small_bwd(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream);

// Clusters of Hopper. Sizes, types and alignment; whether the card has such clusters.
bool slstm_cluster_fwd_fits(const xlstm_slstm_fwd_args& a);
bool slstm_cluster_bwd_fits(const xlstm_slstm_bwd_args& a);
int64_t slstm_cluster_fwd_workspace(const xlstm_slstm_fwd_args& a);
int64_t slstm_cluster_bwd_workspace(const xlstm_slstm_bwd_args& a);
xlstm_status slstm_cluster_fwd(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream);
xlstm_status slstm_cluster_bwd(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream);

// Whether the card can hold a head's blocks all at once.
bool slstm_spread_fwd_fits(const xlstm_slstm_fwd_args& a);
bool slstm_spread_bwd_fits(const xlstm_slstm_bwd_args& a);
int64_t slstm_spread_fwd_workspace(const xlstm_slstm_fwd_args& a);
int64_t slstm_spread_bwd_workspace(const xlstm_slstm_bwd_args& a);
xlstm_status slstm_spread_fwd(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream);
xlstm_status slstm_spread_bwd(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream);

int64_t slstm_step_workspace(int64_t B, int64_t H, int64_t D);
xlstm_status slstm_step_fwd(const xlstm_slstm_fwd_args& a, void* workspace, cudaStream_t stream);
// dwx must be there.
xlstm_status slstm_step_bwd(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream);

// dR and dbias from h and the gradients of the gates; on Hopper where rows lie 16 bytes apart the
// parts of their sums, [parts, H, D, 4 D] and [parts, H, 4 D] (or null), as many as the sizes say;
// 0: not there.
int64_t slstm_weight_grad_hopper_parts(const xlstm_slstm_bwd_args& a);
xlstm_status slstm_weight_grad_hopper(const xlstm_slstm_bwd_args& a, float* dR_parts,
                                      float* dbias_parts, cudaStream_t stream);
int64_t slstm_weight_grad_workspace(const xlstm_slstm_bwd_args& a);
xlstm_status slstm_weight_grad(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream);

}  // namespace xlstm::kernels
