// Chunkwise backward on the CPU: the states at the chunk starts are recomputed and kept, then the
// chunks are walked from the last to the first with the gradient of the state. README.md has the
// algorithm.
#include <utility>

#include "kernels/mlstm/mlstm_chunk.h"

namespace xlstm::kernels::mlstm {
namespace {

// Whatever the form of the forward was: the maths is the same, and this is linear in T.
int64_t backward_chunk(const xlstm_mlstm_config& c) {
  return std::min(c.chunk_size, std::max<int64_t>(c.T, 1));
}

// A document of length T has at most T / L chunk starts whose state is not zero; one more for an
// initial state and one for the final state.
int64_t max_states(const xlstm_mlstm_config& c) {
  return c.T / backward_chunk(c) + 2;
}

template <class T>
struct BwdScratch {
  ChunkGates<T> gates;
  T *all_C, *all_n;  // [max_states] states before each chunk that begins with a live one
  T* all_m;
  T *dC, *dn;                    // gradient of the state after the chunk at hand, at its stabiliser
  T* weighted;                   // [kTileCols, K] scaled keys or queries
  T* dnum;                       // [kTileRows, V] dh / N
  T* dl;                         // [kTileRows] gradient of l
  T *scores, *d_scores, *decay;  // [kTileRows, kTileCols], [kTileRows, kTileCols], [kTileCols]
  // Per step of the chunk: <q, dq> and <k, dk>, <q, dq> as the output tells it, and what goes into
  // m_t through eps.
  double *q_dq, *k_dk, *read_out;
  T* dm;
  double* products;  // [kTileCols] P dP of one row

  BwdScratch(Scratch& s, const xlstm_mlstm_config& c)
      : gates(s, backward_chunk(c)),
        all_C(s.take<T>(max_states(c) * c.K * c.V)),
        all_n(s.take<T>(max_states(c) * c.K)),
        all_m(s.take<T>(max_states(c))),
        dC(s.take<T>(c.K * c.V)),
        dn(s.take<T>(c.K)),
        weighted(s.take<T>(kTileCols * c.K)),
        dnum(s.take<T>(kTileRows * c.V)),
        dl(s.take<T>(kTileRows)),
        scores(s.take<T>(kTileRows * kTileCols)),
        d_scores(s.take<T>(kTileRows * kTileCols)),
        decay(s.take<T>(kTileCols)),
        q_dq(s.take<double>(backward_chunk(c))),
        k_dk(s.take<double>(backward_chunk(c))),
        read_out(s.take<double>(backward_chunk(c))),
        dm(s.take<T>(backward_chunk(c))),
        products(s.take<double>(kTileCols)) {}
};

template <class T>
const T* head_of(const void* p, int64_t index, int64_t size) {
  return p == nullptr ? nullptr : static_cast<const T*>(p) + index * size;
}
template <class T>
T* head_of(void* p, int64_t index, int64_t size) {
  return p == nullptr ? nullptr : static_cast<T*>(p) + index * size;
}

template <class T>
class BwdHead {
 public:
  BwdHead(const xlstm_mlstm_bwd_args& args, int64_t head_index, BwdScratch<T>& scratch)
      : a(args),
        c(args.config),
        s(scratch),
        index(head_index),
        b(head_index / c.H),
        head(head_index % c.H),
        q(head_rows<const T>(a.q, a.q_stride, b, head, c.T, c.K)),
        k(head_rows<const T>(a.k, a.k_stride, b, head, c.T, c.K)),
        v(head_rows<const T>(a.v, a.v_stride, b, head, c.T, c.V)),
        i(head_rows<const T>(a.i, a.i_stride, b, head, c.T, 1)),
        f(head_rows<const T>(a.f, a.f_stride, b, head, c.T, 1)),
        h(head_rows<const T>(a.h, a.h_stride, b, head, c.T, c.V)),
        dh(head_rows<const T>(a.dh, a.dh_stride, b, head, c.T, c.V)),
        dq(head_rows<T>(a.dq, a.dq_stride, b, head, c.T, c.K)),
        dk(head_rows<T>(a.dk, a.dk_stride, b, head, c.T, c.K)),
        dv(head_rows<T>(a.dv, a.dv_stride, b, head, c.T, c.V)),
        di(head_rows<T>(a.di, a.di_stride, b, head, c.T, 1)),
        df(head_rows<T>(a.df, a.df_stride, b, head, c.T, 1)),
        reset(a.reset == nullptr ? nullptr : a.reset + b * c.T),
        L(backward_chunk(c)),
        query_scale(T(1) / std::sqrt(static_cast<T>(c.K))) {}

