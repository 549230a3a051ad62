// A block owns some rows of the state of one head and walks the chunks of its sequence; the state
// never leaves the registers. Three warpgroups: one makes the weighted scores, one or two keep the
// state and put out. README.md says who waits for whom.
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

// kGroups: warpgroups that keep the state, 64 rows each; kPanels: panels of 64 columns of each;
// kSplit: they have the same rows, and each its part of the columns.
template <Output kOutput, int kGroups, int kPanels, bool kSplit>
struct Shape {
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
    float scale[kBuffers][kL], sums[2][kGroups][4][kHasFactor ? kL : 1];
    alignas(16) float vector[kAllPanels * kPanelCols];  // n of h
    uint64_t p_full[kPs], p_empty[kPs], full[kStages], empty[kStages], scores_full[kBuffers],
        scores_empty[kBuffers];
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
  static constexpr int kStages = kFits<4, 4, 2> ? 4 : kFits<3, 3, 2> ? 3 : kFits<1, 2, 1> ? 2 : 1;
  static constexpr int kPs = kFits<kStages, kStages, 1> ? kStages : kFits<2, kStages, 1> ? 2 : 1;
  static constexpr int kBuffers = kFits<kPs, kStages, 2> ? 2 : 1;
  using Shared = Memory<kPs, kStages, kBuffers>;
  static_assert(sizeof(Shared) <= kMost, "more than a multiprocessor has");
  static constexpr int kSharedBytes = static_cast<int>(sizeof(Shared)) + 1024;
};

template <class T, Output kOutput, int kGroups, int kPanels, bool kSplit>
class Sweep {
 public:
  using S = Shape<kOutput, kGroups, kPanels, kSplit>;
  using Shared = typename S::Shared;
  using Stage = typename S::Stage;

  __device__ Sweep(const SweepArgs& args, Shared& memory) : g(args), s(memory) {
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

  __device__ void run() {
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
      barrier_init_fence();
    }
    __syncthreads();
    const int group = static_cast<int>(threadIdx.x) / kGroup;
    if (group == 0) {
      if constexpr (kMoves) leave_registers<kScoreRegisters>();
      score_chunks();
    } else {
      if constexpr (kMoves) take_registers<(504 - kScoreRegisters) / 2>();
      keep_state(group - 1);
    }
  }

 private:
  // Rows of the scores, and of the output, are query steps; or key steps, and time runs backward.
  static constexpr bool kQueryRows = kOutput == Output::kH || kOutput == Output::kDq;
  static constexpr bool kIsH = kOutput == Output::kH;
  // Where the vector beside the state (n or dn) lies: along its rows, or (n of h) its columns.
  static constexpr bool kRowVector = kOutput == Output::kDq || kOutput == Output::kDk;
  // Whether the state needs more registers than an even share.
  static constexpr bool kMoves = kGroups == 2 && kPanels > 2;

  // Named barriers: of the score warps; of each group before and after its output stands in shared
  // memory; of partial outputs.
  static constexpr int kScoreWarps = 1, kOutput0 = 2, kPartialFull = 4, kPartialEmpty = 5;
  static constexpr int kReaders = S::kRowBlocks;  // groups that read the scores

  // Of 504 a thread of each group may share.
  static constexpr int kScoreRegisters = kPanels == 3 ? 120 : kIsH ? 88 : 72;

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

  // ---- loads ----

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

  // ---- the scores ----

