// The backward of the cells of a warp's groups of 8 units, one group or two neighbours, and its
// rows: what they read, their state, the gradients of their gates. The kernels that sum over the
// gates use it.
#pragma once

#include "kernels/slstm/slstm_cluster_launch.cuh"

namespace xlstm::kernels {
namespace {

template <class T, int kRows, int kGroups>
struct BackwardCells {
  using Lane = TileLane<kRows>;
  static constexpr int kCells = Lane::kCells, kTileBytes = Lane::kTileBytes;
  // A step in shared memory: rows of what is saved, then a tile of dh a group. Two steps are read,
  // the others are on their way. The rows of neighbouring lanes lie 8 or 24 banks apart, modulo 32:
  // no two lanes meet at one.
  static constexpr int kSlots = 6;
  static constexpr int kNumbers = kSlstmSaved * kSlstmSavedUnits;  // of a row and group
  static constexpr int kRowBytes = kGroups * kNumbers * 4 + 32 / kCells;
  static constexpr int kSavedBytes = kRows * kRowBytes;
  static constexpr int kSlotBytes = kSavedBytes + kGroups * kTileBytes;
  static constexpr int kRingBytes = kSlots * kSlotBytes;
  // Pieces of 16 bytes of what is saved of a row; lanes that share a row.
  static constexpr int kPieces = kGroups * kNumbers / 4, kLanes = 32 / kRows;

  const xlstm_slstm_bwd_args& a;
  const Lane at;
  const int n_rows, n_groups;
  const int64_t state_at;  // of this lane's first cell in a state; the second is a row on
  CellGrad s[kGroups][kCells];
  float x[kGroups][kCells][kSlstmSaved], before[kGroups][kCells][2], above[kGroups][kCells];

  // Copies into shared memory: this lane's first piece, and its row of dh, of the next step.
  const float* saved;
  const T* dh;
  T* dwx;  // this lane's piece of the next step to store
  const uint32_t ring;
  uint32_t saved_to, dh_to, saved_from, dh_from;
  int load_t, load_slot = 0, slot = 0, slot_before = kSlotBytes;  // of steps t and t - 1

  // `rows` and `groups_here`: how many there are.
  __device__ BackwardCells(const xlstm_slstm_bwd_args& args, int64_t head, int64_t b0, int rows,
                           int group, int groups_here, unsigned char* memory)
      : a(args),
        n_rows(rows),
        n_groups(groups_here),
        state_at(((b0 + at.row(0)) * a.H + head) * a.D + group * kGroupUnits + at.unit()),
        ring(shared_address(memory)) {
    const int64_t last = a.T - 1;
    const int row = at.lane / kLanes, unit = group * kGroupUnits;
    saved = static_cast<const float*>(a.saved) +
            slstm_saved_at(a.B, a.T, a.D, head, last, b0 + row, unit) + at.lane % kLanes * 4;
    dh = static_cast<const T*>(a.dh) + (b0 + at.lane % kRows) * a.dh_stride_b +
         last * a.dh_stride_t + head * a.dh_stride_h + unit + at.lane / kRows * kGroupUnits;
    dwx = static_cast<T*>(a.dwx) + (b0 + at.lane % kRows) * a.dwx_stride_b + last * a.dwx_stride_t +
          at.lane / kRows % 4 * a.dwx_stride_g + head * a.dwx_stride_h + unit +
          at.lane / (4 * kRows) * kGroupUnits;
    saved_to = hopper::keep(ring + row * kRowBytes + at.lane % kLanes * 16);
    dh_to = hopper::keep(ring + kSavedBytes + at.lane * 16);
    saved_from = hopper::keep(ring + at.row(0) * kRowBytes + at.unit() * 4);
    dh_from = hopper::keep(ring + kSavedBytes + at.matrix_row() * 16);
    load_t = static_cast<int>(last);
  }
  __device__ bool mine(int group, int cell) const {
    return at.row(cell) < n_rows && group < n_groups;
  }
  template <class Body>
  __device__ static void each(Body body) {
#pragma unroll
    for (int g = 0; g < kGroups; ++g)
#pragma unroll
      for (int e = 0; e < kCells; ++e) body(g, e);
  }
  __device__ static int next_slot(int slot) {
    return slot == (kSlots - 1) * kSlotBytes ? 0 : slot + kSlotBytes;
  }