  void run() {
    // Whether a gradient comes from after the chunk at hand.
    bool has_state_grad = a.dC != nullptr || (c.normalize && a.dn != nullptr);
    copy_or_zero(s.dC, head_of<T>(a.dC, index, c.K * c.V), c.K * c.V);
    copy_or_zero(s.dn, c.normalize ? head_of<T>(a.dn, index, c.K) : nullptr, c.K);
    const bool wants_initial = a.dC0 != nullptr || a.dn0 != nullptr || a.dm0 != nullptr;
    int64_t state_after = walk_forward(has_state_grad);
    int64_t document = c.T > 0 ? document_begin(reset, c.T - 1) : 0;
    for (int64_t end = c.T; end > 0;) {
      const int64_t begin = document + (end - 1 - document) / L * L;
      const bool cut = reset != nullptr && reset[begin] != 0;
      const bool live_before = cut ? false : begin > 0 || initial_live_;
      const int64_t state_before = live_before ? state_after - 1 : -1;
      // Nothing flows out of a document, nor out of the sequence when nobody asks.
      const bool flows = !cut && (begin > 0 || wants_initial);
      chunk(begin, end - begin, state_before, has_state_grad ? state_after : -1, flows);
      has_state_grad = flows;
      if (cut) later_dm_ = 0;
      if (live_before) state_after = state_before;
      end = begin;
      if (begin == document && begin > 0) document = document_begin(reset, begin - 1);
    }
    store_initial(c.T > 0 && reset != nullptr && reset[0] != 0);
  }

 private:
  const xlstm_mlstm_bwd_args& a;
  const xlstm_mlstm_config& c;
  BwdScratch<T>& s;
  int64_t index, b, head;
  Rows<const T> q, k, v, i, f, h, dh;
  Rows<T> dq, dk, dv, di, df;
  const uint8_t* reset;
  int64_t L;
  T query_scale;
  bool initial_live_ = false;
  double later_dm_ = 0;  // gradient of the stabiliser, on its way back in time
  double at_end_ = 0;    // <C, dC> + <n, dn> after the chunk at hand

  HeadState<T> stored(int64_t at) const {
    return {s.all_C + at * c.K * c.V, s.all_n + at * c.K, s.all_m[at], true};
  }
  T m_at_start(int64_t state) const { return state < 0 ? zero_state_m<T>(c) : s.all_m[state]; }

