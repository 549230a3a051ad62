// What a block of the forward on Hopper has: its place, its memory, its product of one step.
// slstm_cluster_fwd.cuh has the algorithm.
#pragma once

#include "kernels/slstm/slstm_cluster_launch.cuh"

namespace xlstm::kernels {

namespace {

// A warp multiplies the gates of kWide groups with its part of the sum over h, kSteps steps of 16
// units; kParts warps share it, a set. R of kHeld of the steps is in registers, that of the others
// in shared memory; kHeldFree where the warp has no cells, which leaves it more registers.
template <class T, int kTileRows, int kPartSteps, int kHeldSteps, int kHeldFreeSteps,
          int kWideGroups, int kSumParts, int kMostThreads, int kMostBlocks>
struct ClusterForwardShape {
  using Type = T;
  static constexpr int kRows = kTileRows, kSteps = kPartSteps, kHeld = kHeldSteps,
                       kHeldFree = kHeldFreeSteps, kWide = kWideGroups, kParts = kSumParts,
                       kThreads = kMostThreads;
  static constexpr bool kCluster = kMostBlocks > 1;
  // Rounds in which the lanes of a warp reach all blocks with a row each.
  static constexpr int kSends = (kMostBlocks * kRows + 31) / 32;
  static constexpr int kChains = (!kCluster && kHeld >= 8) || kWide > 1 ? 1 : 2;
  static constexpr int kSlots = 8;  // steps of wx on their way, a power of two
  static constexpr int kTileBytes = kRows * 16;

  // Shared memory, in bytes.
  static constexpr int kMostGroups = 8;  // of a block whose warps share sums
  static constexpr int kBarrierBytes = 16 * kParts + (kParts > 1 ? 16 * kMostGroups : 0);
  static constexpr int kPartBytes = kSteps * 2 * kTileBytes;  // of h
  static constexpr int kVectorBytes = kParts * kPartBytes;
  static constexpr int kWxBytes = kSlots * 4 * kTileBytes;              // a group
  static constexpr int kSumBytes = (kParts - 1) * (32 * 4 * kRows);     // a group
  static constexpr int kSharedBytes = (kSteps - kHeld) * kWide * 1024;  // a warp with cells
  static constexpr int kSharedFreeBytes = (kSteps - kHeldFree) * kWide * 1024;
  __host__ __device__ static int warps(int groups) { return groups / kWide * kParts; }
  __host__ __device__ static int bytes(int groups) {
    return kBarrierBytes + 2 * kVectorBytes +
           groups * (kWxBytes + 2 * kTileBytes + kSumBytes + kSharedBytes) +
           groups / kWide * (kParts - kWide) * kSharedFreeBytes;
  }
};

template <class S>
struct ClusterForward {
  using T = typename S::Type;
  static constexpr int kCells = S::kRows / 4;
  using Lane = TileLane<S::kRows>;

  const ClusterForwardArgs& args;
  const xlstm_slstm_fwd_args& a = args.a;
  const ClusterPlan& plan = args.plan;
  const Lane at{};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int rank = static_cast<int>(blockIdx.x) % plan.blocks;
  const int64_t item = blockIdx.x / plan.blocks;
  const int64_t head = item % a.H, b0 = item / a.H * S::kRows;
  const int n_rows = static_cast<int>(a.B - b0 < S::kRows ? a.B - b0 : S::kRows);
  const int sets = plan.groups_per_block / S::kWide, set = warp % sets, part = warp / sets;
  // The group whose cells the warp has, if it has any: of the block, of the head.
  const int own = set * S::kWide + part % S::kWide;
  const int first_group = rank * plan.groups_per_block + set * S::kWide;
  const int group = rank * plan.groups_per_block + own;
  const bool active = first_group < plan.groups;
  const bool has_cells = part < S::kWide && group < plan.groups;

