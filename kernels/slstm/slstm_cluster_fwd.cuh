// The forward on Hopper: the blocks of a cluster, or one block, own a head and 8 or 4 rows of the
// batch over all of time.
//
// A warp owns a group of 8 units: of their 4 gates it keeps R in registers (with kShared some of it
// in shared memory), and of their cells the state. With kParts = 2 the sum over h is shared by two
// warps, of which the first has the cells. Per step:
//
//   wait for h_{t-1}; product; cells; h_t on its way to every block of the cluster;
//   then, while it travels, h_t and what is saved go to memory and the input of later steps comes.
//
// h has two buffers, and in a cluster each has a barrier that counts the bytes of the whole vector.
// A block sends h_{t+1} only after it has all of h_t, and so after every warp that sent a part of
// h_t had read h_{t-1}, whose place is taken.
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

template <class S>
__device__ inline void ClusterForward<S>::run() {
  clear();
  if (active) load_weights();
  if (S::kCluster && threadIdx.x == 0) {
    hopper::barrier_init(&barriers[0], 1);
    hopper::barrier_init(&barriers[1], 1);
    hopper::barrier_arrive_expect(&barriers[0], vector_bytes());
    hopper::barrier_arrive_expect(&barriers[1], vector_bytes());
    hopper::barrier_init_fence();
  }
  __syncthreads();
  first_vector();
  if constexpr (S::kCluster) {
    hopper::cluster_sync();
  } else {
    __syncthreads();
  }
  if (active && part == 0) run_cells();
  if (active && part > 0) run_product_only();
  // No block leaves while another may still write into it.
  if constexpr (S::kCluster) {
    __syncwarp();
    hopper::cluster_sync();
  }
}

template <class S>
__device__ inline void ClusterForward<S>::run_product_only() {
  const uint32_t from = product_address();
  for (int t = 0; t < static_cast<int>(a.T); ++t) {
    if (t > 0) wait_vector(t);
    float g[4][kCells];
    product(from + (t & 1) * S::kVectorBytes, g);
    give_sums(g);
  }
}

template <class S>
__device__ inline void ClusterForward<S>::run_cells() {
  using namespace hopper;
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
  if constexpr (S::kCluster) {
#pragma unroll
    for (int i = 0; i < S::kSends; ++i) {
      const int block = at.lane / S::kRows + i * kAtOnce;
      to[i] = keep(address_in_block(shared_address(vectors), block < plan.used_blocks ? block : 0));
    }
  }

  for (int t = 0; t < steps; ++t) {
    if (t > 0) wait_vector(t);
    float g[4][kCells];
    product(product_from + buffer, g);
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
    if constexpr (S::kParts > 1) take_sums(g);
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
            store_async(to[i] + place + buffer, row, to[i] - S::kBarrierBytes + ((t + 1) & 1) * 8);
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

// Empty where the architecture has no clusters; never launched there (slstm_has_clusters).
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
  if (D <= 32) return body(ClusterForwardShape<T, kRows, 2, 0, 1, 128, 1>{});
  if (D <= 64) return body(ClusterForwardShape<T, kRows, 4, 0, 1, 256, 1>{});
  if (D <= 128) return body(ClusterForwardShape<T, kRows, 8, 0, 1, 512, 1>{});
  if (D <= 192) return body(ClusterForwardShape<T, kRows, 12, 0, 1, 192, 4>{});
  if (D <= 256) return body(ClusterForwardShape<T, kRows, 16, 0, 1, 256, 8>{});
  if (D <= 384) return body(ClusterForwardShape<T, kRows, 12, 0, 2, 384, 8>{});
  if (D <= 512) return body(ClusterForwardShape<T, kRows, 16, 0, 2, 256, 16>{});
  return body(ClusterForwardShape<T, kRows, 12, 12, 2, 384, 16>{});
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
                                     plan.groups_per_block * S::kParts * 32,
                                     S::bytes(plan.groups_per_block));
  });
}

template <class T>
xlstm_status slstm_cluster_fwd_launch(const ClusterForwardArgs& args, cudaStream_t stream) {
  const ClusterPlan& plan = args.plan;
  return with_forward_shape<T>(args.a.D, plan, [&](auto shape) {
    using S = decltype(shape);
    return slstm_launch_cluster(plan, cluster_forward<S>, args.a.H,
                                plan.groups_per_block * S::kParts * 32,
                                S::bytes(plan.groups_per_block), stream, args);
  });
}

}  // namespace xlstm::kernels
