// A block of a sweep: what it has in shared memory, where it is, and what it loads. README.md says
// who waits for whom.
#pragma once

#include "kernels/common/hopper.cuh"
#include "kernels/mlstm/mlstm_resident.cuh"

namespace xlstm::kernels::mlstm {
namespace {

using namespace hopper;

constexpr int kL = kSweepChunk;
constexpr int kPanelBytes = kL * kPanelRowBytes;
constexpr int kGroup = 128;  // threads of a warpgroup

// What the gates say of the steps of a chunk.
struct StepVectors {
  float2 row_uw[kL], column_uw[kL];
  float out_scale[kL], a_scale[kL];
  int first[kL];
  float extra[kL], dl[kL], vector_scale[kL];  // extra: m for h, else 1 / N
};

// Which columns of the state a warpgroup keeps: all of them, of rows of its own; half of them, of
// the rows that both have; or half of those that the pass has (SweepArgs).
enum class Columns { kAll, kHalves, kPass };

// kGroups: warpgroups that keep the state; kPanels: panels of 64 columns of each.
template <Output kOutput, int kGroups, int kPanels, Columns kColumns>
struct Shape {
  static constexpr bool kSplit = kColumns != Columns::kAll, kIsPass = kColumns == Columns::kPass;
  static constexpr int kThreads = (1 + kGroups) * kGroup;
  static constexpr int kRowBlocks = kSplit ? 1 : kGroups;  // of 64 rows, of the block
  static constexpr int kAllPanels = kSplit ? kGroups * kPanels : kPanels;
  static constexpr bool kHasFactor = kOutput == Output::kDq || kOutput == Output::kDk;

  using Panels = unsigned char[kAllPanels][kPanelBytes];
  // For h, eight rows of U behind its steps: n in three parts, and zeros. P of them is q n.
  static constexpr int kPanelU = kPanelBytes + (kOutput == Output::kH ? 8 * kPanelRowBytes : 0);
  struct Factor {
    alignas(1024) unsigned char factor[kRowBlocks][kPanelBytes];
  };
  struct NoFactor {};
  // What a chunk brings beside P, which is free earlier.
  struct Stage : std::conditional_t<kHasFactor, Factor, NoFactor> {
    alignas(1024) unsigned char u[kAllPanels][kPanelU];
    unsigned char a[kRowBlocks][kPanelBytes];
  };
  static constexpr int kLoaded = (kAllPanels + (kHasFactor ? 2 : 1) * kRowBlocks) * kPanelBytes;
  template <int kPs, int kStages, int kBuffers>
  struct Rest {
    alignas(1024) unsigned char scores[kBuffers][kPanelBytes];
    alignas(1024) unsigned char out[kRowBlocks][kPanelBytes];
    unsigned char scales[kOutput == Output::kH ? 1024 : 16];  // for n of h
    float partial[kSplit ? 32 : 1][kSplit ? kGroup : 1];
    float inv_n[kIsPass ? kBuffers : 1][kIsPass ? kL : 1];  // of h
    float scale[kBuffers][kL], sums[2][kGroups][4][kHasFactor ? kL : 1];
    alignas(16) float vector[kAllPanels * kPanelCols];  // n of h
    uint64_t p_full[kPs], p_empty[kPs], full[kStages], empty[kStages], scores_full[kBuffers],
        scores_empty[kBuffers], partial_read;
  };
  template <int kPs, int kStages, int kBuffers>
  struct Memory {
    alignas(1024) Panels p[kPs];
    Stage stages[kStages];
    Rest<kPs, kStages, kBuffers> rest;
    alignas(16) StepVectors vectors[kStages];
  };
  static constexpr int kBlocks = kGroups * kPanels == 1 ? 2 : 1;  // of a multiprocessor
  static constexpr int kMost = 227 * 1024 / kBlocks - 2048;
  template <int kPs, int kStages, int kBuffers>
  static constexpr bool kFits = sizeof(Memory<kPs, kStages, kBuffers>) <= kMost;
  static constexpr int kMostStages = 4;
  static constexpr int kStages = kFits<kMostStages, kMostStages, 2> ? kMostStages
                                 : kFits<3, 3, 2>                   ? 3
                                 : kFits<1, 2, 1>                   ? 2
                                                                    : 1;
  static constexpr int kPs = kFits<kStages, kStages, 1> ? kStages : kFits<2, kStages, 1> ? 2 : 1;
  static constexpr int kBuffers = kFits<kPs, kStages, 2> ? 2 : 1;
  using Shared = Memory<kPs, kStages, kBuffers>;
  static_assert(sizeof(Shared) <= kMost, "more than a multiprocessor has");
  static constexpr int kSharedBytes = static_cast<int>(sizeof(Shared)) + 1024;
};

template <class T, Output kOutput, int kGroups, int kPanels, Columns kColumns>
class SweepBlock {
 public:
  using S = Shape<kOutput, kGroups, kPanels, kColumns>;
  using Shared = typename S::Shared;
  using Stage = typename S::Stage;

