// What a block of the forward on Hopper has: its place, its memory, its product of one step.
// slstm_cluster_fwd.cuh has the algorithm.
#pragma once

#include "kernels/slstm/slstm_cluster_launch.cuh"

namespace xlstm::kernels {

namespace {

// kHeld, kShared: steps of 16 units of h that a warp has in registers and in shared memory.
template <class T, int kTileRows, int kHeldSteps, int kSharedSteps, int kSumParts, int kMostThreads,
          int kMostBlocks>
struct ClusterForwardShape {
  using Type = T;
  static constexpr int kRows = kTileRows, kHeld = kHeldSteps, kShared = kSharedSteps,
                       kParts = kSumParts, kThreads = kMostThreads;
  static constexpr bool kCluster = kMostBlocks > 1;
  // Rounds in which the lanes of a warp reach all blocks with a row each.
  static constexpr int kSends = (kMostBlocks * kRows + 31) / 32;
  static constexpr int kSteps = kHeld + kShared;
  static constexpr int kChains = !kCluster && kHeld >= 8 ? 1 : 2;
  static constexpr int kSlots = 8;  // steps of wx on their way, a power of two
  static constexpr int kTileBytes = kRows * 16;

  // Shared memory, in bytes.
  static constexpr int kBarrierBytes = 16;
  static constexpr int kVectorBytes = kParts * kSteps * 2 * kTileBytes;
  static constexpr int kWxBytes = kSlots * 4 * kTileBytes;  // a group
  static constexpr int kSumBytes = kParts == 1 ? 0 : 32 * 32;
  static constexpr int kSharedBytes = kShared * 2 * 512;  // a warp
  __host__ __device__ static int bytes(int groups) {
    return kBarrierBytes + 2 * kVectorBytes +
           groups * (kWxBytes + 2 * kTileBytes + kSumBytes + kParts * kSharedBytes);
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
  const int own = warp % plan.groups_per_block, part = warp / plan.groups_per_block;
  const int group = rank * plan.groups_per_block + own;
  const bool active = group < plan.groups;

  // Shared memory.
  unsigned char* const base = dynamic_shared();
  uint64_t* const barriers = reinterpret_cast<uint64_t*>(base);
  unsigned char* const vectors = base + S::kBarrierBytes;
  unsigned char* const ring = vectors + 2 * S::kVectorBytes + own * S::kWxBytes;
  unsigned char* const sent = vectors + 2 * S::kVectorBytes + plan.groups_per_block * S::kWxBytes +
                              own * 2 * S::kTileBytes;  // h where a warp shows it to its lanes
  unsigned char* const kept = sent + S::kTileBytes;     // h where resets do not mask it
  unsigned char* const sums = vectors + 2 * S::kVectorBytes +
                              plan.groups_per_block * (S::kWxBytes + 2 * S::kTileBytes) +
                              own * S::kSumBytes;
  uint4* const shared_R = reinterpret_cast<uint4*>(
      vectors + 2 * S::kVectorBytes +
      plan.groups_per_block * (S::kWxBytes + 2 * S::kTileBytes + S::kSumBytes) +
      warp * S::kSharedBytes);

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

  uint4 R[S::kHeld][2];

  __device__ void load_weights() {
    const int64_t groups = int64_t{plan.groups_per_block} * plan.blocks;
    const uint4* from = args.fragments +
                        ((head * groups + group) * S::kParts + part) * (S::kSteps * 2 * 32) +
                        at.lane;
#pragma unroll
    for (int k = 0; k < S::kHeld; ++k)
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) R[k][tile] = from[(k * 2 + tile) * 32];
    for (int i = 0; i < S::kShared * 2; ++i)
      shared_R[i * 32 + at.lane] = from[(S::kHeld * 2 + i) * 32];
  }

  // Where this lane points ldmatrix at in the first vector.
  __device__ uint32_t product_address() const {
    return shared_address(vectors) + part * (S::kSteps * 2 * S::kTileBytes) +
           at.lane / 8 * S::kTileBytes + at.matrix_row() * 16;
  }
  // g[gate][cell] of this warp's group and share of the sum. One chain of products would wait for
  // itself, unless other warps fill the time.
  __device__ void product(uint32_t h, float (&g)[4][kCells]) const {
    float chains[S::kChains][2][4] = {};
#pragma unroll
    for (int k = 0; k < S::kSteps; k += 2) {
      uint32_t b[4];
      hopper::load_matrices(b, h + k * 2 * S::kTileBytes);
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int tile = 0; tile < 2; ++tile) {
          if (k < S::kHeld) {
            multiply_16x8x16<T>(chains[half % S::kChains][tile], R[(k + half) % S::kHeld][tile],
                                b[2 * half], b[2 * half + 1]);
          } else {
            multiply_16x8x16<T>(chains[half % S::kChains][tile],
                                shared_R[((k + half - S::kHeld) * 2 + tile) * 32 + at.lane],
                                b[2 * half], b[2 * half + 1]);
          }
        }
    }
#pragma unroll
    for (int gate = 0; gate < 4; ++gate)
#pragma unroll
      for (int e = 0; e < kCells; ++e) {
        const int i = gate % 2 * 2 + e;
        g[gate][e] = chains[0][gate / 2][i];
        if (S::kChains > 1) g[gate][e] += chains[S::kChains - 1][gate / 2][i];
      }
  }

  // The second warp of a group gives its sums to the first.
  __device__ void give_sums(const float (&g)[4][kCells]) const {
    float* to = reinterpret_cast<float*>(sums) + at.lane * 8;
#pragma unroll
    for (int e = 0; e < kCells; ++e)
      *reinterpret_cast<float4*>(to + e * 4) = make_float4(g[0][e], g[1][e], g[2][e], g[3][e]);
    hopper::named_barrier_arrive(1 + own, 64);
  }
  __device__ void take_sums(float (&g)[4][kCells]) const {
    hopper::named_barrier(1 + own, 64);
    const float* from = reinterpret_cast<const float*>(sums) + at.lane * 8;
#pragma unroll
    for (int e = 0; e < kCells; ++e) {
      const float4 x = *reinterpret_cast<const float4*>(from + e * 4);
      g[0][e] += x.x;
      g[1][e] += x.y;
      g[2][e] += x.z;
      g[3][e] += x.w;
    }
  }

  // All of h_t is there once this returns; t > 0.
  __device__ void wait_vector(int t) const {
    if constexpr (!S::kCluster) {
      __syncthreads();
    } else {
      uint64_t* barrier = barriers + (t & 1);
      hopper::barrier_wait(barrier, (t - 1) / 2 & 1);
      if (threadIdx.x == 0) hopper::barrier_arrive_expect(barrier, vector_bytes());
    }
  }
  __device__ int vector_bytes() const {
    return plan.groups * S::kTileBytes;
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
  __device__ void run_cells();
  __device__ void run_product_only();
};

}  // namespace
}  // namespace xlstm::kernels