  // The numbers of rows and groups that are not there: with these all gradients stay zero.
  __device__ void clear(unsigned char* memory) const {
    for (int i = at.lane; i < kRingBytes / 4; i += 32)
      reinterpret_cast<float*>(memory)[i] = i * 4 % kSlotBytes < kSavedBytes ? 1.0f : 0.0f;
  }

  // Starts the copies of the step before those started so far, if there is one: one group.
  __device__ void load() {
    if (load_t >= 0) {
      if (at.lane / kLanes < n_rows)
#pragma unroll
        for (int j = 0; j * kLanes < kPieces; ++j)
          if (at.lane % kLanes + j * kLanes < n_groups * (kNumbers / 4))
            hopper::copy_16_async(saved_to + load_slot + j * kLanes * 16, saved + j * kLanes * 4);
      if (a.dh != nullptr && at.lane % kRows < n_rows && at.lane / kRows < n_groups)
        hopper::copy_16_async(dh_to + load_slot, dh);
    }
    saved -= a.B * kSlstmSaved * a.D;
    dh -= a.dh_stride_t;
    load_slot = next_slot(load_slot);
    --load_t;
    commit_copies();
  }

  __device__ float saved_number(int at_slot, int group, int cell, int i) const {
    return hopper::load_float(saved_from + at_slot + cell * kRowBytes +
                              (group * kNumbers + i * kSlstmSavedUnits) * 4);
  }
  __device__ float state(const void* p, int group, int cell) const {
    return p == nullptr || !mine(group, cell)
               ? 0.0f
               : static_cast<const float*>(p)[state_at + cell * a.H * a.D + group * kGroupUnits];
  }
  // The state after the last step, whose numbers have arrived, and the gradients that come in;
  // returns those of h.
  __device__ void begin(float (&carried)[kGroups][kCells]) {
    each([&](int g, int e) {
      s[g][e] = {state(a.dc_final, g, e), state(a.dn_final, g, e)};
      carried[g][e] = state(a.dh_final, g, e);
      before[g][e][0] = saved_number(0, g, e, 0);
      before[g][e][1] = saved_number(0, g, e, 1);
    });
  }
  // What step t needs; the copies of steps t and t - 1 have arrived.
  __device__ void read(int t) {
#pragma unroll
    for (int g = 0; g < kGroups; ++g)
      unpack_cells<T>(hopper::load_matrix_transposed(dh_from + slot + g * kTileBytes), above[g]);
    each([&](int g, int e) {
      x[g][e][0] = before[g][e][0];
      x[g][e][1] = before[g][e][1];
#pragma unroll
      for (int i = 2; i < kSlstmSaved; ++i) x[g][e][i] = saved_number(slot, g, e, i);
      before[g][e][0] = saved_number(slot_before, g, e, 0);
      before[g][e][1] = saved_number(slot_before, g, e, 1);
    });
    if (t == 0)
      each([&](int g, int e) {
        before[g][e][0] = state(a.c_init, g, e);
        before[g][e][1] = state(a.n_init, g, e);
      });
    slot = slot_before;
    slot_before = next_slot(slot_before);
  }

