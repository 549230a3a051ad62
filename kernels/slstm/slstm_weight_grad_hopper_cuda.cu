// dR and dbias on Hopper: products of a warpgroup over tiles that the copy engine brings.
//
// A block makes 64 kMBlocks units by 256 gates of one head's [D, 4 D] from a part of the rows, 64
// steps of a row of the batch at a time. Two warpgroups multiply, each its 64 rows or its half of
// the columns; one warp loads. h begins a step earlier than dg: the copy engine gives zeros before
// the first step and beyond the last. Where a document starts a second warp puts zeros over the h
// of the one before. dbias is a product with ones.
#include "kernels/common/hopper.cuh"
#include "kernels/common/hopper_device.h"
#include "kernels/common/tensor_map.h"
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {
namespace {

using namespace hopper;

constexpr int kSteps = 64, kPanel = 64;  // of a tile: steps, columns of a panel
constexpr int kPanelBytes = kSteps * kPanelRowBytes;
constexpr int kTilePanels = 4;  // of gates
constexpr int kGroup = 128, kThreads = 3 * kGroup;

struct WeightGradArgs {
  CUtensorMap h, dg[4];
  int64_t T, H, D;
  const uint8_t* reset;
  int64_t chunks_per_row, chunks, chunks_per_part;
  int m_tiles, n_tiles, panels_per_gate;
  float *dR_parts, *dbias_parts;  // [parts, H, D, 4 D], [parts, H, 4 D] or null
};

struct WeightGradPlan {
  int m_blocks;
  int64_t m_tiles, n_tiles, chunks_per_row, chunks, parts, chunks_per_part;
  explicit WeightGradPlan(const xlstm_slstm_bwd_args& a) {
    // Two blocks of rows share what they load of the gates, and waste more where D is small.
    m_blocks = a.D > 128 ? 2 : 1;
    m_tiles = ceil_div(a.D, m_blocks * kPanel);
    n_tiles = ceil_div(4 * ceil_div(a.D, kPanel), kTilePanels);
    chunks_per_row = ceil_div(a.T, kSteps);
    chunks = a.B * chunks_per_row;
    // The cheapest number of parts for a card of 132 processors, in the time of a tile's product
    // over a chunk: whole rounds of blocks, and 12 chunks' time for a tile that a part writes and
    // the sum reads.
    constexpr int64_t kProcessors = 132, kMostParts = 32, kPartCost = 12;
    const int64_t tiles = a.H * m_tiles * n_tiles;
    parts = 1;
    double best = 0;
    for (int64_t p = 1; p <= kMostParts && p <= chunks; ++p) {
      const double cost =
          static_cast<double>(ceil_div(tiles * p, kProcessors) * ceil_div(chunks, p)) +
          static_cast<double>(kPartCost * tiles * p) / kProcessors;
      if (p > 1 && cost >= best) continue;
      best = cost;
      parts = p;
    }
    chunks_per_part = ceil_div(chunks, parts);
    parts = chunks_per_part > 0 ? ceil_div(chunks, chunks_per_part) : 0;
  }
};

template <int kMBlocks>
struct WeightGradMemory {
  static constexpr int kStages = 4;
  struct Stage {
    unsigned char h[kMBlocks][kPanelBytes], dg[kTilePanels][kPanelBytes];
  };
  alignas(1024) Stage stages[kStages];
  alignas(1024) unsigned char ones[1024];
  uint64_t full[kStages], ready[kStages], empty[kStages];  // ready: after resets
  static constexpr int kBytes = kStages * static_cast<int>(sizeof(Stage)) + 1024 + 3 * kStages * 8;
};

template <class T, int kMBlocks>
class WeightGrad {
  using Memory = WeightGradMemory<kMBlocks>;
  static constexpr int kStages = Memory::kStages;
  // Blocks of 64 x 128 sums of a warpgroup.
  static constexpr int kBlocks = kMBlocks;

  const WeightGradArgs& g;
  Memory& s;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t tile = blockIdx.x / g.n_tiles;
  const int n_tile = static_cast<int>(blockIdx.x % g.n_tiles);
  const int64_t head = tile % g.H;
  const int m0 = static_cast<int>(tile / g.H) * kMBlocks * kPanel;
  const int64_t first = blockIdx.y * g.chunks_per_part;
  const int count =
      static_cast<int>(g.chunks - first < g.chunks_per_part ? g.chunks - first : g.chunks_per_part);

 public:
  __device__ WeightGrad(const WeightGradArgs& args, Memory& memory) : g(args), s(memory) {}

  __device__ void run() {
    if (threadIdx.x == 0) {
      for (int i = 0; i < kStages; ++i) {
        barrier_init(&s.full[i], 1);
        barrier_init(&s.ready[i], 32);
        barrier_init(&s.empty[i], 2 * kGroup);
      }
      barrier_init_fence();
    }
    for (int i = threadIdx.x; i < 512; i += kThreads)
      reinterpret_cast<T*>(s.ones)[i] = from_float<T>(1);
    fence_async_proxy();
    __syncthreads();
    const int group = static_cast<int>(threadIdx.x) / kGroup, warp = threadIdx.x / 32 % 4;
    if (group < 2) {
      multiply(group);
    } else if (warp == 0) {
      if (lane == 0) load();
    } else if (warp == 1 && g.reset != nullptr) {
      clear_resets();
    }
  }

 private:
  __device__ void load() const {
    int64_t b = first / g.chunks_per_row;
    int t0 = static_cast<int>(first % g.chunks_per_row) * kSteps;
    for (int i = 0; i < count; ++i) {
      const int at = i % kStages;
      if (i >= kStages) barrier_wait(&s.empty[at], (i / kStages - 1) & 1);
      barrier_arrive_expect(&s.full[at], (kMBlocks + kTilePanels) * kPanelBytes);
      const int row = static_cast<int>(b), h = static_cast<int>(head);
#pragma unroll
      for (int m = 0; m < kMBlocks; ++m)
        load_box(s.stages[at].h[m], g.h, &s.full[at], m0 + m * kPanel, h, t0 - 1, row);
#pragma unroll
      for (int p = 0; p < kTilePanels; ++p) {
        const int panel = n_tile * kTilePanels + p, gate = panel / g.panels_per_gate;
        load_box(s.stages[at].dg[p], g.dg[gate], &s.full[at], panel % g.panels_per_gate * kPanel, h,
                 t0, row);
      }
      t0 += kSteps;
      if (t0 >= g.T) {
        t0 = 0;
        ++b;
      }
    }
  }

  // By one warp: zeros where h is of the document before.
  __device__ void clear_resets() const {
    for (int i = 0; i < count; ++i) {
      const int at = i % kStages;
      const int64_t chunk = first + i, b = chunk / g.chunks_per_row;
      const int64_t t0 = chunk % g.chunks_per_row * kSteps;
      barrier_wait(&s.full[at], i / kStages & 1);
      for (int t = lane; t < kSteps; t += 32) {
        if (t0 + t >= g.T || g.reset[b * g.T + t0 + t] == 0) continue;
#pragma unroll
        for (int m = 0; m < kMBlocks; ++m)
          for (int piece = 0; piece < 8; ++piece)
            *reinterpret_cast<uint4*>(s.stages[at].h[m] + piece_at(t, piece)) =
                make_uint4(0, 0, 0, 0);
      }
      fence_async_proxy();
      barrier_arrive(&s.ready[at]);
    }
  }

  __device__ void multiply(int group) const {
    const bool resets = g.reset != nullptr, sums_bias = g.dbias_parts != nullptr && m0 == 0;
    // Rows of h and panels of gates of this warpgroup.
    const int m = kMBlocks == 2 ? group : 0, panel0 = kMBlocks == 2 ? 0 : 2 * group;
    float sums[kBlocks][64] = {}, bias[2][4] = {};
    for (int i = 0; i < count; ++i) {
      const int at = i % kStages;
      barrier_wait(resets ? &s.ready[at] : &s.full[at], i / kStages & 1);
      const auto& stage = s.stages[at];
#pragma unroll
      for (int j = 0; j < kBlocks; ++j) hold(sums[j]);
      hold(bias[0]);
      hold(bias[1]);
      products_begin();
#pragma unroll
      for (int k = 0; k < kSteps / 16; ++k) {
        const int row = 16 * kPanelRowBytes * k;
#pragma unroll
        for (int j = 0; j < kBlocks; ++j)
          multiply_64x128_transposed<T>(sums[j], operand(stage.h[m] + row, 1024),
                                        operand(stage.dg[panel0 + 2 * j] + row, kPanelBytes));
        if (sums_bias)
#pragma unroll
          for (int p = 0; p < 2; ++p)
            multiply_64x8_transposed<T>(bias[p], operand(stage.dg[2 * group + p] + row, 1024),
                                        operand(s.ones, 0), true);
      }
      products_commit();
      products_wait<0>();
#pragma unroll
      for (int j = 0; j < kBlocks; ++j) hold(sums[j]);
      hold(bias[0]);
      hold(bias[1]);
      barrier_arrive(&s.empty[at]);
    }
    const int row = threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
    for (int j = 0; j < kBlocks; ++j)
#pragma unroll
      for (int x = 0; x < 64; x += 2) {
        const int unit = m0 + m * kPanel + row + x / 2 % 2 * 8;
        const int column = x / 4 * 8 + lane % 4 * 2;
        const int panel = n_tile * kTilePanels + panel0 + 2 * j + column / kPanel;
        const int gate_unit = panel % g.panels_per_gate * kPanel + column % kPanel;
        if (unit >= g.D || gate_unit >= g.D || panel >= 4 * g.panels_per_gate) continue;
        float* to = g.dR_parts + ((blockIdx.y * g.H + head) * g.D + unit) * (4 * g.D) +
                    panel / g.panels_per_gate * g.D + gate_unit;
        *reinterpret_cast<float2*>(to) = make_float2(sums[j][x], sums[j][x + 1]);
      }
    if (!sums_bias || lane % 4 != 0) return;
#pragma unroll
    for (int p = 0; p < 2; ++p)
#pragma unroll
      for (int e = 0; e < 2; ++e) {  // all columns of the product are the same
        const int panel = n_tile * kTilePanels + 2 * group + p;
        const int gate_unit = panel % g.panels_per_gate * kPanel + row + e * 8;
        if (gate_unit >= g.D || panel >= 4 * g.panels_per_gate) continue;
        g.dbias_parts[(blockIdx.y * g.H + head) * (4 * g.D) + panel / g.panels_per_gate * g.D +
                      gate_unit] = bias[p][2 * e];
      }
  }
};

// Empty where the architecture has no such instructions; never launched there (device_is_hopper).
template <class T, int kMBlocks>
__global__ void __launch_bounds__(kThreads, 1)
    weight_grad_products([[maybe_unused]] const __grid_constant__ WeightGradArgs args) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  unsigned char* base = dynamic_shared();
  const uint32_t gap = (1024 - shared_address(base) % 1024) % 1024;
  WeightGrad<T, kMBlocks>(args, *reinterpret_cast<WeightGradMemory<kMBlocks>*>(base + gap)).run();
#endif
}

template <class T, int kMBlocks>
xlstm_status launch(const WeightGradArgs& args, int64_t parts, cudaStream_t stream) {
  constexpr int kBytes = WeightGradMemory<kMBlocks>::kBytes + 1024;
  const auto kernel = weight_grad_products<T, kMBlocks>;
  if (!answered(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes)))
    return XLSTM_DEVICE_ERROR;
  const dim3 grid(static_cast<unsigned>(args.H * args.m_tiles * args.n_tiles),
                  static_cast<unsigned>(parts));
  kernel<<<grid, kThreads, kBytes, stream>>>(args);
  return launched();
}

}  // namespace