  __device__ SweepBlock(const SweepArgs& args, Shared& memory) : g(args), s(memory) {
    slices = static_cast<int>(ceil_div(g.M, S::kRowBlocks * 64));
    const int segments = g.states_only ? g.segments - 1 : g.segments;
    head = static_cast<int>(blockIdx.x) / slices / segments;
    segment = static_cast<int>(blockIdx.x) / slices % segments;
    slice = static_cast<int>(blockIdx.x) % slices;
    chunks = static_cast<int>(g.gates.chunks);
    first = segment * g.segment_chunks;
    count = min(g.segment_chunks, chunks - first);
    lane = static_cast<int>(threadIdx.x) % 32;
    warp = static_cast<int>(threadIdx.x) / 32 % 4;
    row = 16 * warp + lane / 4;
    col = lane % 4 * 2;
  }

  __device__ void init_barriers() {
    if (threadIdx.x == 0) {
      for (int i = 0; i < S::kPs; ++i) {
        barrier_init(&s.rest.p_full[i], 1);
        barrier_init(&s.rest.p_empty[i], S::kThreads / 32);
      }
      for (int i = 0; i < S::kStages; ++i) {
        barrier_init(&s.rest.full[i], 1);
        barrier_init(&s.rest.empty[i], S::kThreads);
      }
      for (int i = 0; i < S::kBuffers; ++i) {
        barrier_init(&s.rest.scores_full[i], kGroup);
        barrier_init(&s.rest.scores_empty[i], kReaders * kGroup);
      }
      barrier_init(&s.rest.partial_read, kGroup);
      barrier_init_fence();
    }
  }

  // Rows of the scores, and of the output, are query steps; or key steps, and time runs backward.
  static constexpr bool kQueryRows = kOutput == Output::kH || kOutput == Output::kDq;
  static constexpr bool kIsH = kOutput == Output::kH;
  static constexpr bool kSplit = S::kSplit, kIsPass = S::kIsPass;
  // Where the vector beside the state (n or dn) lies: along its rows, or (n of h) its columns.
  static constexpr bool kRowVector = kOutput == Output::kDq || kOutput == Output::kDk;
  // Whether the state needs more registers than an even share.
  static constexpr bool kMoves = kGroups == 2 && kPanels > 2;

  // Named barriers: of the score warps; of each group before and after its output stands in shared
  // memory; of both groups when partial outputs do.
  static constexpr int kScoreWarps = 1, kOutput0 = 2, kPartialFull = 4;
  static constexpr int kReaders = S::kRowBlocks;  // groups that read the scores

  // Where registers move: of a thread of the scores, and of each of the two groups of the state.
  static constexpr int kScoreRegisters = kPanels == 3 ? 120 : kIsH ? 88 : 72;
  static constexpr int kStateRegisters = (504 - kScoreRegisters) / 2;

