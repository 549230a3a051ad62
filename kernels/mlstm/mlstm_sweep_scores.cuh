// The warpgroup of a sweep that makes the weighted scores, and keeps n for h.
#pragma once

#include "kernels/mlstm/mlstm_sweep_block.cuh"

namespace xlstm::kernels::mlstm {
namespace {

template <class T, Output kOutput, int kGroups, int kPanels, Columns kColumns>
class SweepScores : SweepBlock<T, kOutput, kGroups, kPanels, kColumns> {
  using Base = SweepBlock<T, kOutput, kGroups, kPanels, kColumns>;
  using Base::chunk_at;
  using Base::col;
  using Base::count;
  using Base::g;
  using Base::head;
  using Base::kIsH;
  using Base::kIsPass;
  using Base::kMoves;
  using Base::kQueryRows;
  using Base::kRowVector;
  using Base::kScoreWarps;
  using Base::lane;
  using Base::release_p;
  using Base::row;
  using Base::s;
  using Base::segment;
  using Base::shrinkage;
  using Base::slice;
  using Base::warp;
  using typename Base::S;
  using typename Base::Stage;

 public:
  __device__ explicit SweepScores(const Base& block) : Base(block) {}

  __device__ void run() {
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
      if constexpr (kIsH) divide(x, l, v, buffer, chunk_at(i));
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
                      ? g.s_last + int64_t{head} * g.vector_pitch
                      : nullptr;
      for (int n = static_cast<int>(threadIdx.x); to != nullptr && n < g.N; n += kGroup)
        to[n] = s.rest.vector[n];
    }
  }

 private:
  __device__ void start_vector() {
    for (int n = static_cast<int>(threadIdx.x); n < S::kAllPanels * kPanelCols; n += kGroup) {
      const bool begins = g.s_first != nullptr && n < g.N && !g.states_only;
      s.rest.vector[n] = begins ? g.s_first[head * g.vector_pitch + n] : 0.0f;
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

  // Divides the scores of h, and the scales of what the state gives, by N: once all passes have
  // given their share of l.
  template <int kX>
  __device__ void divide(float (&x)[kX], float (&l)[2], const StepVectors& v, int buffer,
                         int chunk) {
    float n[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int r = row + 8 * e;
      l[e] = row_sum(l[e]);
      n[e] = 1.0f;
      bool whole = true;
      if constexpr (kIsPass) {
        const int64_t at = head * g.gates.steps + int64_t{chunk} * kL + r;
        if (g.pass > 0) l[e] += g.l_before[at];
        whole = g.pass + 1 == g.n_passes;
        if (!whole && slice == 0 && lane % 4 == 0) g.l_after[at] = l[e];
      }
      if (g.normalize && whole)
        n[e] = __frcp_rn(denominator(l[e], expf(floor_exponent(v.extra[r])), g.eps));
      if (lane % 4 == 0) s.rest.scale[buffer][r] = n[e] * g.query_scale * v.out_scale[r];
      if constexpr (kIsPass) {
        if (lane % 4 == 0) s.rest.inv_n[buffer][r] = n[e];
      }
    }
#pragma unroll
    for (int j = 0; j < 32; ++j) x[j] *= n[j / 2 % 2];
  }
  __device__ void store_l(const float (&l)[2], int chunk) const {
    if (g.saved_l == nullptr || slice != 0 || lane % 4 != 0) return;
    if (kIsPass && g.pass + 1 != g.n_passes) return;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int64_t t = int64_t{chunk} * kL + row + 8 * e;
      if (t < g.T) g.saved_l[head * g.T + t] = l[e];
    }
  }
};

}  // namespace
}  // namespace xlstm::kernels::mlstm
