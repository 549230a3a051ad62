// The backward on Hopper where the blocks of a cluster share a head.
//
// A block owns groups of 8 units and has all of their gates; its warps multiply dg of these with
// the rows of R of all units of the head. That leaves a part of the gradient of every h, which goes
// to the block that owns it, in float32: per step and row 4 bytes a unit and block, where dg itself
// in 16 bits would weigh 8 bytes a unit. The owner adds the parts in the order of the blocks.
//
//   step t:  wait for the parts of step t + 1, add; cells; dg_t into shared memory; barrier of the
//            block; product; parts on their way to their owners;
//            then, while they travel, dg_t goes to memory and the numbers of step t - 1 are read.
//
// Parts and dg have two buffers in turn. A block sends parts of step t after all of its warps have
// the parts of step t + 1, whose senders had all added those of step t + 2, whose place is taken.
#pragma once

#include "kernels/slstm/slstm_group_bwd.cuh"

namespace xlstm::kernels {
namespace {

// A warp multiplies kTilesM tiles of 16 units with kSteps steps of 16 gates of the block; kHeldM of
// the tiles it has in registers, the others in shared memory.
template <class T, int kTileRows, int kProductTiles, int kHeldTiles, int kProductSteps,
          int kMostThreads, int kMostBlocks>
struct ClusterBackwardShape {
  using Type = T;
  static constexpr int kRows = kTileRows, kTilesM = kProductTiles, kHeldM = kHeldTiles,
                       kSteps = kProductSteps, kThreads = kMostThreads, kBlocks = kMostBlocks;
  static constexpr int kTileBytes = kRows * 16, kGateBytes = kSteps * 2 * kTileBytes;
  static constexpr int kPartBytes = kGroupUnits * kRows * 4;  // of one group and block
  static constexpr int kRingBytes = BackwardCells<T, kRows, 1>::kRingBytes;
  static constexpr int kWeightBytes = (kTilesM - kHeldM) * kSteps * 512;  // a warp
  static constexpr int kBarrierBytes = 48;

  __host__ __device__ static int warps(const ClusterPlan& plan) {
    const int product = (plan.groups + 2 * kTilesM - 1) / (2 * kTilesM);
    return product > plan.groups_per_block ? product : plan.groups_per_block;
  }
  __host__ __device__ static int bytes(const ClusterPlan& plan) {
    return kBarrierBytes + 2 * kGateBytes + 2 * plan.blocks * plan.groups_per_block * kPartBytes +
           plan.groups_per_block * kRingBytes + warps(plan) * kWeightBytes;
  }
};

template <class S>
struct ClusterBackward {
  using T = typename S::Type;
  using Cells = BackwardCells<T, S::kRows, 1>;
  static constexpr int kCells = Cells::kCells;

  const ClusterBackwardArgs& args;
  const xlstm_slstm_bwd_args& a = args.a;
  const ClusterPlan& plan = args.plan;
  const TileLane<S::kRows> at{};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int rank = static_cast<int>(blockIdx.x) % plan.blocks;
  const int64_t item = blockIdx.x / plan.blocks;
  const int64_t head = item % a.H, b0 = item / a.H * S::kRows;
  const int n_rows = static_cast<int>(a.B - b0 < S::kRows ? a.B - b0 : S::kRows);
  const int first_group = rank * plan.groups_per_block;
  const int own_groups = plan.groups - first_group < plan.groups_per_block
                             ? plan.groups - first_group
                             : plan.groups_per_block;
  const bool has_cells = warp < own_groups;

  // Shared memory.
  unsigned char* const base = dynamic_shared();
  uint64_t* const barriers = reinterpret_cast<uint64_t*>(base);
  unsigned char* const gates = base + S::kBarrierBytes;    // dg of two steps, [groups, 4 gates]
  unsigned char* const parts = gates + 2 * S::kGateBytes;  // of two steps, [blocks, groups]
  const int part_step_bytes = plan.blocks * plan.groups_per_block * S::kPartBytes;
  unsigned char* const rings = parts + 2 * part_step_bytes;
  uint4* const shared_R = reinterpret_cast<uint4*>(rings + plan.groups_per_block * S::kRingBytes +
                                                   warp * S::kWeightBytes);

  uint4 R[S::kHeldM][S::kSteps];

  __device__ uint32_t tiles(int t, int own) const {
    return shared_address(gates) + (t & 1) * S::kGateBytes + own * (4 * S::kTileBytes);
  }
  // The how many-eth use of its buffer step t is, modulo 2.
  __device__ int parity(int t) const { return (static_cast<int>(a.T) - 1 - t) / 2 & 1; }
  __device__ int arriving_bytes() const { return own_groups * plan.used_blocks * S::kPartBytes; }

