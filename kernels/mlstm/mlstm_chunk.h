// Pieces shared by the CPU forward and backward: where chunks begin and end, the gate vectors of a
// chunk, decay tiles, the update of the state. Internal to this folder.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/common/blas_cpu.h"
#include "kernels/common/vec_math.h"
#include "kernels/mlstm/mlstm_cell.h"
#include "kernels/mlstm/mlstm_cpu.h"

namespace xlstm::kernels::mlstm {

// Inside a chunk, scores are made in tiles of this many queries by this many keys.
constexpr int64_t kTileRows = 32;
constexpr int64_t kTileCols = 64;

// ---- vectors ----

// Sixteen (eight for double) fixed lanes, so that the result depends on the values alone.
template <class T>
inline T dot(const T* a, const T* b, int64_t n) {
  typedef T Vec __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));
  constexpr int64_t kLanes = 64 / static_cast<int64_t>(sizeof(T));
  Vec sum0 = {}, sum1 = {};
  int64_t j = 0;
  for (; j + 2 * kLanes <= n; j += 2 * kLanes) {
    sum0 += *reinterpret_cast<const Vec*>(a + j) * *reinterpret_cast<const Vec*>(b + j);
    sum1 += *reinterpret_cast<const Vec*>(a + j + kLanes) *
            *reinterpret_cast<const Vec*>(b + j + kLanes);
  }
  sum0 += sum1;
  T total = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) total += sum0[lane];
  for (; j < n; ++j) total += a[j] * b[j];
  return total;
}

template <class T>
inline T sum(const T* a, int64_t n) {
  typedef T Vec __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));
  constexpr int64_t kLanes = 64 / static_cast<int64_t>(sizeof(T));
  Vec partial = {};
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) partial += *reinterpret_cast<const Vec*>(a + j);
  T total = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) total += partial[lane];
  for (; j < n; ++j) total += a[j];
  return total;
}

// The same in double: for sums that nearly cancel.
template <class T>
inline double dot_wide(const T* a, const T* b, int64_t n) {
  constexpr int64_t kLanes = 8;
  double partial[kLanes] = {}, total = 0;
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      partial[lane] += static_cast<double>(a[j + lane]) * static_cast<double>(b[j + lane]);
  for (const double p : partial) total += p;
  for (; j < n; ++j) total += static_cast<double>(a[j]) * static_cast<double>(b[j]);
  return total;
}

template <class T>
inline double sum_wide(const T* a, int64_t n) {
  constexpr int64_t kLanes = 8;
  double partial[kLanes] = {}, total = 0;
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) partial[lane] += static_cast<double>(a[j + lane]);
  for (const double p : partial) total += p;
  for (; j < n; ++j) total += static_cast<double>(a[j]);
  return total;
}

template <class T>
inline void scale_to(T* to, const T* from, T factor, int64_t n) {
  for (int64_t j = 0; j < n; ++j) to[j] = factor * from[j];
}

template <class T>
inline void add_scaled(T* to, const T* from, T factor, int64_t n) {
  for (int64_t j = 0; j < n; ++j) to[j] += factor * from[j];
}

template <class T>
inline void copy_or_zero(T* to, const T* from, int64_t n) {
  if (n == 0) return;
  const size_t bytes = static_cast<size_t>(n) * sizeof(T);
  if (from == nullptr) {
    std::memset(to, 0, bytes);
  } else if (from != to) {
    std::memcpy(to, from, bytes);
  }
}

// ---- chunks ----

// One past the last step of the chunk that begins at `begin`: chunks end early at a reset.
inline int64_t chunk_end(const uint8_t* reset, int64_t begin, int64_t T, int64_t L) {
  const int64_t limit = std::min(T - begin, L) + begin;
  if (reset == nullptr) return limit;
  int64_t end = begin + 1;
  while (end < limit && reset[end] == 0) ++end;
  return end;
}