  // Recomputes the live states at the chunk starts. Returns the index one past those before the
  // chunks; there stands the final state if it is wanted.
  int64_t walk_forward(bool wants_final);
  void chunk(int64_t begin, int64_t n, int64_t before, int64_t after, bool flows);
  void read_state_gradient(int64_t begin, int64_t n, bool active);
  void prepare_rows(int64_t begin, int64_t r0, int64_t rows);
  void read_state(int64_t begin, int64_t r0, int64_t rows, const HeadState<T>& state);
  void tile(int64_t begin, int64_t r0, int64_t rows, int64_t c0, int64_t cols, bool add_dq);
  void score_gradients(int64_t r0, int64_t rows, int64_t c0, int64_t cols);
  void pass_to_state(int64_t begin, int64_t r0, int64_t rows, T keep);
  double state_product(int64_t at) const;
  double excess_of_keys(int64_t n, double at_begin) const;
  void gate_gradients(int64_t begin, int64_t n, int64_t before, double excess);
  T stabiliser_gradient(int64_t t, T m_before, T& d_log_f);
  void store_initial(bool cut);
};

template <class T>
int64_t BwdHead<T>::walk_forward(bool wants_final) {
  HeadState<T> state{s.all_C, s.all_n};
  load_state(c, a.C0, a.n0, a.m0, index, state);
  initial_live_ = state.live;
  int64_t next = 0;
  for (int64_t begin = 0; begin < c.T;) {
    const int64_t end = chunk_end(reset, begin, c.T, L);
    if (reset != nullptr && reset[begin] != 0) {
      state.live = false;
      state.m = zero_state_m<T>(c);
    }
    const bool needed = end < c.T ? reset == nullptr || reset[end] == 0 : wants_final;
    // A state with which a chunk begins is kept, and the next one is built beside it.
    if (state.live) {
      s.all_m[next] = state.m;
      const HeadState<T> kept = stored(next++);
      state.C = s.all_C + next * c.K * c.V;
      state.n = s.all_n + next * c.K;
      if (needed) {
        copy_or_zero(state.C, kept.C, c.K * c.V);
        copy_or_zero(state.n, kept.n, c.K);
      }
    }
    if (needed) {
      s.gates.compute(c, i, f, begin, end - begin, state.m);
      update_state(c, k, v, s.gates, begin, end - begin, s.weighted, state);
    }
    begin = end;
  }
  s.all_m[next] = state.m;
  return next;
}

// The chunk's steps begin .. begin + n. `before` and `after` index the stored states at its two
// ends; before < 0: the chunk begins from zero; after < 0: no gradient comes from later. `flows`:
// leave the gradient of the state before the chunk in dC, dn.
template <class T>
void BwdHead<T>::chunk(int64_t begin, int64_t n, int64_t before, int64_t after, bool flows) {
  s.gates.compute(c, i, f, begin, n, m_at_start(before));
  at_end_ = after >= 0 ? state_product(after) : 0.0;
  read_state_gradient(begin, n, after >= 0);
  if (flows && c.normalize) scale_to(s.dn, s.dn, after >= 0 ? s.gates.gamma : T(0), c.K);
  for (int64_t r0 = 0; r0 < n; r0 += kTileRows) {
    const int64_t rows = std::min(kTileRows, n - r0);
    prepare_rows(begin, r0, rows);
    bool add_dq = before >= 0;
    if (before >= 0) read_state(begin, r0, rows, stored(before));
    for (int64_t c0 = 0; c0 < r0 + rows; c0 += kTileCols) {
      tile(begin, r0, rows, c0, std::min(kTileCols, r0 + rows - c0), add_dq);
      add_dq = true;
    }
    if (flows) {
      const T keep = after >= 0 ? s.gates.gamma : T(0);
      pass_to_state(begin, r0, rows, r0 == 0 ? keep : T(1));
    }
  }
  // h is there for this alone; of a state whose gradient nobody asks for the product is not known.
  const bool is_known = c.normalize && !c.detach_normalizer && (before < 0 || flows);
  const double at_begin = before >= 0 && flows ? state_product(before) : 0.0;
  gate_gradients(begin, n, before, is_known ? excess_of_keys(n, at_begin) : 0.0);
}

// <C, dC> + <n, dn> of a stored state.
template <class T>
double BwdHead<T>::state_product(int64_t at) const {
  const HeadState<T> state = stored(at);
  double total = 0;
  for (int64_t r = 0; r < c.K; ++r)
    total += static_cast<double>(dot(state.C + r * c.V, s.dC + r * c.V, c.V));
  return c.normalize ? total + static_cast<double>(dot(state.n, s.dn, c.K)) : total;
}

// dk = alpha (dC v + dn) and dv = alpha dC^T k: what comes back from after the chunk.
template <class T>
void BwdHead<T>::read_state_gradient(int64_t begin, int64_t n, bool active) {
  if (active) {
    gemm_serial(Trans::no, Trans::yes, n, c.K, c.V, T(1), v[begin], v.stride, s.dC, c.V, T(0),
                dk[begin], dk.stride);
    gemm_serial(Trans::no, Trans::no, n, c.V, c.K, T(1), k[begin], k.stride, s.dC, c.V, T(0),
                dv[begin], dv.stride);
  }
  for (int64_t t = 0; t < n; ++t) {
    T *key = dk[begin + t], *value = dv[begin + t];
    if (active) {
      const T alpha = s.gates.alpha[t];
      if (c.normalize) add_scaled(key, s.dn, T(1), c.K);
      scale_to(key, key, alpha, c.K);
      scale_to(value, value, alpha, c.V);
    } else {
      copy_or_zero<T>(key, nullptr, c.K);
      copy_or_zero<T>(value, nullptr, c.V);
    }
    s.k_dk[t] = active ? dot_wide(k[begin + t], key, c.K) : 0.0;
  }
}

// The gradients of numerator and l: dh / N, and dl from -<dh, h> / N.
template <class T>
void BwdHead<T>::prepare_rows(int64_t begin, int64_t r0, int64_t rows) {
  const bool wants_dm = c.stabilizer_gradient && c.input_gate == XLSTM_MLSTM_EXPONENTIAL;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t t = begin + r0 + r;
    T* row = s.dnum + r * c.V;
    s.dl[r] = s.dm[r0 + r] = T(0);
    s.q_dq[r0 + r] = s.read_out[r0 + r] = 0;
    if (dh.data == nullptr) {
      copy_or_zero<T>(row, nullptr, c.V);
    } else if (!c.normalize) {
      copy_or_zero(row, dh[t], c.V);
    } else {
      const T m = head_of<T>(a.saved_m, index, c.T)[t], l = head_of<T>(a.saved_l, index, c.T)[t];
      const T floor = vec::exp(floor_exponent(m));
      // Another form or chunk size may have rounded the saved m otherwise than it is here.
      const T eps = static_cast<T>(c.eps), n_saved = denominator(l, floor, eps);
      const T n = n_saved * vec::exp(m - s.gates.m[r0 + r]);
      scale_to(row, dh[t], T(1) / n, c.V);
      if (c.detach_normalizer) continue;
      const double wide_h_dh = dot_wide(h[t], dh[t], c.V);
      const T h_dh = static_cast<T>(wide_h_dh);
      s.dl[r] = denominator_gradient(l, floor, n, h_dh);
      // <h, dh> + l dl.
      const double share =
          s.dl[r] == T(0) ? 0.0 : std::abs(static_cast<double>(l)) / static_cast<double>(n_saved);
      s.read_out[r0 + r] = wide_h_dh * (1 - share);
      if (wants_dm) s.dm[r0 + r] = -h_dh * eps / n_saved;
    }
  }
}

// dq = s beta (C dnum + n dl): the share of the state before the chunk.
template <class T>
void BwdHead<T>::read_state(int64_t begin, int64_t r0, int64_t rows, const HeadState<T>& state) {
  gemm_serial(Trans::no, Trans::yes, rows, c.K, c.V, query_scale, s.dnum, c.V, state.C, c.V, T(0),
              dq[begin + r0], dq.stride);
  for (int64_t r = 0; r < rows; ++r) {
    T* row = dq[begin + r0 + r];
    if (c.normalize && !c.detach_normalizer) add_scaled(row, state.n, query_scale * s.dl[r], c.K);
    scale_to(row, row, s.gates.beta[r0 + r], c.K);
    s.q_dq[r0 + r] = dot_wide(q[begin + r0 + r], row, c.K);
  }
}

// P = S D and dS = s D (dnum v + dl), from S = s q k and dnum v. The gates' gradients are sums of
// P dP over rows and columns; these sums largely cancel, so they are taken here rather than from
// <q, dq> and <k, dk>, which are the same but for K times the rounding.
template <class T>
void BwdHead<T>::score_gradients(int64_t r0, int64_t rows, int64_t c0, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    T *p = s.scores + r * kTileCols, *ds = s.d_scores + r * kTileCols;
    const int64_t seen = std::clamp<int64_t>(r0 + r - c0 + 1, 0, cols);
    const T dl = s.dl[r];
    decay(s.decay, s.gates.u + c0, s.gates.w[r0 + r], seen);
    for (int64_t j = 0; j < seen; ++j) {
      const double dp = static_cast<double>(ds[j]) + static_cast<double>(dl);
      p[j] *= s.decay[j];
      ds[j] = static_cast<T>(dp) * (query_scale * s.decay[j]);
      s.products[j] = static_cast<double>(p[j]) * dp;
    }
    s.q_dq[r0 + r] += sum(s.products, seen);
    add_scaled(s.k_dk + c0, s.products, 1.0, seen);
    for (int64_t j = seen; j < cols; ++j) p[j] = ds[j] = T(0);
  }
}