  __device__ void score_chunks() {
    if constexpr (kIsH) start_vector();
    for (int i = 0; i < count; ++i) {
      const int at = i % S::kStages, buffer = i % S::kBuffers;
      const float gamma = kIsH ? g.gates.gamma[head * g.gates.chunks + chunk_at(i)] : 0.0f;
      if (g.states_only) {
        barrier_wait(&s.rest.full[at], i / S::kStages & 1);
        if constexpr (kIsH) {
          if (g.normalize) {
            store_scales(s.vectors[at]);
            fence_async_proxy();
            named_barrier(kScoreWarps, kGroup);
            add_to_vector(s.stages[at], gamma, s.stages[(i + 1) % S::kStages].u);
            named_barrier(kScoreWarps, kGroup);
          }
        }
        barrier_arrive(&s.rest.empty[at]);
        continue;
      }
      barrier_wait(&s.rest.p_full[i % S::kPs], i / S::kPs & 1);
      barrier_wait(&s.rest.full[at], i / S::kStages & 1);
      const auto& p = s.p[i % S::kPs];
      const Stage& stage = s.stages[at];
      const StepVectors& v = s.vectors[at];
      float x[kIsH ? 36 : 32];
      hold(x);
      products_begin();
#pragma unroll
      for (int j = 0; j < S::kAllPanels; ++j)
#pragma unroll
        for (int k = 0; k < 4; ++k)
          if constexpr (kIsH) {
            multiply_64x72<T>(x, operand(p[j] + 32 * k, 0), operand(stage.u[j] + 32 * k, 0),
                              j + k > 0);
          } else {
            multiply_64x64<T>(x, operand(p[j] + 32 * k, 0), operand(stage.u[j] + 32 * k, 0),
                              j + k > 0);
          }
      products_commit();
      if constexpr (kIsH) store_scales(v);
      float l[2] = {0, 0};
      products_wait<0>();
      hold(x);
      release_p(i);
      if constexpr (kIsH) {
#pragma unroll
        for (int e = 0; e < 2; ++e)  // zero but in the lanes that have n's three columns
          l[e] = g.query_scale * v.out_scale[row + 8 * e] * (x[32 + 2 * e] + x[33 + 2 * e]);
      }
      weigh(x, v, l);
      if (i >= S::kBuffers) barrier_wait(&s.rest.scores_empty[buffer], (i / S::kBuffers - 1) & 1);
      if constexpr (kIsH) divide(x, l, v, s.rest.scale[buffer]);
      store_scores(x, s.rest.scores[buffer]);
      fence_async_proxy();
      barrier_arrive(&s.rest.scores_full[buffer]);
      if constexpr (kIsH) {
        if (g.normalize) {
          // Not earlier: the fence would wait until it is written.
          store_l(l, chunk_at(i));
          named_barrier(kScoreWarps, kGroup);  // the scales stand
          add_to_vector(stage, gamma, s.stages[(i + 1) % S::kStages].u);
          fence_async_proxy();
          named_barrier(kScoreWarps, kGroup);
        }
      }
      barrier_arrive(&s.rest.empty[at]);
    }
    if constexpr (kIsH) {
      if (!g.normalize || slice != 0) return;
      named_barrier(kScoreWarps, kGroup);
      float* to = g.states_only ? vector_part(segment)
                  : segment + 1 == g.segments && g.s_last != nullptr
                      ? g.s_last + int64_t{head} * g.N
                      : nullptr;
      for (int n = static_cast<int>(threadIdx.x); to != nullptr && n < g.N; n += kGroup)
        to[n] = s.rest.vector[n];
    }
  }