int64_t slstm_weight_grad_hopper_parts(const xlstm_slstm_bwd_args& a) {
  constexpr int64_t kMost = int64_t{1} << 30;
  const bool takes =
      a.dtype != XLSTM_F32 && a.dR != nullptr && a.D % 8 == 0 && a.D < (1 << 20) && a.T < kMost &&
      a.B < kMost && a.H < (1 << 16) &&
      is_packed<bf16>(a.h, a.h_stride_b | a.h_stride_t | a.h_stride_h) &&
      is_packed<bf16>(a.dwx, a.dwx_stride_b | a.dwx_stride_t | a.dwx_stride_g | a.dwx_stride_h) &&
      device_is_hopper();
  return takes ? WeightGradPlan(a).parts : 0;
}

xlstm_status slstm_weight_grad_hopper(const xlstm_slstm_bwd_args& a, float* dR_parts,
                                      float* dbias_parts, cudaStream_t stream) {
  const WeightGradPlan plan(a);
  WeightGradArgs args{};
  const int64_t sizes[4] = {a.D, a.H, a.T, a.B};
  const auto describe = [&](CUtensorMap* map, const void* data, int64_t h, int64_t t, int64_t b) {
    return make_tensor_map(map, a.dtype, data, sizes, {h, t, b}, kSteps);
  };
  if (!describe(&args.h, a.h, a.h_stride_h, a.h_stride_t, a.h_stride_b)) return XLSTM_DEVICE_ERROR;
  for (int gate = 0; gate < 4; ++gate)
    if (!describe(&args.dg[gate], static_cast<const bf16*>(a.dwx) + gate * a.dwx_stride_g,
                  a.dwx_stride_h, a.dwx_stride_t, a.dwx_stride_b))
      return XLSTM_DEVICE_ERROR;
  args.T = a.T;
  args.H = a.H;
  args.D = a.D;
  args.reset = a.reset;
  args.chunks_per_row = plan.chunks_per_row;
  args.chunks = plan.chunks;
  args.chunks_per_part = plan.chunks_per_part;
  args.m_tiles = static_cast<int>(plan.m_tiles);
  args.n_tiles = static_cast<int>(plan.n_tiles);
  args.panels_per_gate = static_cast<int>(ceil_div(a.D, kPanel));
  args.dR_parts = dR_parts;
  args.dbias_parts = dbias_parts;
  const auto with_type = [&](auto element) {
    using T = typename decltype(element)::type;
    return plan.m_blocks == 2 ? launch<T, 2>(args, plan.parts, stream)
                              : launch<T, 1>(args, plan.parts, stream);
  };
  return a.dtype == XLSTM_BF16 ? with_type(Element<bf16>()) : with_type(Element<f16>());
}

}  // namespace xlstm::kernels
