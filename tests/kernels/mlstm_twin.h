// The naive twin of the mLSTM kernels in 16 bits: what the chunkwise form costs where nothing is
// done about rounding. Inputs, outputs and every operand of a matrix product (weighted scores,
// states as products read them, keys, values, queries and dh scaled by the gates) are rounded to
// the type, each once, and so are the states at the chunks' ends, which the gradient of the forget
// gates reads; products are summed in float32, and gates, weights, normaliser and running states
// are float32. Plain loops from the equations of kernels/mlstm/README.md, sharing no code with the
// kernels.
//
// Chunkwise, because that is what can be compared: the recurrent form has no products and would
// either round the state at every step or nothing at all, and the parallel form has no states and
// is quadratic in T.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <array>

#include "tests/kernels/mlstm_case.h"

namespace xlstm::mlstm_test {

// Row-major, float32.
struct TwinMatrix {
  int64_t rows = 0, cols = 0;
  Values<float> x;
  TwinMatrix() = default;
  TwinMatrix(int64_t n_rows, int64_t n_cols)
      : rows(n_rows), cols(n_cols), x(static_cast<size_t>(n_rows * n_cols)) {}
  float* operator[](int64_t r) { return x.data() + r * cols; }
  const float* operator[](int64_t r) const { return x.data() + r * cols; }
};

inline float in_type(float x, xlstm_dtype dtype) {
  return dtype == XLSTM_BF16 ? __bfloat162float(__float2bfloat16_rn(x))
                             : __half2float(__float2half_rn(x));
}
inline TwinMatrix in_type(TwinMatrix m, xlstm_dtype dtype) {
  for (float& x : m.x) x = in_type(x, dtype);
  return m;
}

inline TwinMatrix transposed(const TwinMatrix& m) {
  TwinMatrix t(m.cols, m.rows);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < m.cols; ++c) t[c][r] = m[r][c];
  return t;
}
inline TwinMatrix rows_of(const TwinMatrix& m, int64_t begin, int64_t n) {
  TwinMatrix part(n, m.cols);
  std::copy_n(m[begin], n * m.cols, part[0]);
  return part;
}
// Row r times factor[r].
inline TwinMatrix scaled(TwinMatrix m, const Values<float>& factor) {
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < m.cols; ++c) m[r][c] *= factor[static_cast<size_t>(r)];
  return m;
}

// to += a b
inline void add_product(TwinMatrix& to, const TwinMatrix& a, const TwinMatrix& b) {
#pragma omp parallel for if (a.rows * a.cols * b.cols > 1 << 20)
  for (int64_t r = 0; r < a.rows; ++r) {
    float* row = to[r];
    for (int64_t j = 0; j < a.cols; ++j) {
      const float left = a[r][j];
      const float* right = b[j];
#pragma omp simd
      for (int64_t c = 0; c < b.cols; ++c) row[c] += left * right[c];
    }
  }
}
inline TwinMatrix product(const TwinMatrix& a, const TwinMatrix& b) {
  TwinMatrix to(a.rows, b.cols);
  add_product(to, a, b);
  return to;
}
inline float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < n; ++j) sum += a[j] * b[j];
  return sum;
}

// What is as good one way as the other.
struct TwinForm {
  int64_t chunk;       // steps
  bool divides_first;  // scores and state by N, rather than h
};

struct Results {
  Outputs<double> out;
  Grads<double> grads;
};

// One head. Chunks end early at a reset, which the next one begins with.
class TwinHead {
 public:
  TwinHead(const Case<double>& values, xlstm_dtype type, TwinForm of, int64_t batch, int64_t head)
      : c(values), dtype(type), form(of), b(batch), h(head), at(batch * values.config.H + head) {
    q = load(c.q, K);
    k = load(c.k, K);
    v = load(c.v, V);
    dh = load(c.dh.empty() ? Values<double>(c.v.size()) : c.dh, V);
  }

