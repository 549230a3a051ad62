// The forward on Hopper: the blocks of a cluster, or one block, own a head and 8 or 4 rows of the
// batch over all of time.
//
// A warp owns a group of 8 units: of their 4 gates it keeps R in registers (where it is large some
// of it in shared memory), and of their cells the state. Where D is large, warps of a set share the
// sum over h, and each wants its part of h alone. Per step:
//
//   wait for h_{t-1}; product; sums to the warp that has the cells; cells; h_t on its way to every
//   block of the cluster;
//   then, while it travels, h_t and what is saved go to memory and the input of later steps comes.
//
// h has two buffers, and in a cluster each has barriers that count the bytes of its parts.
// A block sends h_{t+1} only after it has all of h_t, and so after every warp that sent a part of
// h_t had read h_{t-1}, whose place is taken.
#pragma once

#include "kernels/slstm/slstm_cluster_fwd_block.cuh"

namespace xlstm::kernels {
namespace {

template <class S>
__device__ inline void ClusterForward<S>::run() {
  clear();
  __syncthreads();
  if (S::kCluster && threadIdx.x == 0) {
    for (int i = 0; i < 2 * S::kParts; ++i) {
      hopper::barrier_init(&barriers[i], 1);
      hopper::barrier_arrive_expect(&barriers[i], part_bytes(i % S::kParts));
    }
    if (S::kParts > 1)
      for (int i = 0; i < plan.groups_per_block; ++i) {
        hopper::barrier_init(&sum_barriers[2 * i], 32 * (S::kParts - 1));
        hopper::barrier_init(&sum_barriers[2 * i + 1], 32);
      }
    hopper::barrier_init_fence();
  }
  __syncthreads();
  first_vector();
  if constexpr (S::kCluster) {
    hopper::cluster_sync();
  } else {
    __syncthreads();
  }
  if (has_cells) {
    run_cells();
  } else if (active) {
    if (part < S::kWide) {
      run_product_only<S::kHeld>();
    } else {
      run_product_only<S::kHeldFree>();
    }
  }
  // No block leaves while another may still write into it.
  if constexpr (S::kCluster) {
    __syncwarp();
    hopper::cluster_sync();
  }
}

template <class S>
template <int kHeld>
__device__ inline void ClusterForward<S>::run_product_only() const {
  Weights<kHeld> R;
  load_weights<kHeld>(R);
  const uint32_t from = product_address();
  for (int t = 0; t < static_cast<int>(a.T); ++t) {
    if (t > 0) wait_vector(t);
    float g[S::kWide][4][kCells];
    product<kHeld>(from + (t & 1) * S::kVectorBytes, R, g);
    give_sums(t, g);
  }
}

template <class S>
__device__ inline void ClusterForward<S>::run_cells() const {
  using namespace hopper;
  Weights<S::kHeld> R;
  load_weights<S::kHeld>(R);
  constexpr int kTileBytes = S::kTileBytes, kSlotBytes = 4 * kTileBytes;
  constexpr int kRingMask = S::kSlots * kSlotBytes - 1;
  const int steps = static_cast<int>(a.T), unit = group * kGroupUnits + at.unit();
  const bool resets = a.reset != nullptr;
  const float clip = args.clip;

  CellState s[kCells] = {};
  float h[kCells] = {}, bias[4] = {};
  bool mine[kCells];
#pragma unroll
  for (int e = 0; e < kCells; ++e) {
    mine[e] = at.row(e) < n_rows;
    if (!mine[e]) continue;
    const int64_t i = ((b0 + at.row(e)) * a.H + head) * a.D + unit;
    const auto state = [&](const void* p) {
      return p == nullptr ? 0.0f : static_cast<const float*>(p)[i];
    };
    h[e] = state(a.h_init);
    s[e] = {state(a.c_init), state(a.n_init), state(a.m_init)};
  }
  if (a.bias != nullptr)
#pragma unroll
    for (int gate = 0; gate < 4; ++gate)
      bias[gate] = load_as_float(a.bias, a.weight_dtype, (head * 4 + gate) * a.D + unit);
  // A bit per cell: whether this step, whether the next one starts a document.
  int fresh = resets ? starting_cells(0) : 0, next_fresh = resets ? starting_cells(1) : 0;

  // This lane's 16 bytes of wx, a row of a gate, and where the warp has them as a matrix.
  const int wx_row = at.lane % S::kRows, wx_gate = at.lane / S::kRows;
  const bool loads = wx_gate < 4 && wx_row < n_rows;
  const T* wx = static_cast<const T*>(a.wx) + (b0 + wx_row) * a.wx_stride_b +
                wx_gate * a.wx_stride_g + head * a.wx_stride_h + group * kGroupUnits;
  const uint32_t wx_to = keep(shared_address(ring) + at.lane * 16);
  const uint32_t wx_from =
      keep(shared_address(ring) + at.lane / 8 * kTileBytes + at.matrix_row() * 16);
  int slot = 0, load_slot = 0, load_t = 0;
  const auto load_wx = [&] {
    if (loads && load_t < steps) copy_16_async(wx_to + load_slot, wx);
    commit_copies();
    wx += a.wx_stride_t;
    load_slot = (load_slot + kSlotBytes) & kRingMask;
    ++load_t;
  };
  for (int t = 0; t < S::kSlots - 1; ++t) load_wx();

  // This lane's 16 bytes of h to memory, and its numbers to save.
  const bool stores = at.lane < n_rows, saves = a.saved != nullptr;
  T* out = static_cast<T*>(a.h) + (b0 + at.lane) * a.h_stride_b + head * a.h_stride_h +
           group * kGroupUnits;
  float* saved =
      static_cast<float*>(a.saved) + slstm_saved_at(a.B, a.T, a.D, head, 0, b0 + at.row(0), unit);
  const int saved_row = kSlstmSaved * static_cast<int>(a.D);
  const int64_t saved_step = a.B * saved_row;
  float x[kCells][kSlstmSaved];
  const auto put_out = [&](uint32_t from) {
    if (stores) *reinterpret_cast<uint4*>(out) = load_16_bytes(from + at.lane * 16);
    out += a.h_stride_t;
  };
  const auto save = [&] {
    if (!saves) return;
#pragma unroll
    for (int e = 0; e < kCells; ++e)
      if (mine[e])
#pragma unroll
        for (int i = 0; i < kSlstmSaved; ++i) saved[e * saved_row + i * kSlstmSavedUnits] = x[e][i];
    saved += saved_step;
  };
  // In a block alone the tensor cores leave time for it in the next step, if registers last.
  constexpr bool kSavesLater = !S::kCluster && S::kHeld < 8;

  // Where the warp shows h: in a cluster to its own lanes, else to all warps, in the next vector.
  const uint32_t shown = keep(shared_address(S::kCluster ? sent : vectors + group * kTileBytes));
  const uint32_t kept_tile = keep(shared_address(kept)), tile_row = at.matrix_row() * 16;
  const uint32_t product_from = keep(product_address());
  int buffer = 0;  // of h_{t-1}: its place among the vectors

  // The lanes send a row each to all blocks of the cluster, kAtOnce of them in a round.
  constexpr int kAtOnce = 32 / S::kRows;
  const uint32_t place = group * kTileBytes + at.lane % S::kRows * 16;
  uint32_t to[S::kSends];
  // From the vectors back to the barrier of the part that this group is of, in the first vector.
  const uint32_t barrier_back = S::kBarrierBytes - group / (2 * S::kSteps) * 8;
  if constexpr (S::kCluster) {
#pragma unroll
    for (int i = 0; i < S::kSends; ++i) {
      // Beginning with itself, so that not all blocks send to the same ones first.
      const int block = (rank + at.lane / S::kRows + i * kAtOnce) % plan.used_blocks;
      to[i] = keep(address_in_block(shared_address(vectors), block));
    }
  }

  for (int t = 0; t < steps; ++t) {
    if (t > 0) wait_vector(t);
    float all[S::kWide][4][kCells], g[4][kCells];
    product<S::kHeld>(product_from + buffer, R, all);
    if constexpr (S::kWide > 1) give_sums(t, all);
#pragma unroll
    for (int gate = 0; gate < 4; ++gate)
#pragma unroll
      for (int e = 0; e < kCells; ++e)
        g[gate][e] = part == 0 ? all[0][gate][e] : all[S::kWide - 1][gate][e];
    // While the tensor cores are busy.
    if (!S::kCluster && t > 0) {
      put_out(resets ? kept_tile : shown + buffer);
      if (kSavesLater) save();
      load_wx();
    }
    wait_copies<S::kSlots - 2>();
    __syncwarp();
    uint32_t wx_now[4];
    load_matrices_transposed(wx_now, wx_from + slot);
    slot = (slot + kSlotBytes) & kRingMask;
    float input[4][kCells];
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) {
      unpack_cells<T>(wx_now[gate], input[gate]);
#pragma unroll
      for (int e = 0; e < kCells; ++e) input[gate][e] += bias[gate];
    }
    if constexpr (S::kParts > 1) take_sums(t, g);
    if (resets)
#pragma unroll
      for (int e = 0; e < kCells; ++e)
        if (fresh >> e & 1) s[e] = CellState{};
#pragma unroll
    for (int e = 0; e < kCells; ++e)
      h[e] = cluster_cell_forward(s[e], g[0][e] + input[0][e], g[1][e] + input[1][e],
                                  g[2][e] + input[2][e], g[3][e] + input[3][e], x[e]);
    if (clip < INFINITY)
#pragma unroll
      for (int e = 0; e < kCells; ++e) h[e] = slstm_clamp(h[e], clip);
    // The next step sees no h where it starts a document.
    float seen[kCells];
#pragma unroll
    for (int e = 0; e < kCells; ++e) seen[e] = h[e];
    if (resets) {
#pragma unroll
      for (int e = 0; e < kCells; ++e)
        if (next_fresh >> e & 1) seen[e] = 0;
      store_matrix_transposed(kept_tile + tile_row, pack_cells<T>(h));
      fresh = next_fresh;
      next_fresh = starting_cells(t + 2);
    }
    buffer = S::kVectorBytes - buffer;
    store_matrix_transposed((S::kCluster ? shown : shown + buffer) + tile_row, pack_cells<T>(seen));
    if constexpr (S::kCluster) {
      __syncwarp();
      if (t + 1 < steps) {
        const uint4 row = load_16_bytes(shown + at.lane % S::kRows * 16);
#pragma unroll
        for (int i = 0; i < S::kSends; ++i)
          if (at.lane / S::kRows + i * kAtOnce < plan.used_blocks)
            store_async(to[i] + place + buffer, row,
                        to[i] - barrier_back + ((t + 1) & 1) * (8 * S::kParts));
      }
      put_out(resets ? kept_tile : shown);
      load_wx();
      __syncwarp();  // before h is shown again
    }
    if (!kSavesLater) save();
  }
  if (!S::kCluster) {
    __syncwarp();
    put_out(resets ? kept_tile : shown + buffer);
    if (kSavesLater) save();
  }
#pragma unroll
  for (int e = 0; e < kCells; ++e) {
    if (!mine[e]) continue;
    const int64_t i = ((b0 + at.row(e)) * a.H + head) * a.D + unit;
    const auto put = [&](void* p, float value) {
      if (p != nullptr) static_cast<float*>(p)[i] = value;
    };
    put(a.h_final, h[e]);
    put(a.c_final, s[e].c);
    put(a.n_final, s[e].n);
    put(a.m_final, s[e].m);
  }
}

// Empty where the architecture has no clusters; never launched there (device_is_hopper).
template <class S>
__global__ void __launch_bounds__(S::kThreads, 1)
    cluster_forward([[maybe_unused]] const __grid_constant__ ClusterForwardArgs args) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  ClusterForward<S>{args}.run();
#endif
}