  __device__ void load_weights() {
    const int64_t m_tiles = int64_t{S::warps(plan)} * S::kTilesM;
    const int own_steps = plan.groups_per_block * 2;
    const int64_t k_tiles = int64_t{plan.blocks - 1} * own_steps + S::kSteps;
#pragma unroll
    for (int m = 0; m < S::kTilesM; ++m) {
      const uint4* from =
          args.fragments +
          ((head * m_tiles + warp * S::kTilesM + m) * k_tiles + rank * own_steps) * 32 + at.lane;
#pragma unroll
      for (int k = 0; k < S::kSteps; ++k) {
        if (m < S::kHeldM) {
          R[m % S::kHeldM][k] = from[k * 32];
        } else {
          shared_R[((m - S::kHeldM) * S::kSteps + k) * 32 + at.lane] = from[k * 32];
        }
      }
    }
  }

  // Where this lane's sums of a group lie at the group's owner: the block, and the place in its
  // parts. In one number: they are kept over all of time.
  static constexpr int kPlaceBits = 20;
  __device__ int destination(int group) const {
    if (group >= plan.groups) return -1;
    const int owner = group / plan.groups_per_block, own = group % plan.groups_per_block;
    const int place = (rank * plan.groups_per_block + own) * S::kPartBytes +
                      (at.unit() * S::kRows + at.row(0)) * 4;
    return owner << kPlaceBits | place;
  }

  // Where there are warps without cells, two barriers for each of the buffers of dg: dg of a step
  // is there, which they wait for; they have read it, before it is written anew. Warps with cells
  // wait for each other at a barrier of the block's.
  __device__ uint64_t* gates_there(int t) const {
    return barriers + 2 + (t & 1);
  }
  __device__ uint64_t* gates_read(int t) const {
    return barriers + 4 + (t & 1);
  }
  __device__ bool has_others() const {
    return own_groups * 32 < static_cast<int>(blockDim.x);
  }
  __device__ void gates_done(int t) const {
    if (has_others()) hopper::barrier_arrive(gates_there(t));
    hopper::named_barrier(1, own_groups * 32);
  }
  // Before dg of step t is written.
  __device__ void wait_free(int t) const {
    if (has_others() && t + 2 < a.T) hopper::barrier_wait(gates_read(t), parity(t + 2));
  }

  // dg of step t times R, to the owners.
  __device__ void send_parts(int t, const int (&to)[S::kTilesM][2]) const {
    const uint32_t dg = tiles(t, 0) + at.lane / 8 * S::kTileBytes + at.matrix_row() * 16;
    constexpr int kChains = S::kTilesM >= 4 ? 1 : 4 / S::kTilesM;  // one would wait for itself
    float sums[kChains][S::kTilesM][4] = {};
#pragma unroll
    for (int k = 0; k < S::kSteps; k += 2) {
      uint32_t b[4];
      hopper::load_matrices(b, dg + k * 2 * S::kTileBytes);
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int m = 0; m < S::kTilesM; ++m) {
          const uint4 weights =
              m < S::kHeldM ? R[m % S::kHeldM][k + half]
                            : shared_R[((m - S::kHeldM) * S::kSteps + k + half) * 32 + at.lane];
          multiply_16x8x16<T>(sums[half % kChains][m], weights, b[2 * half], b[2 * half + 1]);
        }
    }
    const uint32_t there = shared_address(parts) + (t & 1) * part_step_bytes;
    const uint32_t barrier = shared_address(barriers + (t & 1));
#pragma unroll
    for (int m = 0; m < S::kTilesM; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (to[m][half] < 0) continue;
        float sum[kCells];
#pragma unroll
        for (int e = 0; e < kCells; ++e) {
          sum[e] = sums[0][m][2 * half + e];
#pragma unroll
          for (int c = 1; c < kChains; ++c) sum[e] += sums[c][m][2 * half + e];
        }
        const int owner = to[m][half] >> kPlaceBits;
        const uint32_t place = to[m][half] & ((1 << kPlaceBits) - 1);
        const uint32_t where = hopper::address_in_block(there + place, owner);
        const uint32_t counts = where - (there + place - barrier);  // the same block's
        if constexpr (kCells == 2) {
          hopper::store_async(where, sum[0], sum[1], counts);
        } else {
          hopper::store_async(where, sum[0], counts);
        }
      }
  }