  void run(Results& to) {
    cut_into_chunks();
    walk_states();
    out_h = TwinMatrix(T, V);
    l.resize(static_cast<size_t>(T));
    const auto n_chunks = static_cast<int64_t>(chunks.size());
#pragma omp parallel for schedule(dynamic) if (n_chunks > 1)
    for (int64_t i = 0; i < n_chunks; ++i) forward(chunks[static_cast<size_t>(i)]);
    store(to.out);

    take_rows();
    walk_gradients();
    dq = dk = TwinMatrix(T, K);
    dv = TwinMatrix(T, V);
    di.resize(static_cast<size_t>(T));
    df.resize(static_cast<size_t>(T));
#pragma omp parallel for schedule(dynamic) if (n_chunks > 1)
    for (int64_t i = 0; i < n_chunks; ++i) backward(chunks[static_cast<size_t>(i)]);
    store(to.grads);
  }

 private:
  struct Chunk {
    int64_t begin = 0, n = 0;
    bool cut = false, fresh = false;  // begins with a reset; with zeros
    Values<double> u, w;
    Values<float> alpha, beta, m;
    float gamma = 0;
    TwinMatrix C, dC;  // before the chunk, after it: in the type
    Values<float> n_before, dn_after;
    float inner = 0;  // <C, dC> + <n, dn> after the chunk
  };

  const Case<double>& c;
  xlstm_dtype dtype;
  TwinForm form;
  int64_t b, h, at;
  int64_t T = c.config.T, K = c.config.K, V = c.config.V;
  float s = 1 / std::sqrt(static_cast<float>(K));
  TwinMatrix q, k, v, dh, out_h, dq, dk, dv;
  std::vector<Chunk> chunks;
  TwinMatrix C, dC;  // running
  Values<float> n_run, dn_run, l, N, e, di, df;