  // Shared memory.
  unsigned char* const base = dynamic_shared();
  uint64_t* const barriers = reinterpret_cast<uint64_t*>(base);  // [2 vectors, parts]
  uint64_t* const sum_barriers = barriers + 2 * S::kParts;       // [groups, 2]
  unsigned char* const vectors = base + S::kBarrierBytes;
  unsigned char* const rings = vectors + 2 * S::kVectorBytes;
  unsigned char* const ring = rings + own * S::kWxBytes;
  unsigned char* const tiles = rings + plan.groups_per_block * S::kWxBytes;
  unsigned char* const sent = tiles + own * 2 * S::kTileBytes;  // h where a warp shows its lanes
  unsigned char* const kept = sent + S::kTileBytes;             // h where resets do not mask it
  unsigned char* const sums = tiles + plan.groups_per_block * 2 * S::kTileBytes;
  unsigned char* const weights = sums + plan.groups_per_block * S::kSumBytes;
  uint4* const shared_R = reinterpret_cast<uint4*>(
      weights + (warp < S::kWide * sets ? warp * S::kSharedBytes
                                        : S::kWide * sets * S::kSharedBytes +
                                              (warp - S::kWide * sets) * S::kSharedFreeBytes));

  // ---- before the first step ----

  __device__ void clear() const {
    const int n = (S::bytes(plan.groups_per_block) - S::kBarrierBytes) / 16;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
      reinterpret_cast<uint4*>(vectors)[i] = make_uint4(0, 0, 0, 0);
  }
  __device__ void first_vector() const {
    const float* from = static_cast<const float*>(a.h_init);
    if (from == nullptr) return;
    T* to = reinterpret_cast<T*>(vectors);
    for (int i = threadIdx.x; i < static_cast<int>(a.D) * n_rows; i += blockDim.x) {
      const int unit = i % static_cast<int>(a.D), row = i / static_cast<int>(a.D);
      if (a.reset != nullptr && a.reset[(b0 + row) * a.T] != 0) continue;
      to[(unit / 8 * S::kRows + row) * 8 + unit % 8] =
          from_float<T>(from[((b0 + row) * a.H + head) * a.D + unit]);
    }
  }

  // ---- one step ----

  // R of a warp's steps that it has in registers.
  template <int kHeld>
  using Weights = uint4[kHeld][S::kWide][2];

  template <int kHeld>
  __device__ void load_weights(Weights<kHeld>& R) const {
    const int64_t groups = int64_t{plan.groups_per_block} * plan.blocks;
#pragma unroll
    for (int w = 0; w < S::kWide; ++w) {
      const uint4* from =
          args.fragments +
          ((head * groups + first_group + w) * S::kParts + part) * (S::kSteps * 2 * 32) + at.lane;
#pragma unroll
      for (int k = 0; k < S::kSteps; ++k)
#pragma unroll
        for (int tile = 0; tile < 2; ++tile) {
          const uint4 x = from[(k * 2 + tile) * 32];
          if (k < kHeld) {
            R[k % kHeld][w][tile] = x;
          } else {
            shared_R[(((k - kHeld) * S::kWide + w) * 2 + tile) * 32 + at.lane] = x;
          }
        }
    }
  }

  // Where this lane points ldmatrix at in the first vector.
  __device__ uint32_t product_address() const {
    return shared_address(vectors) + part * S::kPartBytes + at.lane / 8 * S::kTileBytes +
           at.matrix_row() * 16;
  }
  // The j-th pair of steps of the product: those whose R is in shared memory lie among the others,
  // so that the memory and the tensor cores are busy together.
  template <int kHeld>
  __device__ static constexpr int step_of(int j) {
    constexpr int kPairs = S::kSteps / 2, kSharedPairs = (S::kSteps - kHeld) / 2;
    const int shared_before = j * kSharedPairs / kPairs;
    return (j + 1) * kSharedPairs / kPairs > shared_before ? kHeld + 2 * shared_before
                                                           : 2 * (j - shared_before);
  }
  // g[group][gate][cell] of this warp's groups and part of the sum. One chain of products would
  // wait for itself, unless other warps fill the time.
  template <int kHeld>
  __device__ void product(uint32_t h, const Weights<kHeld>& R,
                          float (&g)[S::kWide][4][kCells]) const {
    float chains[S::kChains][S::kWide][2][4] = {};
#pragma unroll
    for (int j = 0; j < S::kSteps / 2; ++j) {
      const int k = step_of<kHeld>(j);
      uint32_t b[4];
      hopper::load_matrices(b, h + k * 2 * S::kTileBytes);
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int w = 0; w < S::kWide; ++w)
#pragma unroll
          for (int tile = 0; tile < 2; ++tile) {
            const uint4 x =
                k < kHeld
                    ? R[(k + half) % kHeld][w][tile]
                    : shared_R[(((k + half - kHeld) * S::kWide + w) * 2 + tile) * 32 + at.lane];
            multiply_16x8x16<T>(chains[half % S::kChains][w][tile], x, b[2 * half],
                                b[2 * half + 1]);
          }
    }
#pragma unroll
    for (int w = 0; w < S::kWide; ++w)
#pragma unroll
      for (int gate = 0; gate < 4; ++gate)
#pragma unroll
        for (int e = 0; e < kCells; ++e) {
          const int i = gate % 2 * 2 + e;
          g[w][gate][e] = chains[0][w][gate / 2][i];
          if (S::kChains > 1) g[w][gate][e] += chains[S::kChains - 1][w][gate / 2][i];
        }
  }