// The first step of the document that step `last` belongs to.
inline int64_t document_begin(const uint8_t* reset, int64_t last) {
  if (reset == nullptr) return 0;
  while (last > 0 && reset[last] == 0) --last;
  return last;
}

inline int64_t chunk_length(const xlstm_mlstm_config& c) {
  const int64_t longest = std::max<int64_t>(c.T, 1);
  return c.form == XLSTM_MLSTM_PARALLEL ? longest : std::min(c.chunk_size, longest);
}

// One head of a strided [B,T,H,width] or [B,T,H] tensor.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
  T* operator[](int64_t t) const { return data + t * stride; }
};

template <class T, class Void>
inline Rows<T> head_rows(Void* data, const xlstm_mlstm_stride& s, int64_t b, int64_t h, int64_t t,
                         int64_t width) {
  // A single step may come with any stride; BLAS still wants one that is as long as a row.
  return {static_cast<T*>(data) + (data == nullptr ? 0 : b * s.b + h * s.h), t > 1 ? s.t : width};
}

// ---- gates ----

// With b_t the sum of log forget gates from the chunk's first step to t, and m the stabiliser at
// its start: u_j = i_j - b_j and w_t = max(m, max_{j<=t} u_j), so that the weight of step j at step
// t is exp(u_j - w_t) <= 1, that of the old state beta_t = exp(m - w_t), and m_t = b_t + w_t.
// At the chunk's end alpha_j is the weight of step j and gamma that of the old state.
// With the sigmoid gate i_j is its logarithm, w_t = -b_t and m stays 0.
template <class T>
struct ChunkGates {
  T *i, *f;          // pre-activations after the soft cap
  T *log_i, *log_f;  // logarithms of the gates
  double *u, *w;
  T *alpha, *beta, *m;
  T gamma = 0, m_end = 0;

  ChunkGates(Scratch& scratch, int64_t length)
      : i(scratch.take<T>(length)),
        f(scratch.take<T>(length)),
        log_i(scratch.take<T>(length)),
        log_f(scratch.take<T>(length)),
        u(scratch.take<double>(length)),
        w(scratch.take<double>(length)),
        alpha(scratch.take<T>(length)),
        beta(scratch.take<T>(length)),
        m(scratch.take<T>(length)) {}

  void compute(const xlstm_mlstm_config& c, const Rows<const T>& i_in, const Rows<const T>& f_in,
               int64_t begin, int64_t n, T m_before) {
    load(c, i_in, f_in, begin, n);
    const bool sigmoid = c.input_gate == XLSTM_MLSTM_SIGMOID;
    double b = 0, top = static_cast<double>(m_before);
    const double start = sigmoid ? 0.0 : top;
    for (int64_t t = 0; t < n; ++t) {
      b += static_cast<double>(log_f[t]);
      u[t] = static_cast<double>(log_i[t]) - b;
      top = sigmoid ? -b : (u[t] > top ? u[t] : top);
      w[t] = top;
      m[t] = sigmoid ? T(0) : static_cast<T>(b + top);
      beta[t] = static_cast<T>(start - top);
    }
    m_end = m[n - 1];
    gamma = static_cast<T>(std::exp(b + start - static_cast<double>(m_end)));
    // A suffix sum rather than b_n - b_t: no cancellation.
    double after = 0;
    for (int64_t t = n; t-- > 0;) {
      alpha[t] = static_cast<T>(after + static_cast<double>(log_i[t]) - static_cast<double>(m_end));
      after += static_cast<double>(log_f[t]);
    }
    for (int64_t t = 0; t < n; ++t) {
      alpha[t] = vec::exp(alpha[t]);
      beta[t] = vec::exp(beta[t]);
    }
  }

