// Sweeps over the chunks of a head with the state in registers, for Hopper. Internal to this
// folder; README.md has the algorithm.
#pragma once

#include <cuda.h>

#include "kernels/mlstm/mlstm_cuda.cuh"

namespace xlstm::kernels::mlstm {

constexpr int kSweepChunk = 64;        // steps
constexpr int kAnchorChunks = 8;       // chunks from one kept state to the next
constexpr int64_t kMostColumns = 512;  // of the state, in a pass

// How the blocks of a sweep share the state of a head: warpgroups with 64 rows each and `panels` of
// 64 columns; `split`: with the same rows, and each half of the columns.
struct SweepPlan {
  int warpgroups, panels;
  bool split;
  int64_t slices, passes;
  // For a state of M rows and N columns; more than kMostColumns are taken in passes.
  SweepPlan(int64_t M, int64_t N);
  int row_blocks() const { return split ? 1 : warpgroups; }
  // Pieces in which sums over rows arrive, and inner products of a pass.
  int64_t product_parts() const { return slices * row_blocks(); }
  int64_t inner_parts() const { return slices * warpgroups * 4; }
  // Into how many segments a sequence is cut, and the chunks of each: one where there are blocks
  // enough without.
  int64_t segments(int64_t heads, int64_t chunks) const;
  int64_t segment_chunks(int64_t heads, int64_t chunks) const;
  // The registers of a head's state in 16 bits, and with its vector in float32: of a pass.
  int64_t anchor_words() const { return slices * warpgroups * panels * 16 * 128; }
  int64_t part_floats() const { return slices * warpgroups * (panels * 32 + 2) * 128; }
};

// One output of a sweep, which is (scores P U^T, weighted by the gates) times A, plus P times the
// state X; the state takes up A^T U. All are tensors of steps; rows of the state are the columns of
// A and the output ("M"), its columns those of P and U ("N").
//
// | output | P  | U  | A  | state | M | N | time     |
// | h      | q  | k  | v  | C^T   | V | K | forward  |
// | dq     | dh | v  | k  | C     | K | V | forward  |
// | dk     | v  | dh | q  | dC    | K | V | backward |
// | dv     | k  | q  | dh | dC^T  | V | K | backward |
//
// All but 1 / N is linear in P and U: of more than kMostColumns a sweep passes over so many at a
// time, and its outputs add up.
struct SweepArgs {
  CUtensorMap p, u, a, out, factor;  // factor: dq: q, dk: k
  int64_t heads, H, T, M, N;
  GateVectors gates;
  bool normalize;
  float query_scale, eps;
  // Elements (m, n) of states in float32 [heads, K, V] are m * stride_m + n * stride_n on.
  int64_t stride_m, stride_n, state_pitch;  // state_pitch: from head to head
  int64_t vector_pitch;                     // the same of the n of h
  const float *X_first, *s_first;           // or null: zero
  float *X_last, *s_last;                   // or null
  float* saved_l;                           // h, or null
  // Gradients: [heads, steps].
  const float *inv_n, *dl, *q_scale, *q_vector_scale;
  float* products;  // dq, dk: [parts, heads, steps] sums of factor times output
  // Segments of the sequence, in the order of the sweep, that blocks walk side by side: first, with
  // states_only, all but the last from a zero state, which leaves parts; then each from the state
  // that the parts before it make. Parts are registers as they stand, and [heads, segments - 1, N]
  // for the n of h.
  int segments, segment_chunks;
  bool states_only;
  bool beside;  // the sweep launched before, whose results it does not read: its blocks fill what
                // that one's last ones leave idle
  float *X_parts, *s_parts;
  // Passes: the sums of outputs so far, registers as they stand; of l of h, [heads, steps].
  int pass, n_passes;
  float *out_sums, *l_before, *l_after;
  // The last pass may have fewer columns, but its blocks are those of the others.
  SweepPlan plan() const { return SweepPlan(M, n_passes > 1 ? kMostColumns : N); }
  // States after every kAnchorChunks-th chunk and the last one, of dq for dk; registers as they
  // stand. dk: <C, dC> + <n, dn> there, in parts: [parts, heads, anchors].
  uint32_t* anchors;
  float *anchor_vectors, *inner;
  int64_t n_anchors;
};

// Room for the parts of a sweep over a state of M rows and N columns: of segments, and of passes.
struct SweepParts {
  float *X = nullptr, *s = nullptr;
  float *out_sums = nullptr, *l_sums[2] = {}, *zeros = nullptr;
  SweepParts() = default;
  SweepParts(Scratch& scratch, int64_t heads, int64_t chunks, int64_t M, int64_t N) {
    const SweepPlan plan(M, N);
    const int64_t n = heads * (plan.segments(heads, chunks) - 1);
    X = scratch.take<float>(n * plan.part_floats());
    s = scratch.take<float>(n * std::min(N, kMostColumns));
    const int64_t steps = plan.passes > 1 ? heads * chunks * kSweepChunk : 0;
    out_sums = scratch.take<float>(steps * plan.slices * 64);
    for (float** p : {&l_sums[0], &l_sums[1], &zeros}) *p = scratch.take<float>(steps);
  }
};

// A tensor of steps [B, T, H, width].
struct StepTensor {
  const void* data;
  xlstm_mlstm_stride stride;
  int64_t width;
};

// What all sweeps of a call share; rows_are_keys: M is K, as for dq and dk.
SweepArgs sweep_args(const xlstm_mlstm_config& c, const GateVectors& gates, bool rows_are_keys);
// The tensor, or `columns` of it from the given one on, for the copy engine; false if it cannot
// address it.
bool make_map(CUtensorMap* map, const xlstm_mlstm_config& c, const StepTensor& x);
bool make_map(CUtensorMap* map, const xlstm_mlstm_config& c, const StepTensor& x, int64_t column,
              int64_t columns);

// Whether the call is made by sweeps: if they were asked for, or nothing was and they are faster.
bool is_resident(const xlstm_mlstm_fwd_args& args);
bool is_resident(const xlstm_mlstm_bwd_args& args);
// Whether sweeps compute these on the current device.
bool resident_takes(const xlstm_mlstm_fwd_args& args);
bool resident_takes(const xlstm_mlstm_bwd_args& args);
// `gates`: of chunks of kSweepChunk steps; `n`: room for n of all heads where that of the end
// replaces that of the beginning.
xlstm_status resident_forward(const xlstm_mlstm_fwd_args& args, const GateVectors& gates, float* n,
                              const SweepParts& parts, xlstm_exec exec);

template <class T, Output kOutput>
xlstm_status sweep(const SweepArgs& args, xlstm_exec exec);

// One pass, in segments where that fills the card.
template <class T, Output kOutput>
xlstm_status sweep_segments(SweepArgs args, xlstm_exec exec) {
  const SweepPlan plan = args.plan();
  const int64_t chunks = args.gates.chunks;
  args.segment_chunks = static_cast<int>(plan.segment_chunks(args.heads, chunks));
  args.segments = static_cast<int>(plan.segments(args.heads, chunks));
  xlstm_status status = XLSTM_OK;
  if (args.segments > 1) {
    args.states_only = true;
    status = sweep<T, kOutput>(args, exec);
    args.states_only = args.beside = false;
  }
  return status == XLSTM_OK ? sweep<T, kOutput>(args, exec) : status;
}

// The whole sweep over P and U; `args` has everything else.
template <class T, Output kOutput>
xlstm_status sweep_all(const SweepArgs& args, const xlstm_mlstm_config& c, const StepTensor& p,
                       const StepTensor& u, const SweepParts& parts, xlstm_exec exec) {
  const SweepPlan plan(args.M, args.N);
  constexpr bool kHasVector = kOutput == Output::kDq || kOutput == Output::kDk;
  if (plan.passes > 1 && kHasVector &&
      cudaMemsetAsync(parts.zeros, 0, args.heads * args.gates.steps * sizeof(float),
                      stream_of(exec)) != cudaSuccess)
    return XLSTM_DEVICE_ERROR;
  for (int pass = 0; pass < plan.passes; ++pass) {
    SweepArgs a = args;
    const int64_t column = pass * kMostColumns;
    a.N = std::min(args.N - column, kMostColumns);
    if (!make_map(&a.p, c, p, column, a.N) || !make_map(&a.u, c, u, column, a.N))
      return XLSTM_DEVICE_ERROR;
    a.pass = pass;
    a.n_passes = static_cast<int>(plan.passes);
    a.beside = args.beside && pass == 0;
    a.X_parts = parts.X;
    a.s_parts = parts.s;
    a.out_sums = parts.out_sums;
    a.l_before = parts.l_sums[(pass + 1) % 2];
    a.l_after = parts.l_sums[pass % 2];
    if (a.X_first != nullptr) a.X_first += column * args.stride_n;
    if (a.X_last != nullptr) a.X_last += column * args.stride_n;
    a.anchors += pass * args.heads * args.n_anchors * plan.anchor_words();
    a.inner += pass * args.heads * args.n_anchors * plan.inner_parts();
    if (kOutput == Output::kH) {
      if (a.s_first != nullptr) a.s_first += column;
      if (a.s_last != nullptr) a.s_last += column;
    } else if (kHasVector && pass > 0) {  // the first one gives the share of the vector
      a.dl = a.q_vector_scale = parts.zeros;
      if (kOutput == Output::kDk) a.s_first = a.s_last = nullptr;
    }
    const xlstm_status status = sweep_segments<T, kOutput>(a, exec);
    if (status != XLSTM_OK) return status;
  }
  return XLSTM_OK;
}

}  // namespace xlstm::kernels::mlstm