 protected:
  const SweepArgs& g;
  Shared& s;
  // Chunks first .. first + count - 1 in the order of the sweep.
  int head, segment, slice, slices, chunks, first, count, lane, warp, row, col;

  __device__ int chunk_at(int i) const { return kQueryRows ? first + i : chunks - 1 - first - i; }
  // What is left of a state over the segment, in every lane of the warp.
  __device__ float shrinkage(int of) const {
    float left = 1;
    for (int i = of * g.segment_chunks + lane; i < (of + 1) * g.segment_chunks; i += 32)
      left *= g.gates.gamma[head * g.gates.chunks + (kQueryRows ? i : chunks - 1 - i)];
#pragma unroll
    for (int o = 16; o > 0; o /= 2) left *= __shfl_xor_sync(0xffffffffu, left, o);
    return left;
  }

  // By one thread, once the place is free.
  __device__ void load_p(int i) {
    const int at = i % S::kPs, t = chunk_at(i) * kL;
    const int h = static_cast<int>(head % g.H), b = static_cast<int>(head / g.H);
    uint64_t* full = &s.rest.p_full[at];
    barrier_arrive_expect(full, S::kAllPanels * kPanelBytes);
#pragma unroll 1
    for (int j = 0; j < S::kAllPanels; ++j)
      load_box(s.p[at][j], g.p, full, j * kPanelCols, h, t, b);
  }
  __device__ void load(int i) {
    const int at = i % S::kStages, t = chunk_at(i) * kL;
    const int h = static_cast<int>(head % g.H), b = static_cast<int>(head / g.H);
    Stage& stage = s.stages[at];
    StepVectors& v = s.vectors[at];
    uint64_t* full = &s.rest.full[at];
    constexpr int kVectors = kOutput == Output::kDv ? 3 * 4 : kIsH ? 3 * 4 : 5 * 4;
    barrier_arrive_expect(full, S::kLoaded + kL * (2 * 8 + 4 + kVectors));
#pragma unroll 1
    for (int j = 0; j < S::kAllPanels; ++j)
      load_box(stage.u[j], g.u, full, j * kPanelCols, h, t, b);
#pragma unroll 1
    for (int j = 0; j < S::kRowBlocks; ++j) {
      const int x0 = (slice * S::kRowBlocks + j) * 64;
      load_box(stage.a[j], g.a, full, x0, h, t, b);
      if constexpr (S::kHasFactor) load_box(stage.factor[j], g.factor, full, x0, h, t, b);
    }
    const int64_t step = head * g.gates.steps + t;
    load_bytes(v.row_uw, (kQueryRows ? g.gates.w : g.gates.u) + step, sizeof v.row_uw, full);
    load_bytes(v.column_uw, (kQueryRows ? g.gates.u : g.gates.w) + step, sizeof v.column_uw, full);
    load_bytes(v.first, g.gates.first + step, sizeof v.first, full);
    const float* query_scale = kIsH ? g.gates.beta : g.q_scale;
    load_bytes(v.out_scale, (kQueryRows ? query_scale : g.gates.alpha) + step, sizeof v.out_scale,
               full);
    load_bytes(v.a_scale, (kQueryRows ? g.gates.alpha : query_scale) + step, sizeof v.a_scale,
               full);
    load_bytes(v.extra, (kIsH ? g.gates.m : g.inv_n) + step, sizeof v.extra, full);
    if constexpr (kRowVector) {
      load_bytes(v.dl, g.dl + step, sizeof v.dl, full);
      load_bytes(v.vector_scale, g.q_vector_scale + step, sizeof v.vector_scale, full);
    }
  }

  // P is read by products alone, which are through for all lanes.
  __device__ void release_p(int i) const {
    if (lane == 0) barrier_arrive(&s.rest.p_empty[i % S::kPs]);
  }
};

}  // namespace
}  // namespace xlstm::kernels::mlstm