 private:
  void load(const xlstm_mlstm_config& c, const Rows<const T>& i_in, const Rows<const T>& f_in,
            int64_t begin, int64_t n) {
    for (int64_t t = 0; t < n; ++t) {
      i[t] = *i_in[begin + t];
      f[t] = *f_in[begin + t];
    }
    const T cap = static_cast<T>(c.soft_cap);
    if (cap > T(0)) {
      for (int64_t t = 0; t < n; ++t) {
        i[t] = vec::softcap(i[t], cap);
        f[t] = vec::softcap(f[t], cap);
      }
    }
    for (int64_t t = 0; t < n; ++t) log_f[t] = vec::log_sigmoid(f[t]);
    if (c.input_gate == XLSTM_MLSTM_SIGMOID) {
      for (int64_t t = 0; t < n; ++t) log_i[t] = vec::log_sigmoid(i[t]);
    } else {
      for (int64_t t = 0; t < n; ++t) log_i[t] = i[t];
    }
  }
};

// The differences are taken in double: u and w may both be large.
template <class T>
inline void multiply_decay(T* row, const double* u, double w, int64_t n) {
  for (int64_t j = 0; j < n; ++j) row[j] *= vec::exp(static_cast<T>(u[j] - w));
}

template <class T>
inline void decay(T* row, const double* u, double w, int64_t n) {
  for (int64_t j = 0; j < n; ++j) row[j] = vec::exp(static_cast<T>(u[j] - w));
}

// ---- state ----

// C [K,V] and n [K] of one head, scaled by exp(-m). `live` is false while they are zero and not
// written.
template <class T>
struct HeadState {
  T* C;
  T* n;
  T m = 0;
  bool live = false;
};

// C = gamma C + sum_j alpha_j k_j v_j^T, n = gamma n + sum_j alpha_j k_j over the n steps from
// `begin`. `weighted` is scratch for kTileCols rows of K.
template <class T>
void update_state(const xlstm_mlstm_config& c, const Rows<const T>& k, const Rows<const T>& v,
                  const ChunkGates<T>& gates, int64_t begin, int64_t n, T* weighted,
                  HeadState<T>& state) {
  T keep = state.live ? gates.gamma : T(0);
  if (c.normalize) {
    if (state.live) {
      scale_to(state.n, state.n, keep, c.K);
    } else {
      copy_or_zero<T>(state.n, nullptr, c.K);
    }
  }
  for (int64_t j0 = 0; j0 < n; j0 += kTileCols) {
    const int64_t cols = std::min(kTileCols, n - j0);
    for (int64_t j = 0; j < cols; ++j) {
      scale_to(weighted + j * c.K, k[begin + j0 + j], gates.alpha[j0 + j], c.K);
      if (c.normalize) add_scaled(state.n, weighted + j * c.K, T(1), c.K);
    }
    gemm_serial(Trans::yes, Trans::no, c.K, c.V, cols, T(1), weighted, c.K, v[begin + j0], v.stride,
                keep, state.C, c.V);
    keep = T(1);
  }
  state.m = gates.m_end;
  state.live = true;
}

// With the sigmoid gate m is not used and stays 0.
template <class T>
inline T zero_state_m(const xlstm_mlstm_config& c) {
  return c.input_gate == XLSTM_MLSTM_EXPONENTIAL ? static_cast<T>(c.start_m) : T(0);
}

// The state before the first step. A state of which nothing was given is zero, and not live.
template <class T>
void load_state(const xlstm_mlstm_config& c, const void* C, const void* n, const void* m,
                int64_t head, HeadState<T>& state) {
  const auto at = [](const void* p, int64_t offset) {
    return p == nullptr ? nullptr : static_cast<const T*>(p) + offset;
  };
  const bool exponential = c.input_gate == XLSTM_MLSTM_EXPONENTIAL;
  state.m = exponential && m != nullptr ? *at(m, head) : zero_state_m<T>(c);
  state.live = C != nullptr || (c.normalize && n != nullptr) || (exponential && m != nullptr);
  if (!state.live) return;
  copy_or_zero(state.C, at(C, head * c.K * c.V), c.K * c.V);
  if (c.normalize) copy_or_zero(state.n, at(n, head * c.K), c.K);
}

}  // namespace xlstm::kernels::mlstm