  __device__ void start_vector() {
    for (int n = static_cast<int>(threadIdx.x); n < S::kAllPanels * kPanelCols; n += kGroup) {
      const bool begins = g.s_first != nullptr && n < g.N && !g.states_only;
      s.rest.vector[n] = begins ? g.s_first[int64_t{head} * g.N + n] : 0.0f;
    }
    for (int r = 0; r < segment && !g.states_only; ++r) {
      const float left = shrinkage(r);
      for (int n = static_cast<int>(threadIdx.x); n < g.N; n += kGroup)
        s.rest.vector[n] = left * s.rest.vector[n] + vector_part(r)[n];
    }
    for (int i = 0; i < S::kStages; ++i)
      for (int at = static_cast<int>(threadIdx.x); at < S::kAllPanels * 64; at += kGroup)
        *reinterpret_cast<uint4*>(s.stages[i].u[at / 64] + kPanelBytes + at % 64 * 16) =
            make_uint4(0, 0, 0, 0);
    if (threadIdx.x < 64)
      reinterpret_cast<uint4*>(s.rest.scales)[threadIdx.x] = make_uint4(0, 0, 0, 0);
    named_barrier(kScoreWarps, kGroup);
    for (int j = 0; j < S::kAllPanels && lane % 4 == 0; ++j)
      for (int e = 0; e < 2; ++e)
        write_vector(s.stages[0].u, j, e, s.rest.vector[j * kPanelCols + row + 8 * e]);
    fence_async_proxy();
    named_barrier(kScoreWarps, kGroup);
  }
  __device__ float* vector_part(int of) const {
    return g.s_parts + (int64_t{head} * (g.segments - 1) + of) * g.N;
  }
  // x as a sum of three numbers of 16 bits, high to low.
  static constexpr int kParts = 3;
  struct Parts {
    T part[kParts];
    __device__ explicit Parts(float x) {
#pragma unroll
      for (int r = 0; r < kParts; ++r) {
        part[r] = from_float<T>(x);
        x -= to_float(part[r]);
      }
    }
  };
  // The scales of the steps, as an operand of eight rows.
  __device__ void store_scales(const StepVectors& v) {
    const int t = static_cast<int>(threadIdx.x);
    if (t >= kL) return;
    const Parts x(v.a_scale[t]);
#pragma unroll
    for (int r = 0; r < kParts; ++r)
      *reinterpret_cast<T*>(s.rest.scales + piece_at(r, t / 8) + t % 8 * 2) = x.part[r];
  }
  // The elements `row` + 8 e of panel j of n, behind the steps of U.
  __device__ void write_vector(unsigned char (*u)[S::kPanelU], int j, int e, float n) {
    s.rest.vector[j * kPanelCols + row + 8 * e] = n;
    const Parts x(n);
#pragma unroll
    for (int r = 0; r < kParts; ++r) {
      // piece_at(kL + r, row / 8 + e), with the part of it that differs from thread to thread first
      const int piece = (2 * warp) ^ (r & ~1), other = e ^ (r & 1);
      *reinterpret_cast<T*>(u[j] + piece * 16 + lane / 4 * 2 + (kL + r) * kPanelRowBytes +
                            other * 16) = x.part[r];
    }
  }
  // n <- gamma n + U^T scale, once the scales stand there.
  __device__ void add_to_vector(const Stage& stage, float gamma,
                                unsigned char (*next_u)[S::kPanelU]) {
    float sums[S::kAllPanels][4];
#pragma unroll
    for (int j = 0; j < S::kAllPanels; ++j) hold(sums[j]);
    products_begin();
#pragma unroll
    for (int j = 0; j < S::kAllPanels; ++j)
#pragma unroll
      for (int k = 0; k < 4; ++k)
        multiply_64x8_transposed<T>(sums[j], operand(stage.u[j] + 16 * kPanelRowBytes * k, 1024),
                                    operand(s.rest.scales + 32 * k, 0), k > 0);
    products_commit();
    products_wait<0>();
#pragma unroll
    for (int j = 0; j < S::kAllPanels; ++j) {
      hold(sums[j]);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float sum = sums[j][2 * e] + sums[j][2 * e + 1];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);  // the third part
        if (lane % 4 != 0) continue;
        write_vector(next_u, j, e, gamma * s.rest.vector[j * kPanelCols + row + 8 * e] + sum);
      }
    }
  }

  template <int kX>
  __device__ void weigh(float (&x)[kX], const StepVectors& v, float (&l)[2]) const {
    const float log2_scale = log2f(g.query_scale);
    float2 mine[2];
    int first[2];
    float inv_n[2], dl[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      mine[e] = v.row_uw[row + 8 * e];
      if constexpr (kQueryRows) first[e] = v.first[row + 8 * e];
      if constexpr (kOutput == Output::kDq) {
        inv_n[e] = v.extra[row + 8 * e];
        dl[e] = v.dl[row + 8 * e];
      }
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (kMoves || j % 4 == 0)
        asm volatile("" ::: "memory");  // loads far ahead would cost registers
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int r = row + e / 2 * 8, c = 8 * j + col + e % 2;
        const bool paired = kQueryRows ? c <= r && c >= first[e / 2] : r <= c && r >= v.first[c];
        const float2 other = v.column_uw[c];
        const float high = kQueryRows ? other.x - mine[e / 2].x : mine[e / 2].x - other.x;
        const float low = kQueryRows ? other.y - mine[e / 2].y : mine[e / 2].y - other.y;
        const float decay = exp2_fast(fmaf(high + low, 1.44269504f, log2_scale));
        float y = x[4 * j + e];
        if constexpr (kOutput == Output::kDq) y = inv_n[e / 2] * y + dl[e / 2];
        if constexpr (kOutput == Output::kDk) y = v.extra[c] * y + v.dl[c];
        if constexpr (kOutput == Output::kDv) y = v.extra[c] * y;
        y = paired ? decay * y : 0.0f;
        if constexpr (kIsH) l[e / 2] += y;
        x[4 * j + e] = y;
      }
    }
  }

  template <int kX>
  __device__ void store_scores(const float (&x)[kX], unsigned char* to) const {
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e)
        *reinterpret_cast<uint32_t*>(to + piece_at(row + 8 * e, j) + col * 2) =
            packed_pair<T>(x[4 * j + 2 * e], x[4 * j + 2 * e + 1]);
  }

  // Divides the scores of h, and the scales of what the state gives, by N.
  template <int kX>
  __device__ void divide(float (&x)[kX], float (&l)[2], const StepVectors& v, float* scale) const {
    float n[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int r = row + 8 * e;
      l[e] = row_sum(l[e]);
      n[e] = 1.0f;
      if (g.normalize) n[e] = __frcp_rn(denominator(l[e], expf(floor_exponent(v.extra[r])), g.eps));
      if (lane % 4 == 0) scale[r] = n[e] * g.query_scale * v.out_scale[r];
    }
#pragma unroll
    for (int j = 0; j < 32; ++j) x[j] *= n[j / 2 % 2];
  }
  __device__ void store_l(const float (&l)[2], int chunk) const {
    if (g.saved_l == nullptr || slice != 0 || lane % 4 != 0) return;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int64_t t = int64_t{chunk} * kL + row + 8 * e;
      if (t < g.T) g.saved_l[head * g.T + t] = l[e];
    }
  }

  // ---- the state ----

  using State = float[kPanels][32];
  using Vector = float[2];  // this lane's share of the vector of rows `row` and `row` + 8

  // visit(m, n, element) for the lane's elements of the state inside of it.
  template <class Visit>
  __device__ void each(State& X, int m0, int n0, Visit visit) const {
#pragma unroll
    for (int j = 0; j < kPanels; ++j)
#pragma unroll
      for (int e = 0; e < 32; ++e) {
        const int64_t m = m0 + row + e / 2 % 2 * 8;
        const int64_t n = n0 + kPanelCols * j + e / 4 * 8 + col + e % 2;
        if (m < g.M && n < g.N) visit(m, n, X[j][e]);
      }
  }

  __device__ void keep_state(int group) {
    const int block = kSplit ? 0 : group;             // of the block's 64 rows
    const int panel0 = kSplit ? group * kPanels : 0;  // of the panels of P and U
    const int m0 = (slice * S::kRowBlocks + block) * 64, n0 = panel0 * kPanelCols;
    const bool puts_out = !kSplit || group == 0;
    const bool loads = threadIdx.x == kGroup;  // one thread of the first group
    const bool stores = threadIdx.x % kGroup == 0;
    if (loads)
      for (int i = 0; i < 4 && i < count; ++i) {
        if (i < S::kPs && !g.states_only) load_p(i);
        if (i < S::kStages) load(i);
      }
    State X = {};
    Vector vec = {};
    if (!g.states_only) start(X, vec, group, m0, n0, puts_out);
    for (int i = 0; i < count; ++i) {
      const int at = i % S::kStages, buffer = i % S::kBuffers, chunk = chunk_at(i);
      if constexpr (kOutput == Output::kDk) {
        if (is_anchor(chunk) && !g.states_only) take_inner(X, vec, group, chunk);
      }
      const float gamma = g.gates.gamma[head * g.gates.chunks + chunk];
      if (!g.states_only) barrier_wait(&s.rest.p_full[i % S::kPs], i / S::kPs & 1);
      barrier_wait(&s.rest.full[at], i / S::kStages & 1);
      const auto& p = s.p[i % S::kPs];
      const Stage& stage = s.stages[at];
      const StepVectors& v = s.vectors[at];
      float out[32];
      uint32_t a[4][4];
      if (g.states_only) {
        load_left_of(a, stage.a[block]);
      } else {
        read_state(X, out, p, panel0);
        release_p(i);
        if constexpr (kSplit) add_halves(out, group, i);
        if (puts_out) {
          barrier_wait(&s.rest.scores_full[buffer], i / S::kBuffers & 1);
          scale_out(out, vec, v, kIsH ? s.rest.scale[buffer] : v.out_scale);
        }
        if (loads && i + S::kPs < count) {
          barrier_wait(&s.rest.p_empty[i % S::kPs], i / S::kPs & 1);
          load_p(i + S::kPs);
        }
        load_left_of(a, stage.a[block]);
        if (puts_out) {
          hold(out);
          products_begin();
#pragma unroll
          for (int k = 0; k < 4; ++k)
            multiply_64x64<T, false>(out, a[k], operand(s.rest.scores[buffer] + 32 * k, 0), true);
          products_commit();
          products_wait<0>();  // a is free
          hold(out);
        }
      }
      scale_left(a, v, vec, gamma);
#pragma unroll
      for (int j = 0; j < kPanels; ++j) {
#pragma unroll
        for (int e = 0; e < 32; ++e) X[j][e] *= gamma;
        hold(X[j]);
      }
      products_begin();
#pragma unroll
      for (int k = 0; k < 4; ++k)
#pragma unroll
        for (int j = 0; j < kPanels; ++j)
          multiply_64x64<T, true>(
              X[j], a[k], operand(stage.u[panel0 + j] + 16 * kPanelRowBytes * k, 1024), true);
      products_commit();
      if (puts_out && !g.states_only) {
        if constexpr (S::kHasFactor)
          sum_products(out, stage.factor[block], s.rest.sums[i % 2][group]);
        put_out(out, s.rest.out[block], stores, group);
        if constexpr (S::kHasFactor) store_products(s.rest.sums[i % 2][group], group, chunk);
      }
      products_wait<0>();
#pragma unroll
      for (int j = 0; j < kPanels; ++j) hold(X[j]);
      if (stores && puts_out && !g.states_only) {
        store_box(g.out, s.rest.out[block], m0, static_cast<int>(head % g.H), chunk * kL,
                  static_cast<int>(head / g.H));
        commit_stores();
      }
      if (puts_out && !g.states_only) barrier_arrive(&s.rest.scores_empty[buffer]);
      barrier_arrive(&s.rest.empty[at]);
      if constexpr (kOutput == Output::kDq) {
        if (is_anchor(chunk) && !g.states_only) keep_anchor(X, vec, group, m0, chunk);
      }
      if (loads && i + S::kStages < count) {
        barrier_wait(&s.rest.empty[at], i / S::kStages & 1);
        load(i + S::kStages);
      }
    }
    if (stores) wait_stores<0>();
    finish(X, vec, group, m0, n0, puts_out);
  }

  // Where the thread's numbers of a segment's state stand: [heads, segments - 1, slices, groups,
  // numbers, threads].
  static constexpr int kNumbers = kPanels * 32 + 2;
  __device__ float* part_of(int of, int group) const {
    const int64_t at = ((int64_t{head} * (g.segments - 1) + of) * slices + slice) * kGroups + group;
    return g.X_parts + at * (kNumbers * kGroup) + threadIdx.x % kGroup;
  }

  // The state before the segment: that of the beginning, and what the segments between added.
  __device__ void start(State& X, Vector& vec, int group, int m0, int n0, bool puts_out) const {
    if (g.X_first != nullptr) {
      const float* from = g.X_first + head * g.M * g.N;
      each(X, m0, n0,
           [&](int64_t m, int64_t n, float& x) { x = from[m * g.stride_m + n * g.stride_n]; });
    }
    if constexpr (kRowVector) {
      if (g.s_first != nullptr && lane % 4 == 0 && puts_out) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int m = m0 + row + 8 * e;
          if (m < g.M) vec[e] = g.s_first[head * g.M + m];
        }
      }
    }
    for (int r = 0; r < segment; ++r) {
      const float left = shrinkage(r);
      const float* part = part_of(r, group);
      float* x = &X[0][0];
      float* y = vec;
#pragma unroll
      for (int e = 0; e < kPanels * 32; ++e) x[e] = left * x[e] + part[e * kGroup];
#pragma unroll
      for (int e = 0; e < 2; ++e) y[e] = left * y[e] + part[(kPanels * 32 + e) * kGroup];
    }
  }

  __device__ void finish(State& X, Vector& vec, int group, int m0, int n0, bool puts_out) const {
    if (g.states_only) {
      float* part = part_of(segment, group);
      const float *x = &X[0][0], *y = vec;
#pragma unroll
      for (int e = 0; e < kPanels * 32; ++e) part[e * kGroup] = x[e];
#pragma unroll
      for (int e = 0; e < 2; ++e) part[(kPanels * 32 + e) * kGroup] = y[e];
      return;
    }
    if (segment + 1 != g.segments) return;
    if (g.X_last != nullptr) {
      float* to = g.X_last + head * g.M * g.N;
      each(X, m0, n0,
           [&](int64_t m, int64_t n, float& x) { to[m * g.stride_m + n * g.stride_n] = x; });
    }
    if constexpr (kRowVector) {
      if (g.s_last == nullptr || !puts_out) return;
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int m = m0 + row + 8 * e;
        const float whole = row_sum(vec[e]);
        if (lane % 4 == 0 && m < g.M) g.s_last[head * g.M + m] = whole;
      }
    }
  }

  // out = X P^T, with X rounded.
  __device__ void read_state(const float (&X)[kPanels][32], float (&out)[32],
                             const typename S::Panels& p, int panel0) const {
    hold(out);
    constexpr int kAtOnce = kPanels == 2 ? 2 : 1;  // panels
#pragma unroll
    for (int j0 = 0; j0 < kPanels; j0 += kAtOnce) {
      uint32_t a[4 * kAtOnce][4];
#pragma unroll
      for (int k = 0; k < 4 * kAtOnce; ++k)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int at = 8 * (k % 4) + 2 * e;
          a[k][e] = packed_pair<T>(X[j0 + k / 4][at], X[j0 + k / 4][at + 1]);
        }
      products_begin();
#pragma unroll
      for (int k = 0; k < 4 * kAtOnce; ++k)
        multiply_64x64<T, false>(out, a[k], operand(p[panel0 + j0 + k / 4] + 32 * (k % 4), 0),
                                 j0 + k > 0);
      products_commit();
      products_wait<0>();
    }
    hold(out);
  }

  // The first group adds what the second one has of the same rows.
  __device__ void add_halves(float (&out)[32], int group, int i) {
    const int thread = static_cast<int>(threadIdx.x) % kGroup;
    if (group == 1) {
      if (i > 0) named_barrier(kPartialEmpty, 2 * kGroup);  // the last ones were read
#pragma unroll
      for (int e = 0; e < 32; ++e) s.rest.partial[e][thread] = out[e];
      named_barrier(kPartialFull, 2 * kGroup);
      return;
    }
    named_barrier(kPartialFull, 2 * kGroup);
#pragma unroll
    for (int e = 0; e < 32; ++e) out[e] += s.rest.partial[e][thread];
    if (i + 1 < count) named_barrier_arrive(kPartialEmpty, 2 * kGroup);
  }

  __device__ void scale_out(float (&out)[32], const float (&vec)[2], const StepVectors& v,
                            const float* scale) const {
    float whole[2] = {0, 0};
    if constexpr (kRowVector) {
      whole[0] = row_sum(vec[0]);
      whole[1] = row_sum(vec[1]);
    }
#pragma unroll
    for (int e = 0; e < 32; ++e) {
      const int t = e / 4 * 8 + col + e % 2;
      out[e] *= scale[t];
      if constexpr (kOutput == Output::kDq) out[e] += v.vector_scale[t] * whole[e / 2 % 2];
      if constexpr (kOutput == Output::kDk) out[e] += v.out_scale[t] * whole[e / 2 % 2];
    }
  }

  // A^T of the group's 64 columns of a panel of A, for products over its 64 steps.
  __device__ void load_left_of(uint32_t (&a)[4][4], const unsigned char* panel) const {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int t = 16 * k + lane % 8 + lane / 16 * 8, piece = 2 * warp + lane / 8 % 2;
      load_matrices_transposed(a[k], panel + piece_at(t, piece));
    }
  }

  // Scales A^T for the state, and adds it up for the vector.
  __device__ void scale_left(uint32_t (&a)[4][4], const StepVectors& v, float (&vec)[2],
                             float gamma) const {
    if constexpr (kRowVector) {
      vec[0] *= gamma;
      vec[1] *= gamma;
    }
    const float* vector_scale = kOutput == Output::kDk ? v.vector_scale : v.a_scale;
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int t = 16 * k + e / 2 * 8 + col;
        const float2 pair = unpacked_pair<T>(a[k][e]);
        if constexpr (kRowVector)
          vec[e % 2] += vector_scale[t] * pair.x + vector_scale[t + 1] * pair.y;
        a[k][e] = packed_pair<T>(v.a_scale[t] * pair.x, v.a_scale[t + 1] * pair.y);
      }
  }

  // <factor_t, out_t> over the group's 64 columns, before the output is rounded.
  __device__ void sum_products(const float (&out)[32], const unsigned char* panel,
                               float (&parts)[4][kL]) const {
    uint32_t f[4][4];
    load_left_of(f, panel);
    float sums[8][2] = {};
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int j = 2 * k + e / 2, at = 4 * j + e % 2 * 2;
        const float2 pair = unpacked_pair<T>(f[k][e]);
        sums[j][0] += pair.x * out[at];
        sums[j][1] += pair.y * out[at + 1];
      }
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
#pragma unroll
        for (int o = 4; o < 32; o *= 2) sums[j][e] += __shfl_xor_sync(0xffffffffu, sums[j][e], o);
        if (lane < 4) parts[warp][8 * j + col + e] = sums[j][e];
      }
  }
  // After put_out, whose barriers order the parts and whose fence would wait for this store.
  __device__ void store_products(const float (&parts)[4][kL], int group, int chunk) const {
    const int t = static_cast<int>(threadIdx.x) % kGroup;
    if (t < kL) {
      float* to = g.products +
                  ((slice * (kSplit ? 1 : kGroups) + (kSplit ? 0 : group)) * g.heads + head) *
                      g.gates.steps +
                  chunk * kL + t;
      *to = parts[0][t] + parts[1][t] + parts[2][t] + parts[3][t];
    }
  }

  // The output of 64 columns, transposed, into the panel from which it is stored.
  __device__ void put_out(const float (&out)[32], unsigned char* panel, bool stores,
                          int group) const {
    if (stores) wait_stores_read<0>();
    named_barrier(kOutput0 + group, kGroup);
#pragma unroll
    for (int j = 0; j < 8; j += 2) {  // steps 8 j .. 8 j + 15
      uint32_t r[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {  // rows + 0, + 8 of the first eight steps, then of the others
        const int at = 4 * (j + e / 2) + e % 2 * 2;
        r[e] = packed_pair<T>(out[at], out[at + 1]);
      }
      // Matrix e: steps 8 (j + e / 2) .., columns 16 warp + 8 (e % 2) ..
      const int of = lane / 8, t = 8 * (j + of / 2) + lane % 8, piece = 2 * warp + of % 2;
      store_matrices_transposed(panel + piece_at(t, piece), r[0], r[1], r[2], r[3]);
    }
    fence_async_proxy();
    named_barrier(kOutput0 + group, kGroup);
  }

  // ---- kept states ----

  static constexpr int kWords = kPanels * 16;  // of a thread

  __device__ bool is_anchor(int chunk) const {
    return (chunk + 1) % kAnchorChunks == 0 || chunk + 1 == chunks;
  }
  // Thread by thread next to each other, 16 bytes at a time.
  __device__ uint4* anchor_of(int group, int chunk) const {
    const int64_t at =
        ((head * g.n_anchors + chunk / kAnchorChunks) * slices + slice) * kGroups + group;
    return reinterpret_cast<uint4*>(g.anchors + at * (kWords * kGroup)) + threadIdx.x % kGroup;
  }
  __device__ float* anchor_vector_of(int chunk) const {
    return g.anchor_vectors + (head * g.n_anchors + chunk / kAnchorChunks) * g.M;
  }

  __device__ void keep_anchor(const State& X, const Vector& vec, int group, int m0, int chunk) {
    uint4* to = anchor_of(group, chunk);
    const float* x = &X[0][0];
#pragma unroll
    for (int w = 0; w < kWords / 4; ++w) {
      uint4 words;
      words.x = packed_pair<T>(x[8 * w], x[8 * w + 1]);
      words.y = packed_pair<T>(x[8 * w + 2], x[8 * w + 3]);
      words.z = packed_pair<T>(x[8 * w + 4], x[8 * w + 5]);
      words.w = packed_pair<T>(x[8 * w + 6], x[8 * w + 7]);
      to[w * kGroup] = words;
    }
    if (!g.normalize || (kSplit && group != 0)) return;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int m = m0 + row + 8 * e;
      const float whole = row_sum(vec[e]);
      if (lane % 4 == 0 && m < g.M) anchor_vector_of(chunk)[m] = whole;
    }
  }

  // <C, dC> + <n, dn> after the chunk: a part for each warp.
  __device__ void take_inner(const State& X, const Vector& vec, int group, int chunk) {
    const uint4* from = anchor_of(group, chunk);
    const float* x = &X[0][0];
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWords / 4; ++w) {
      const uint4 words = from[w * kGroup];
      const uint32_t each_word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float2 pair = unpacked_pair<T>(each_word[e]);
        sum += pair.x * x[8 * w + 2 * e] + pair.y * x[8 * w + 2 * e + 1];
      }
    }
    if (g.normalize && !(kSplit && group != 0)) {
      const int m0 = (slice * S::kRowBlocks + (kSplit ? 0 : group)) * 64;
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int m = m0 + row + 8 * e;
        if (m < g.M) sum += vec[e] * anchor_vector_of(chunk)[m];
      }
    }
    sum = warp_sum(sum);
    const int64_t part = (slice * kGroups + group) * 4 + warp;
    if (lane == 0) g.inner[(part * g.heads + head) * g.n_anchors + chunk / kAnchorChunks] = sum;
  }
};