  // The cells of a step, whose carried gradients of h are given; leaves dg in tiles, four a group.
  // fresh: a bit per cell that starts a document and has no state before it.
  __device__ void step(const float (&carried)[kGroups][kCells], int fresh, uint32_t tiles) {
    float dg[kGroups][4][kCells];
    float c[kGroups][kCells], n[kGroups][kCells];
    each([&](int g, int e) {
      c[g][e] = before[g][e][0];
      n[g][e] = before[g][e][1];
    });
    if (a.reset != nullptr)
      each([&](int g, int e) {
        if (fresh >> e & 1) c[g][e] = n[g][e] = 0;
      });
    each([&](int g, int e) {
      float gates[4];
      cluster_cell_backward(s[g][e], x[g][e], hopper::reciprocal_fast(x[g][e][1]), c[g][e], n[g][e],
                            carried[g][e] + above[g][e], gates);
#pragma unroll
      for (int gate = 0; gate < 4; ++gate) dg[g][gate][e] = gates[gate];
    });
    if (a.reset != nullptr)
      each([&](int g, int e) {
        if (fresh >> e & 1) s[g][e] = CellGrad{};
      });
#pragma unroll
    for (int g = 0; g < kGroups; ++g)
      if (g < n_groups)
        hopper::store_matrices_transposed(
            tiles + (g * 4 + at.lane / 8) * kTileBytes + at.matrix_row() * 16,
            pack_cells<T>(dg[g][0]), pack_cells<T>(dg[g][1]), pack_cells<T>(dg[g][2]),
            pack_cells<T>(dg[g][3]));
  }
  // dg of a step from its tiles to memory.
  __device__ void store(uint32_t tiles) {
    if (a.dwx == nullptr) return;
    constexpr int kLaneGroups = 8 / kRows;  // that 32 lanes store at once
#pragma unroll
    for (int g = 0; g < kGroups; g += kLaneGroups)
      if (at.lane % kRows < n_rows && g + at.lane / (4 * kRows) < n_groups)
        *reinterpret_cast<uint4*>(dwx + g * kGroupUnits) =
            hopper::load_16_bytes(tiles + g * 4 * kTileBytes + at.lane * 16);
    dwx -= a.dwx_stride_t;
  }
  // The gradients of the state before the first step.
  __device__ void end(const float (&carried)[kGroups][kCells]) const {
    each([&](int g, int e) {
      if (!mine(g, e)) return;
      const auto put = [&](void* p, float value) {
        if (p != nullptr)
          static_cast<float*>(p)[state_at + e * a.H * a.D + g * kGroupUnits] = value;
      };
      put(a.dh_init, carried[g][e]);
      put(a.dc_init, s[g][e].dc);
      put(a.dn_init, s[g][e].dn);
      put(a.dm_init, state(a.c_init, g, e) * s[g][e].dc + state(a.n_init, g, e) * s[g][e].dn);
    });
  }
};

// Which of a lane's cells start a document, a bit each: at steps t + 1, t and t - 1.
template <int kRows>
struct BackwardResets {
  const xlstm_slstm_bwd_args& a;
  const int64_t b0;
  const int n_rows;
  int after = 0, now = 0, before = 0;

  __device__ int load(int64_t t) const {
    int bits = 0;
    if (t >= 0)
#pragma unroll
      for (int e = 0; e < kRows / 4; ++e) {
        const int row = TileLane<kRows>{}.row(e);
        if (row < n_rows && a.reset[(b0 + row) * a.T + t] != 0) bits |= 1 << e;
      }
    return bits;
  }
  __device__ void begin() {
    if (a.reset == nullptr) return;
    now = load(a.T - 1);
    before = load(a.T - 2);
  }
  // From step t to step t - 1.
  __device__ void advance(int64_t t) {
    if (a.reset == nullptr) return;
    after = now;
    now = before;
    before = load(t - 2);
  }
};

// What goes on from step t + 1 to step t: nothing through the start of a document or where it is
// cut; clipped where it is used.
template <int kGroups, int kCells>
__device__ inline void mask_carried(float (&dh)[kGroups][kCells], bool cut, bool resets,
                                    int after) {
  if (!cut && !resets) return;
#pragma unroll
  for (int g = 0; g < kGroups; ++g)
#pragma unroll
    for (int e = 0; e < kCells; ++e)
      if (cut || (after >> e & 1)) dh[g][e] = 0;
}
template <int kGroups, int kCells>
__device__ inline void clip_carried(const float (&dh)[kGroups][kCells], float clip,
                                    float (&clipped)[kGroups][kCells]) {
#pragma unroll
  for (int g = 0; g < kGroups; ++g)
#pragma unroll
    for (int e = 0; e < kCells; ++e) clipped[g][e] = dh[g][e];
  if (clip < INFINITY)
#pragma unroll
    for (int g = 0; g < kGroups; ++g)
#pragma unroll
      for (int e = 0; e < kCells; ++e) clipped[g][e] = slstm_clamp(dh[g][e], clip);
}

}  // namespace
}  // namespace xlstm::kernels