  // The warps of a set give the one that has the cells of a group their sums of it. Two barriers a
  // group: the sums of a step stand; they were read.
  __device__ uint64_t* sums_stand(int w) const {
    return sum_barriers + 2 * (set * S::kWide + w);
  }
  __device__ uint64_t* sums_read(int w) const {
    return sums_stand(w) + 1;
  }
  // `from`: of the warp's other part, 0 .. kParts - 2, among those that give to a group.
  __device__ float4* sums_of(int w, int from) const {
    return reinterpret_cast<float4*>(sums + (set * S::kWide + w) * S::kSumBytes) +
           from * (32 * kCells) + at.lane;
  }
  __device__ void give_sums(int t, const float (&g)[S::kWide][4][kCells]) const {
#pragma unroll
    for (int w = 0; w < S::kWide; ++w) {
      if (w == part || first_group + w >= plan.groups) continue;
      if (t > 0) hopper::barrier_wait(sums_read(w), (t - 1) & 1);
      float4* to = sums_of(w, part - (part > w ? 1 : 0));
#pragma unroll
      for (int e = 0; e < kCells; ++e)
        to[e * 32] = make_float4(g[w][0][e], g[w][1][e], g[w][2][e], g[w][3][e]);
      hopper::barrier_arrive(sums_stand(w));
    }
  }
  __device__ void take_sums(int t, float (&g)[4][kCells]) const {
    const int w = part;
    hopper::barrier_wait(sums_stand(w), t & 1);
#pragma unroll
    for (int from = 0; from < S::kParts - 1; ++from)
#pragma unroll
      for (int e = 0; e < kCells; ++e) {
        const float4 x = sums_of(w, from)[e * 32];
        g[0][e] += x.x;
        g[1][e] += x.y;
        g[2][e] += x.z;
        g[3][e] += x.w;
      }
    hopper::barrier_arrive(sums_read(w));
  }

  // This warp's part of h_t is there once this returns; t > 0.
  __device__ void wait_vector(int t) const {
    if constexpr (!S::kCluster) {
      __syncthreads();
    } else {
      // A part beyond the head's units stays zero. Its barrier would end phases by itself, faster
      // than the warps of all sets look at it.
      if (part_bytes(part) == 0) return;
      uint64_t* barrier = barriers + (t & 1) * S::kParts + part;
      hopper::barrier_wait(barrier, (t - 1) / 2 & 1);
      if (set == 0 && at.lane == 0) hopper::barrier_arrive_expect(barrier, part_bytes(part));
    }
  }
  __device__ int part_bytes(int of) const {
    const int groups = plan.groups - of * (2 * S::kSteps);
    return (groups < 0 ? 0 : groups < 2 * S::kSteps ? groups : 2 * S::kSteps) * S::kTileBytes;
  }

  // A bit for every cell of this lane whose row starts a document at t.
  __device__ int starting_cells(int64_t t) const {
    int bits = 0;
#pragma unroll
    for (int e = 0; e < kCells; ++e)
      if (t < a.T && at.row(e) < n_rows && a.reset[(b0 + at.row(e)) * a.T + t] != 0) bits |= 1 << e;
    return bits;
  }

  __device__ void run();
  __device__ void run_cells() const;
  template <int kHeld>
  __device__ void run_product_only() const;
};

}  // namespace
}  // namespace xlstm::kernels