// Empty where the architecture has no such instructions; never launched there (has_sweeps).
template <class T, Output kOutput, int kGroups, int kPanels, bool kSplit>
__global__ void __launch_bounds__((1 + kGroups) * kGroup,
                                  Shape<kOutput, kGroups, kPanels, kSplit>::kBlocks)
    sweep_kernel([[maybe_unused]] const __grid_constant__ SweepArgs args) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using Code = Sweep<T, kOutput, kGroups, kPanels, kSplit>;
  unsigned char* base = dynamic_shared();
  const uint32_t gap = (1024 - shared_address(base) % 1024) % 1024;
  Code(args, *reinterpret_cast<typename Code::Shared*>(base + gap)).run();
#endif
}

template <class T, Output kOutput, int kGroups, int kPanels, bool kSplit = false>
xlstm_status launch_sweep(const SweepArgs& args, int64_t slices, xlstm_exec exec) {
  using S = Shape<kOutput, kGroups, kPanels, kSplit>;
  const int64_t segments = args.states_only ? args.segments - 1 : args.segments;
  return launch(sweep_kernel<T, kOutput, kGroups, kPanels, kSplit>, args.heads * segments * slices,
                S::kThreads, S::kSharedBytes, exec, args);
}

}  // namespace

template <class T, Output kOutput>
xlstm_status sweep(const SweepArgs& args, xlstm_exec exec) {
  const SweepPlan plan(args.M, args.N);
  const int64_t n = plan.slices;
  const bool one = plan.warpgroups == 1;
  if (plan.split)
    return plan.panels == 3 ? launch_sweep<T, kOutput, 2, 3, true>(args, n, exec)
                            : launch_sweep<T, kOutput, 2, 4, true>(args, n, exec);
  if (plan.panels == 4) return launch_sweep<T, kOutput, 2, 4>(args, n, exec);
  if (plan.panels == 2)
    return one ? launch_sweep<T, kOutput, 1, 2>(args, n, exec)
               : launch_sweep<T, kOutput, 2, 2>(args, n, exec);
  return one ? launch_sweep<T, kOutput, 1, 1>(args, n, exec)
             : launch_sweep<T, kOutput, 2, 1>(args, n, exec);
}

}  // namespace xlstm::kernels::mlstm
