// The backward on Hopper where one block has a head: D <= 128, and 8 or 4 rows of the batch.
//
// A warp owns two groups of 8 units and keeps their rows of R over the gates of all units in
// registers, so a product leaves the gradients of h where their cells are. Per step one barrier:
// dg of all units lies in shared memory, in two buffers in turn.
#pragma once

#include "kernels/slstm/slstm_group_bwd.cuh"

namespace xlstm::kernels {
namespace {

// kSteps: steps of 16 gates, a quarter of the largest D.
template <class T, int kTileRows, int kProductSteps>
struct BlockBackwardShape {
  using Type = T;
  static constexpr int kRows = kTileRows, kSteps = kProductSteps, kThreads = kSteps * 8;
  static constexpr int kTileBytes = kRows * 16, kGateBytes = kSteps * 2 * kTileBytes;
  static constexpr int kRingBytes = BackwardCells<T, kRows, 2>::kRingBytes;  // a warp
  __host__ __device__ static int warps(int groups) { return (groups + 1) / 2; }
  __host__ __device__ static int bytes(int groups) {
    return 2 * kGateBytes + warps(groups) * kRingBytes;
  }
};

template <class S>
struct BlockBackward {
  using T = typename S::Type;
  using Cells = BackwardCells<T, S::kRows, 2>;
  static constexpr int kCells = Cells::kCells;

  const ClusterBackwardArgs& args;
  const xlstm_slstm_bwd_args& a = args.a;
  const TileLane<S::kRows> at{};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t head = blockIdx.x % a.H, b0 = blockIdx.x / a.H * S::kRows;
  const int n_rows = static_cast<int>(a.B - b0 < S::kRows ? a.B - b0 : S::kRows);
  const int group = warp * 2, n_groups = args.plan.groups - group < 2 ? 1 : 2;
  unsigned char* const gates = dynamic_shared();  // dg of two steps, tiles [groups, 4]
  unsigned char* const ring = gates + 2 * S::kGateBytes + warp * S::kRingBytes;

  // dh from dg of a step; `dg`: where this lane points ldmatrix at.
  __device__ void product(uint32_t dg, const uint4 (&R)[S::kSteps], float (&dh)[2][kCells]) const {
    float chains[4][4] = {};  // four, because one would wait for itself
#pragma unroll
    for (int k = 0; k < S::kSteps; k += 2) {
      uint32_t b[4];
      hopper::load_matrices(b, dg + k * 2 * S::kTileBytes);
      multiply_16x8x16<T>(chains[k % 4], R[k], b[0], b[1]);
      multiply_16x8x16<T>(chains[k % 4 + 1], R[k + 1], b[2], b[3]);
    }
    Cells::each([&](int g, int e) {
      const int i = g * 2 + e;
      dh[g][e] = (chains[0][i] + chains[1][i]) + (chains[2][i] + chains[3][i]);
    });
  }

  __device__ void run() const {
    constexpr int kSlots = Cells::kSlots;
    const int steps = static_cast<int>(a.T);
    const bool cut = a.recurrent_cut != 0, resets = a.reset != nullptr;
    for (int i = threadIdx.x; i < 2 * S::kGateBytes / 16; i += blockDim.x)
      reinterpret_cast<uint4*>(gates)[i] = make_uint4(0, 0, 0, 0);
    uint4 R[S::kSteps] = {};
    if (!cut) {
      const int64_t m_tiles = S::warps(args.plan.groups);
      const uint4* from = args.fragments + (head * m_tiles + warp) * S::kSteps * 32 + at.lane;
#pragma unroll
      for (int k = 0; k < S::kSteps; ++k) R[k] = from[k * 32];
    }
    Cells cells(a, head, b0, n_rows, group, n_groups, ring);
    cells.clear(ring);
    __syncthreads();
    for (int i = 1; i < kSlots; ++i) cells.load();
    BackwardResets<S::kRows> documents{a, b0, n_rows};
    documents.begin();
    float dh[2][kCells];
    wait_copies<kSlots - 2>();
    __syncwarp();
    cells.begin(dh);

    const uint32_t tiles = hopper::keep(shared_address(gates) + group * (4 * S::kTileBytes));
    const uint32_t product_from =
        hopper::keep(shared_address(gates) + at.lane / 8 * S::kTileBytes + at.matrix_row() * 16);
    int buffer = 0;  // of dg of step t + 1
    for (int t = steps - 1; t >= 0; --t) {
      if (t < steps - 1) {
        __syncthreads();
        if (!cut) product(product_from + buffer, R, dh);
        // While the tensor cores are busy.
        cells.store(tiles + buffer);
      }
      wait_copies<kSlots - 3>();
      __syncwarp();
      cells.read(t);
      cells.load();
      if (t < steps - 1) mask_carried(dh, cut, resets, documents.after);
      float clipped[2][kCells];
      clip_carried(dh, args.clip, clipped);
      buffer = S::kGateBytes - buffer;
      cells.step(clipped, documents.now, tiles + buffer);
      documents.advance(t);
    }
    __syncthreads();
    cells.store(tiles + buffer);
    if (!cut) product(product_from + buffer, R, dh);
    mask_carried(dh, cut, resets, documents.after);
    cells.end(dh);
  }
};

// Empty where the architecture has no such instructions; never launched there.
template <class S>
__global__ void __launch_bounds__(S::kThreads, 1)
    block_backward([[maybe_unused]] const __grid_constant__ ClusterBackwardArgs args) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  BlockBackward<S>{args}.run();
#endif
}

}  // namespace
}  // namespace xlstm::kernels