  TwinMatrix load(const Values<double>& from, int64_t width) const {
    TwinMatrix m(T, width);
    for (int64_t t = 0; t < T; ++t)
      for (int64_t j = 0; j < width; ++j)
        m[t][j] = static_cast<float>(
            from[static_cast<size_t>(((b * T + t) * c.config.H + h) * width + j)]);
    return m;
  }
  double gate(const Values<double>& from, int64_t t) const {
    return from[static_cast<size_t>((b * T + t) * c.config.H + h)];
  }
  static double log_sigmoid(double x) {
    return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x)));
  }
  // The head's part of a state, or zeros.
  Values<float> state(const Values<double>& from, int64_t size) const {
    if (from.empty()) return Values<float>(static_cast<size_t>(size));
    return converted<float>(
        Values<double>(from.begin() + at * size, from.begin() + (at + 1) * size));
  }

  void cut_into_chunks() {
    float m = c.m0.empty() ? static_cast<float>(c.config.start_m)
                           : static_cast<float>(c.m0[static_cast<size_t>(at)]);
    for (int64_t begin = 0; begin < T;) {
      const auto is_reset = [&](int64_t t) {
        return !c.reset.empty() && c.reset[static_cast<size_t>(b * T + t)] != 0;
      };
      Chunk chunk;
      chunk.begin = begin;
      chunk.cut = is_reset(begin);
      chunk.fresh = chunk.cut || (begin == 0 && c.C0.empty() && c.n0.empty() && c.m0.empty());
      if (chunk.cut) m = static_cast<float>(c.config.start_m);
      do ++chunk.n;
      while (chunk.n < form.chunk && begin + chunk.n < T && !is_reset(begin + chunk.n));
      m = set_gates(chunk, m);
      begin += chunk.n;
      chunks.push_back(std::move(chunk));
    }
  }
  float set_gates(Chunk& chunk, float m_before) const {
    double sum = 0, top = static_cast<double>(m_before);
    for (int64_t t = chunk.begin; t < chunk.begin + chunk.n; ++t) {
      sum += log_sigmoid(gate(c.f, t));
      chunk.u.push_back(gate(c.i, t) - sum);
      top = std::max(top, chunk.u.back());
      chunk.w.push_back(top);
      chunk.m.push_back(static_cast<float>(sum + top));
      chunk.beta.push_back(static_cast<float>(std::exp(static_cast<double>(m_before) - top)));
    }
    const float m_after = chunk.m.back();
    chunk.gamma = static_cast<float>(
        std::exp(sum + static_cast<double>(m_before) - static_cast<double>(m_after)));
    for (const double u : chunk.u)
      chunk.alpha.push_back(static_cast<float>(std::exp(sum + u - static_cast<double>(m_after))));
    return m_after;
  }

  // ---- forward ----

  void walk_states() {
    C = TwinMatrix(K, V);
    C.x = state(c.C0, K * V);
    n_run = state(c.n0, K);
    for (Chunk& chunk : chunks) {
      const float keep = chunk.cut ? 0 : chunk.gamma;
      if (chunk.cut) {
        std::fill(C.x.begin(), C.x.end(), 0.0f);
        std::fill(n_run.begin(), n_run.end(), 0.0f);
      }
      chunk.C = in_type(C, dtype);
      chunk.n_before = n_run;
      const TwinMatrix keys = scaled(rows_of(k, chunk.begin, chunk.n), chunk.alpha);
      for (float& x : C.x) x *= keep;
      add_product(C, transposed(in_type(keys, dtype)), rows_of(v, chunk.begin, chunk.n));
      for (int64_t j = 0; j < K; ++j) {
        float& sum = n_run[static_cast<size_t>(j)];
        sum *= keep;
        for (int64_t t = 0; t < chunk.n; ++t) sum += keys[t][j];
      }
    }
  }

  // s exp(u_j - w_t) x_tj for the steps j <= t of the chunk, else 0.
  TwinMatrix weighted(const Chunk& chunk, TwinMatrix x) const {
    for (int64_t t = 0; t < chunk.n; ++t) {
      for (int64_t j = 0; j <= t; ++j) {
        const double exponent = chunk.u[static_cast<size_t>(j)] - chunk.w[static_cast<size_t>(t)];
        x[t][j] *= s * static_cast<float>(std::exp(exponent));
      }
      std::fill(x[t] + t + 1, x[t] + chunk.n, 0.0f);
    }
    return x;
  }
  Values<float> state_scale(const Chunk& chunk) const {
    Values<float> scale = chunk.beta;
    for (float& x : scale) x *= chunk.cut ? 0 : s;
    return scale;
  }

  void forward(const Chunk& chunk) {
    const TwinMatrix queries = rows_of(q, chunk.begin, chunk.n);
    const Values<float> scale = state_scale(chunk);
    TwinMatrix P = weighted(chunk, product(queries, transposed(rows_of(k, chunk.begin, chunk.n))));
    Values<float> over_N;
    for (int64_t r = 0; r < chunk.n; ++r) {
      float& sum = l[static_cast<size_t>(chunk.begin + r)];
      sum = scale[static_cast<size_t>(r)] * dot(queries[r], chunk.n_before.data(), K);
      for (int64_t j = 0; j <= r; ++j) sum += P[r][j];
      over_N.push_back(1 / denominator(sum, chunk.m[static_cast<size_t>(r)]));
    }
    TwinMatrix scaled_queries = scaled(queries, scale);
    if (form.divides_first) {
      P = scaled(std::move(P), over_N);
      scaled_queries = scaled(std::move(scaled_queries), over_N);
    }
    TwinMatrix y = product(in_type(std::move(P), dtype), rows_of(v, chunk.begin, chunk.n));
    add_product(y, in_type(std::move(scaled_queries), dtype), chunk.C);
    if (!form.divides_first) y = scaled(std::move(y), over_N);
    y = in_type(std::move(y), dtype);
    std::copy(y.x.begin(), y.x.end(), out_h[chunk.begin]);
  }
  static float floor_of(float m) {
    return std::exp(std::min(-m, 80.0f));
  }
  float denominator(float l_t, float m) const {
    return std::max(std::abs(l_t), floor_of(m)) + static_cast<float>(c.config.eps);
  }

  // ---- backward ----

  void take_rows() {
    N.resize(static_cast<size_t>(T));
    e.resize(static_cast<size_t>(T));
    for (const Chunk& chunk : chunks)
      for (int64_t r = 0; r < chunk.n; ++r) {
        const auto t = static_cast<size_t>(chunk.begin + r);
        const float m = chunk.m[static_cast<size_t>(r)], l_t = l[t];
        N[t] = denominator(l_t, m);
        const float h_dh = dot(out_h[chunk.begin + r], dh[chunk.begin + r], V);
        e[t] = std::abs(l_t) > floor_of(m) ? (l_t < 0 ? h_dh : -h_dh) / N[t] : 0.0f;
      }
  }
  // dh / N, times another factor if there is one.
  TwinMatrix divided_dh(const Chunk& chunk, const Values<float>& factor = {}) const {
    TwinMatrix g = rows_of(dh, chunk.begin, chunk.n);
    for (int64_t r = 0; r < chunk.n; ++r) {
      const float over_N = (factor.empty() ? 1.0f : factor[static_cast<size_t>(r)]) /
                           N[static_cast<size_t>(chunk.begin + r)];
      for (int64_t j = 0; j < V; ++j) g[r][j] *= over_N;
    }
    return in_type(std::move(g), dtype);
  }

  void walk_gradients() {
    dC = TwinMatrix(K, V);
    dC.x = state(c.dC, K * V);
    dn_run = state(c.dn, K);
    TwinMatrix C_after = in_type(C, dtype);
    Values<float> n_after = n_run;
    for (size_t i = chunks.size(); i-- > 0;) {
      Chunk& chunk = chunks[i];
      chunk.dC = in_type(dC, dtype);
      chunk.dn_after = dn_run;
      chunk.inner = dot(n_after.data(), dn_run.data(), K);
      for (int64_t j = 0; j < K; ++j) chunk.inner += dot(C_after[j], dC[j], V);
      C_after = chunk.C;
      n_after = chunk.n_before;
      const float keep = chunk.cut ? 0 : chunk.gamma;
      for (float& x : dC.x) x *= keep;
      for (float& x : dn_run) x *= keep;
      if (chunk.cut) continue;
      const TwinMatrix queries = scaled(rows_of(q, chunk.begin, chunk.n), state_scale(chunk));
      add_product(dC, transposed(in_type(queries, dtype)), divided_dh(chunk));
      for (int64_t r = 0; r < chunk.n; ++r)
        for (int64_t j = 0; j < K; ++j)
          dn_run[static_cast<size_t>(j)] += queries[r][j] * e[static_cast<size_t>(chunk.begin + r)];
    }
  }

  void backward(const Chunk& chunk) {
    const TwinMatrix queries = rows_of(q, chunk.begin, chunk.n),
                     keys = rows_of(k, chunk.begin, chunk.n),
                     values = rows_of(v, chunk.begin, chunk.n), g = divided_dh(chunk);
    const Values<float> scale = state_scale(chunk);
    const TwinMatrix P = in_type(weighted(chunk, product(queries, transposed(keys))), dtype);
    TwinMatrix dS = product(g, transposed(values));
    for (int64_t r = 0; r < chunk.n; ++r)
      for (int64_t j = 0; j < chunk.n; ++j) dS[r][j] += e[static_cast<size_t>(chunk.begin + r)];
    dS = in_type(weighted(chunk, std::move(dS)), dtype);

    TwinMatrix to_q = product(dS, keys), to_k = product(transposed(dS), queries),
               to_v = product(transposed(P), g);
    add_product(to_q, divided_dh(chunk, scale), transposed(chunk.C));
    add_product(to_k, in_type(scaled(values, chunk.alpha), dtype), transposed(chunk.dC));
    add_product(to_v, in_type(scaled(keys, chunk.alpha), dtype), chunk.dC);
    Values<float> q_dq, k_dk;
    for (int64_t r = 0; r < chunk.n; ++r) {
      const auto row = static_cast<size_t>(r);
      const float of_n = scale[row] * e[static_cast<size_t>(chunk.begin + r)];
      for (int64_t j = 0; j < K; ++j) {
        to_q[r][j] += of_n * chunk.n_before[static_cast<size_t>(j)];
        to_k[r][j] += chunk.alpha[row] * chunk.dn_after[static_cast<size_t>(j)];
      }
      q_dq.push_back(dot(queries[r], to_q[r], K));
      k_dk.push_back(dot(keys[r], to_k[r], K));
    }
    float later = chunk.inner;
    for (int64_t r = chunk.n; r-- > 0;) {
      const int64_t t = chunk.begin + r;
      later += q_dq[static_cast<size_t>(r)] - k_dk[static_cast<size_t>(r)];
      di[static_cast<size_t>(t)] = k_dk[static_cast<size_t>(r)];
      // The first forget gate of a document multiplies zeros.
      const double slope = chunk.fresh && r == 0 ? 0 : std::exp(log_sigmoid(-gate(c.f, t)));
      df[static_cast<size_t>(t)] = later * static_cast<float>(slope);
      for (int64_t j = 0; j < K; ++j) dq[t][j] = in_type(to_q[r][j], dtype);
      for (int64_t j = 0; j < K; ++j) dk[t][j] = in_type(to_k[r][j], dtype);
      for (int64_t j = 0; j < V; ++j) dv[t][j] = in_type(to_v[r][j], dtype);
    }
  }

  // ---- results ----

  // The head's rows into [B,T,H,width], its states into [B,H,...].
  void put(Values<double>& to, const Values<float>& rows, int64_t width) const {
    for (int64_t t = 0; t < T; ++t)
      std::copy_n(rows.begin() + t * width, width,
                  to.begin() + ((b * T + t) * c.config.H + h) * width);
  }
  void put(Values<double>& to, const Values<float>& from) const {
    std::copy(from.begin(), from.end(), to.begin() + at * static_cast<int64_t>(from.size()));
  }
  void store(Outputs<double>& to) const {
    put(to.h, out_h.x, V);
    put(to.C, C.x);
    put(to.n, n_run);
    put(to.m, {chunks.back().m.back()});
    put(to.saved_l, l);
  }
  void store(Grads<double>& to) const {
    put(to.q, dq.x, K);
    put(to.k, dk.x, K);
    put(to.v, dv.x, V);
    put(to.i, di, 1);
    put(to.f, df, 1);
    put(to.C0, dC.x);
    put(to.n0, dn_run);
    const Values<float> C0 = state(c.C0, K * V), n0 = state(c.n0, K);
    float dm0 = dot(n0.data(), dn_run.data(), K);
    for (int64_t j = 0; j < K; ++j) dm0 += dot(C0.data() + j * V, dC[j], V);
    put(to.m0, {dm0});
  }
};

// For the exponential input gate, with a normaliser whose gradient counts, and T >= 1. The inputs
// must be numbers of the type.
inline Results twin_of(const Case<double>& c, xlstm_dtype dtype, TwinForm form) {
  const auto sized = [](int64_t n) { return Values<double>(static_cast<size_t>(n)); };
  const auto [B, T, H, K, V] =
      std::array{c.config.B, c.config.T, c.config.H, c.config.K, c.config.V};
  const auto per_step = [&, B = B, T = T, H = H](int64_t width) {
    return sized(B * T * H * width);
  };
  const auto per_head = [&, B = B, H = H](int64_t size) { return sized(B * H * size); };
  Results to{{per_step(V), per_head(K * V), per_head(K), per_head(1), {}, per_step(1)},
             {per_step(K), per_step(K), per_step(V), per_step(1), per_step(1), per_head(K * V),
              per_head(K), per_head(1)}};
  const int64_t n_heads = B * H;
  // Heads side by side if they are many, else the chunks of each.
#pragma omp parallel for schedule(dynamic) if (n_heads >= 8)
  for (int64_t head = 0; head < n_heads; ++head)
    TwinHead(c, dtype, form, head / H, head % H).run(to);
  return to;
}

}  // namespace xlstm::mlstm_test