// The share of the steps c0 .. c0 + cols in dq, and of the rows in their dk, dv.
template <class T>
void BwdHead<T>::tile(int64_t begin, int64_t r0, int64_t rows, int64_t c0, int64_t cols,
                      bool add_dq) {
  const int64_t row = begin + r0, col = begin + c0;
  gemm_serial(Trans::no, Trans::yes, rows, cols, c.K, query_scale, q[row], q.stride, k[col],
              k.stride, T(0), s.scores, kTileCols);
  gemm_serial(Trans::no, Trans::yes, rows, cols, c.V, T(1), s.dnum, c.V, v[col], v.stride, T(0),
              s.d_scores, kTileCols);
  score_gradients(r0, rows, c0, cols);
  gemm_serial(Trans::no, Trans::no, rows, c.K, cols, T(1), s.d_scores, kTileCols, k[col], k.stride,
              add_dq ? T(1) : T(0), dq[row], dq.stride);
  gemm_serial(Trans::yes, Trans::no, cols, c.K, rows, T(1), s.d_scores, kTileCols, q[row], q.stride,
              T(1), dk[col], dk.stride);
  gemm_serial(Trans::yes, Trans::no, cols, c.V, rows, T(1), s.scores, kTileCols, s.dnum, c.V, T(1),
              dv[col], dv.stride);
}

