// A warpgroup of a sweep that keeps the state, and puts out.
#pragma once

#include "kernels/mlstm/mlstm_sweep_block.cuh"

namespace xlstm::kernels::mlstm {
namespace {

template <class T, Output kOutput, int kGroups, int kPanels, Columns kColumns>
class SweepState : SweepBlock<T, kOutput, kGroups, kPanels, kColumns> {
  using Base = SweepBlock<T, kOutput, kGroups, kPanels, kColumns>;
  using Base::chunk_at;
  using Base::chunks;
  using Base::col;
  using Base::count;
  using Base::g;
  using Base::head;
  using Base::kIsH;
  using Base::kIsPass;
  using Base::kOutput0;
  using Base::kPartialFull;
  using Base::kQueryRows;
  using Base::kRowVector;
  using Base::kSplit;
  using Base::lane;
  using Base::load;
  using Base::load_p;
  using Base::release_p;
  using Base::row;
  using Base::s;
  using Base::segment;
  using Base::shrinkage;
  using Base::slice;
  using Base::slices;
  using Base::warp;
  using typename Base::S;
  using typename Base::Stage;

  using State = float[kPanels][32];
  using Vector = float[2];  // this lane's share of the vector of rows `row` and `row` + 8

 public:
  __device__ explicit SweepState(const Base& block) : Base(block) {}

  __device__ void run(int group) {
    const int block = kSplit ? 0 : group;             // of the block's 64 rows
    const int panel0 = kSplit ? group * kPanels : 0;  // of the panels of P and U
    const int m0 = (slice * S::kRowBlocks + block) * 64, n0 = panel0 * kPanelCols;
    const bool puts_out = !kSplit || group == 0;
    const bool completes = !kIsPass || g.pass + 1 == g.n_passes;
    const bool loads = threadIdx.x == kGroup;  // one thread of the first group
    const bool stores = threadIdx.x % kGroup == 0;
    if (loads)
      for (int i = 0; i < S::kMostStages && i < count; ++i) {
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
          if constexpr (kIsPass) add_passes(out, s.rest.inv_n[buffer], chunk);
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
      if (puts_out && completes && !g.states_only) {
        if constexpr (S::kHasFactor)
          sum_products(out, stage.factor[block], s.rest.sums[i % 2][group]);
        put_out(out, s.rest.out[block], stores, group);
        if constexpr (S::kHasFactor) store_products(s.rest.sums[i % 2][group], group, chunk);
      }
      products_wait<0>();
#pragma unroll
      for (int j = 0; j < kPanels; ++j) hold(X[j]);
      if (stores && puts_out && completes && !g.states_only) {
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

 private:
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
      const float* from = g.X_first + head * g.state_pitch;
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
      float* to = g.X_last + head * g.state_pitch;
      each(X, m0, n0,
           [&](int64_t m, int64_t n, float& x) { to[m * g.stride_m + n * g.stride_n] = x; });
    }
    if constexpr (kRowVector) {
      if (g.s_last == nullptr || !puts_out) return;
      each_of_vector(vec, m0, [&](int m, float x) { g.s_last[head * g.M + m] = x; });
    }
  }

  // visit(m, element) for the vector beside the rows m0 .. m0 + 63, once for each.
  template <class Visit>
  __device__ void each_of_vector(const Vector& vec, int m0, Visit visit) const {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int m = m0 + row + 8 * e;
      const float whole = row_sum(vec[e]);
      if (lane % 4 == 0 && m < g.M) visit(m, whole);
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
      if (i > 0) barrier_wait(&s.rest.partial_read, (i - 1) & 1);
#pragma unroll
      for (int e = 0; e < 32; ++e) s.rest.partial[e][thread] = out[e];
    }
    named_barrier(kPartialFull, 2 * kGroup);
    if (group == 1) return;
#pragma unroll
    for (int e = 0; e < 32; ++e) out[e] += s.rest.partial[e][thread];
    barrier_arrive(&s.rest.partial_read);
  }

  // Adds what the passes before gave, and leaves the sum to the next one: registers as they stand.
  __device__ void add_passes(float (&out)[32], const float* inv_n, int chunk) const {
    const int64_t at = (int64_t{head} * chunks + chunk) * slices + slice;
    float* sum = g.out_sums + at * (32 * kGroup) + threadIdx.x % kGroup;
#pragma unroll
    for (int e = 0; e < 32; ++e) {
      if (g.pass > 0) out[e] += (kIsH ? inv_n[e / 4 * 8 + col + e % 2] : 1.0f) * sum[e * kGroup];
      if (g.pass + 1 < g.n_passes) sum[e * kGroup] = out[e];
    }
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
    each_of_vector(vec, m0, [&](int m, float x) { anchor_vector_of(chunk)[m] = x; });
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

}  // namespace
}  // namespace xlstm::kernels::mlstm