  // The gradient of h_t of this warp's cells through step t + 1.
  __device__ void take_parts(int t, float (&sum)[1][kCells]) const {
    float(&dh)[kCells] = sum[0];
    uint64_t* barrier = barriers + ((t + 1) & 1);
    hopper::barrier_wait(barrier, parity(t + 1));
    if (threadIdx.x == 0) hopper::barrier_arrive_expect(barrier, arriving_bytes());
    const uint32_t from = shared_address(parts) + ((t + 1) & 1) * part_step_bytes +
                          warp * S::kPartBytes + (at.unit() * S::kRows + at.row(0)) * 4;
    const int step = plan.groups_per_block * S::kPartBytes;
    // All loads before the first sum.
    float part[S::kBlocks][kCells];
#pragma unroll
    for (int block = 0; block < S::kBlocks; ++block) {
#pragma unroll
      for (int e = 0; e < kCells; ++e) part[block][e] = 0;
      if (block >= plan.used_blocks) continue;
      if constexpr (kCells == 2) {
        const float2 x = hopper::load_floats(from + block * step);
        part[block][0] = x.x;
        part[block][1] = x.y;
      } else {
        part[block][0] = hopper::load_float(from + block * step);
      }
    }
#pragma unroll
    for (int e = 0; e < kCells; ++e) {
      dh[e] = 0;
#pragma unroll
      for (int block = 0; block < S::kBlocks; ++block) dh[e] += part[block][e];
    }
  }

  __device__ void run();
  __device__ void run_cells(const int (&to)[S::kTilesM][2]) const;
};

template <class S>
__device__ inline void ClusterBackward<S>::run() {
  const bool cut = a.recurrent_cut != 0;
  for (int i = threadIdx.x; i < 2 * S::kGateBytes / 16; i += blockDim.x)
    reinterpret_cast<uint4*>(gates)[i] = make_uint4(0, 0, 0, 0);
  if (threadIdx.x == 0 && own_groups > 0) {
    hopper::barrier_init(&barriers[0], 1);
    hopper::barrier_init(&barriers[1], 1);
    hopper::barrier_arrive_expect(&barriers[0], arriving_bytes());
    hopper::barrier_arrive_expect(&barriers[1], arriving_bytes());
    for (int i = 0; i < 2 && has_others(); ++i) {
      hopper::barrier_init(gates_there(i), own_groups * 32);
      hopper::barrier_init(gates_read(i), static_cast<int>(blockDim.x) - own_groups * 32);
    }
    hopper::barrier_init_fence();
  }
  __syncthreads();
  int to[S::kTilesM][2] = {};
  if (!cut) {
    load_weights();
#pragma unroll
    for (int m = 0; m < S::kTilesM; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        to[m][half] = destination((warp * S::kTilesM + m) * 2 + half);
  }
  hopper::cluster_sync();
  if (has_cells) {
    run_cells(to);
  } else if (own_groups > 0 && !cut) {
    for (int t = static_cast<int>(a.T) - 1; t >= 0; --t) {
      hopper::barrier_wait(gates_there(t), parity(t));
      send_parts(t, to);
      hopper::barrier_arrive(gates_read(t));
    }
  }
  // No block leaves while another may still write into it.
  __syncwarp();
  hopper::cluster_sync();
}

template <class S>
__device__ inline void ClusterBackward<S>::run_cells(const int (&to)[S::kTilesM][2]) const {
  constexpr int kSlots = Cells::kSlots;
  const int steps = static_cast<int>(a.T);
  const bool cut = a.recurrent_cut != 0, resets = a.reset != nullptr;
  unsigned char* const ring = rings + warp * S::kRingBytes;
  Cells cells(a, head, b0, n_rows, first_group + warp, 1, ring);
  cells.clear(ring);
  __syncwarp();
  for (int i = 1; i < kSlots; ++i) cells.load();
  BackwardResets<S::kRows> documents{a, b0, n_rows};
  documents.begin();
  float dh[1][kCells];
  wait_copies<kSlots - 3>();
  __syncwarp();
  cells.begin(dh);
  cells.read(steps - 1);
  for (int t = steps - 1; t >= 0; --t) {
    if (t < steps - 1) {
      if (!cut) take_parts(t, dh);
      mask_carried(dh, cut, resets, documents.after);
    }
    float clipped[1][kCells];
    clip_carried(dh, args.clip, clipped);
    if (!cut) wait_free(t);
    cells.step(clipped, documents.now, tiles(t, warp));
    if (!cut) {
      gates_done(t);
      send_parts(t, to);
    }
    // While the parts travel.
    __syncwarp();
    cells.store(tiles(t, warp));
    documents.advance(t);
    cells.load();
    wait_copies<kSlots - 3>();
    __syncwarp();
    if (t > 0) cells.read(t - 1);
  }
  if (!cut) take_parts(-1, dh);
  mask_carried(dh, cut, resets, documents.after);
  cells.end(dh);
}

// Empty where the architecture has no clusters; never launched there (device_is_hopper).
template <class S>
__global__ void __launch_bounds__(S::kThreads, 1)
    cluster_backward([[maybe_unused]] const __grid_constant__ ClusterBackwardArgs args) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  ClusterBackward<S>{args}.run();
#endif
}

}  // namespace
}  // namespace xlstm::kernels