// dC = keep dC + sum_t s beta_t q_t dnum_t^T, dn += sum_t s beta_t q_t dl_t.
template <class T>
void BwdHead<T>::pass_to_state(int64_t begin, int64_t r0, int64_t rows, T keep) {
  for (int64_t r = 0; r < rows; ++r) {
    T* row = s.weighted + r * c.K;
    scale_to(row, q[begin + r0 + r], query_scale * s.gates.beta[r0 + r], c.K);
    if (c.normalize) add_scaled(s.dn, row, s.dl[r], c.K);
  }
  gemm_serial(Trans::yes, Trans::no, c.K, c.V, rows, T(1), s.weighted, c.K, s.dnum, c.V, keep, s.dC,
              c.V);
}

// Takes the gradient of m_t back to what decided it: returns the input gate's, or adds the forget
// gate's and leaves the rest to m_{t-1}.
template <class T>
T BwdHead<T>::stabiliser_gradient(int64_t t, T m_before, T& d_log_f) {
  later_dm_ += static_cast<double>(s.dm[t]);
  const double top = t > 0 ? s.gates.w[t - 1] : static_cast<double>(m_before);
  if (s.gates.u[t] > top) return static_cast<T>(std::exchange(later_dm_, 0.0));
  d_log_f += static_cast<T>(later_dm_);
  return T(0);
}

// Scaling the state before the chunk, or all keys and the state after it, is the same to the
// outputs: <C, dC> + <n, dn> before the chunk = the same after it + sum <q, dq> - sum <k, dk>, and
// of <q, dq> = <h, dh> + l dl the output tells more digits than the scores do. The norm behind
// leaves next to nothing of <h, dh>, so sum <k, dk>, and with it the gradient of the input gate's
// bias, is the small difference of large terms. Returns what rounding has left of the law, as a
// part of each |<k, dk>|: less than their own rounding.
template <class T>
double BwdHead<T>::excess_of_keys(int64_t n, double at_begin) const {
  double excess = at_begin - at_end_, size = 0;
  for (int64_t t = 0; t < n; ++t) {
    excess += s.k_dk[t] - s.read_out[t];
    size += std::abs(s.k_dk[t]);
  }
  return size > 0 ? excess / size : 0.0;
}