// body(shape) with the shape for this head and number of rows.
template <class T, int kRows, class Body>
auto with_forward_shape(int64_t D, Body body) {
  if (D <= 32) return body(ClusterForwardShape<T, kRows, 2, 2, 2, 1, 1, 128, 1>{});
  if (D <= 64) return body(ClusterForwardShape<T, kRows, 4, 4, 4, 1, 1, 256, 1>{});
  if (D <= 128) return body(ClusterForwardShape<T, kRows, 8, 8, 8, 1, 1, 512, 1>{});
  if (D <= 192) return body(ClusterForwardShape<T, kRows, 12, 12, 12, 1, 1, 192, 4>{});
  if (D <= 256) return body(ClusterForwardShape<T, kRows, 16, 16, 16, 1, 1, 256, 8>{});
  if (D <= 384) return body(ClusterForwardShape<T, kRows, 12, 12, 12, 1, 2, 384, 8>{});
  if (D <= 512) return body(ClusterForwardShape<T, kRows, 16, 16, 16, 1, 2, 256, 16>{});
  return body(ClusterForwardShape<T, kRows, 12, 6, 8, 2, 4, 384, 16>{});
}
template <class T, class Body>
auto with_forward_shape(int64_t D, const ClusterPlan& plan, Body body) {
  return plan.rows == 4 ? with_forward_shape<T, 4>(D, body) : with_forward_shape<T, 8>(D, body);
}

}  // namespace

template <class T>
SlstmGroupFragments slstm_cluster_fwd_fragments(int64_t D, const ClusterPlan& plan) {
  return with_forward_shape<T>(D, plan, [&](auto shape) {
    using S = decltype(shape);
    return SlstmGroupFragments{int64_t{plan.groups_per_block} * plan.blocks, S::kParts * S::kSteps};
  });
}

template <class T>
bool slstm_cluster_fwd_resident(int64_t H, int64_t D, const ClusterPlan& plan) {
  return with_forward_shape<T>(D, plan, [&](auto shape) {
    using S = decltype(shape);
    return slstm_cluster_is_resident(plan, cluster_forward<S>, H,
                                     S::warps(plan.groups_per_block) * 32,
                                     S::bytes(plan.groups_per_block));
  });
}

template <class T>
xlstm_status slstm_cluster_fwd_launch(const ClusterForwardArgs& args, cudaStream_t stream) {
  const ClusterPlan& plan = args.plan;
  return with_forward_shape<T>(args.a.D, plan, [&](auto shape) {
    using S = decltype(shape);
    return slstm_launch_cluster(plan, cluster_forward<S>, args.a.H,
                                S::warps(plan.groups_per_block) * 32,
                                S::bytes(plan.groups_per_block), stream, args);
  });
}

}  // namespace xlstm::kernels