// di = <k, dk>, d log f_t = <C, dC> + <n, dn> at the end + sum over the chunk's later steps and t
// of <q, dq> - <k, dk>; then through the sigmoids and the soft cap.
template <class T>
void BwdHead<T>::gate_gradients(int64_t begin, int64_t n, int64_t before, double excess) {
  const T cap = static_cast<T>(c.soft_cap);
  const bool fresh = before < 0;
  const T m_before = m_at_start(before);
  double later = at_end_;
  for (int64_t t = n; t-- > 0;) {
    later += s.q_dq[t] - s.k_dk[t];
    // The first forget gate of a document multiplies zeros; the sum would leave rounding noise.
    T d_log_f = fresh && t == 0 ? T(0) : static_cast<T>(later);
    const T key = static_cast<T>(s.k_dk[t] - excess * std::abs(s.k_dk[t]));
    const T d_log_i = key + stabiliser_gradient(t, m_before, d_log_f);
    const T f_capped = s.gates.f[t], i_capped = s.gates.i[t];
    *df[begin + t] = d_log_f * vec::sigmoid(-f_capped) * soft_cap_gradient(f_capped, cap);
    const T through = c.input_gate == XLSTM_MLSTM_SIGMOID ? vec::sigmoid(-i_capped) : T(1);
    *di[begin + t] = d_log_i * through * soft_cap_gradient(i_capped, cap);
  }
}

template <class T>
void BwdHead<T>::store_initial(bool cut) {
  const int64_t size = c.K * c.V;
  if (a.dC0 != nullptr) copy_or_zero(head_of<T>(a.dC0, index, size), cut ? nullptr : s.dC, size);
  if (a.dn0 != nullptr && c.normalize)
    copy_or_zero(head_of<T>(a.dn0, index, c.K), cut ? nullptr : s.dn, c.K);
  if (a.dm0 == nullptr) return;
  double total = later_dm_;
  if (!cut && c.input_gate == XLSTM_MLSTM_EXPONENTIAL) {
    const T *C0 = head_of<T>(a.C0, index, size), *n0 = head_of<T>(a.n0, index, c.K);
    for (int64_t r = 0; r < c.K && C0 != nullptr; ++r)
      total += static_cast<double>(dot(C0 + r * c.V, s.dC + r * c.V, c.V));
    if (n0 != nullptr) total += static_cast<double>(dot(n0, s.dn, c.K));
  }
  static_cast<T*>(a.dm0)[index] = static_cast<T>(total);
}

// The least workspace that the call can do with.
int64_t slot_of(const xlstm_mlstm_bwd_args* args) {
  return Cpu::workspace(args, check_on_cpu<xlstm_mlstm_bwd_check>, [&]<class T>(Element<T>) {
    return slot_bytes<BwdScratch<T>>(args->config);
  });
}

template <class T>
void backward(const xlstm_mlstm_bwd_args& a, xlstm_exec exec) {
  for_each_head<BwdScratch<T>>(a.config, exec, [&](int64_t head, BwdScratch<T>& scratch) {
    BwdHead<T>(a, head, scratch).run();
  });
}

}  // namespace
}  // namespace xlstm::kernels::mlstm

using namespace xlstm::kernels;

int64_t xlstm_mlstm_bwd_workspace_cpu(const xlstm_mlstm_bwd_args* args) {
  const int64_t slot = mlstm::slot_of(args);
  return slot == 0 ? 0 : slot * mlstm::slots_wanted(args->config);
}

int64_t xlstm_mlstm_bwd_workspace_most_cpu(const xlstm_mlstm_bwd_args* args) {
  return mlstm::slot_of(args) * omp_get_max_threads();
}

xlstm_status xlstm_mlstm_bwd_cpu(const xlstm_mlstm_bwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, mlstm::check_on_cpu<xlstm_mlstm_bwd_check>, exec, mlstm::slot_of,
                  [&]<class T>(Element<T>) { mlstm::backward<T>(*args, exec); });
}
