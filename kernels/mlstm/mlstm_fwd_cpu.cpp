// Forward on the CPU: chunkwise, and parallel as one chunk per document. README.md has the
// algorithm.
#include "kernels/mlstm/mlstm_chunk.h"
#include "kernels/mlstm/mlstm_recurrent.h"

namespace xlstm::kernels::mlstm {
namespace {

template <class T>
struct FwdScratch {
  HeadState<T> state;
  ChunkGates<T> gates;
  T* weighted;          // [kTileCols, K] keys times alpha
  T* scores;            // [kTileRows, kTileCols]
  double* denominator;  // [kTileRows] l_t; its terms may nearly cancel

  FwdScratch(Scratch& s, const xlstm_mlstm_config& c)
      : state{s.take<T>(c.K * c.V), s.take<T>(c.K)},
        gates(s, chunk_length(c)),
        weighted(s.take<T>(kTileCols * c.K)),
        scores(s.take<T>(kTileRows * kTileCols)),
        denominator(s.take<double>(kTileRows)) {}
};

template <class T>
struct FwdHead {
  const xlstm_mlstm_config& c;
  Rows<const T> q, k, v, i, f;
  Rows<T> h;
  const uint8_t* reset;
  T *saved_m, *saved_l;
  T query_scale, eps;

  FwdHead(const xlstm_mlstm_fwd_args& a, int64_t b, int64_t head)
      : c(a.config),
        q(head_rows<const T>(a.q, a.q_stride, b, head, c.T, c.K)),
        k(head_rows<const T>(a.k, a.k_stride, b, head, c.T, c.K)),
        v(head_rows<const T>(a.v, a.v_stride, b, head, c.T, c.V)),
        i(head_rows<const T>(a.i, a.i_stride, b, head, c.T, 1)),
        f(head_rows<const T>(a.f, a.f_stride, b, head, c.T, 1)),
        h(head_rows<T>(a.h, a.h_stride, b, head, c.T, c.V)),
        reset(a.reset == nullptr ? nullptr : a.reset + b * c.T),
        saved_m(a.saved_m == nullptr ? nullptr
                                     : static_cast<T*>(a.saved_m) + (b * c.H + head) * c.T),
        saved_l(a.saved_l == nullptr ? nullptr
                                     : static_cast<T*>(a.saved_l) + (b * c.H + head) * c.T),
        query_scale(T(1) / std::sqrt(static_cast<T>(c.K))),
        eps(static_cast<T>(c.eps)) {}

  // h of the chunk's steps r0 .. r0 + rows, up to the division: the share of the old state.
  void read_state(int64_t begin, int64_t r0, int64_t rows, FwdScratch<T>& s) const {
    gemm_serial(Trans::no, Trans::no, rows, c.V, c.K, query_scale, q[begin + r0], q.stride,
                s.state.C, c.V, T(0), h[begin + r0], h.stride);
    for (int64_t r = 0; r < rows; ++r) {
      T* row = h[begin + r0 + r];
      scale_to(row, row, s.gates.beta[r0 + r], c.V);
      if (c.normalize) {
        s.denominator[r] =
            query_scale * s.gates.beta[r0 + r] * dot_wide(q[begin + r0 + r], s.state.n, c.K);
      }
    }
  }

  // The share of the chunk's own steps c0 .. c0 + cols.
  void read_tile(int64_t begin, int64_t r0, int64_t rows, int64_t c0, int64_t cols, bool add,
                 FwdScratch<T>& s) const {
    gemm_serial(Trans::no, Trans::yes, rows, cols, c.K, query_scale, q[begin + r0], q.stride,
                k[begin + c0], k.stride, T(0), s.scores, kTileCols);
    for (int64_t r = 0; r < rows; ++r) {
      T* row = s.scores + r * kTileCols;
      const int64_t seen = std::clamp<int64_t>(r0 + r - c0 + 1, 0, cols);
      multiply_decay(row, s.gates.u + c0, s.gates.w[r0 + r], seen);
      for (int64_t j = seen; j < cols; ++j) row[j] = T(0);
      if (c.normalize) s.denominator[r] += sum_wide(row, seen);
    }
    gemm_serial(Trans::no, Trans::no, rows, c.V, cols, T(1), s.scores, kTileCols, v[begin + c0],
                v.stride, add ? T(1) : T(0), h[begin + r0], h.stride);
  }

  void divide(int64_t begin, int64_t r0, int64_t rows, FwdScratch<T>& s) const {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t t = begin + r0 + r;
      const T m = s.gates.m[r0 + r];
      if (saved_m != nullptr) saved_m[t] = m;
      if (!c.normalize) continue;
      const T l = static_cast<T>(s.denominator[r]);
      if (saved_l != nullptr) saved_l[t] = l;
      const T n = denominator(l, vec::exp(floor_exponent(m)), eps);
      T* row = h[t];
      scale_to(row, row, T(1) / n, c.V);
    }
  }

  void chunk(int64_t begin, int64_t n, FwdScratch<T>& s) const {
    s.gates.compute(c, i, f, begin, n, s.state.m);
    for (int64_t r0 = 0; r0 < n; r0 += kTileRows) {
      const int64_t rows = std::min(kTileRows, n - r0);
      bool add = s.state.live;
      if (s.state.live) {
        read_state(begin, r0, rows, s);
      } else {
        copy_or_zero<double>(s.denominator, nullptr, rows);
      }
      for (int64_t c0 = 0; c0 < r0 + rows; c0 += kTileCols) {
        read_tile(begin, r0, rows, c0, std::min(kTileCols, r0 + rows - c0), add, s);
        add = true;
      }
      divide(begin, r0, rows, s);
    }
  }
};

template <class T>
void store_state(const xlstm_mlstm_fwd_args& a, int64_t head, const HeadState<T>& state) {
  const xlstm_mlstm_config& c = a.config;
  if (a.C != nullptr) {
    copy_or_zero(static_cast<T*>(a.C) + head * c.K * c.V, state.live ? state.C : nullptr,
                 c.K * c.V);
  }
  if (a.n != nullptr && c.normalize)
    copy_or_zero(static_cast<T*>(a.n) + head * c.K, state.live ? state.n : nullptr, c.K);
  if (a.m != nullptr) static_cast<T*>(a.m)[head] = state.m;
}

template <class T>
void forward_head(const xlstm_mlstm_fwd_args& a, int64_t index, FwdScratch<T>& s) {
  const xlstm_mlstm_config& c = a.config;
  const FwdHead<T> head(a, index / c.H, index % c.H);
  load_state(c, a.C0, a.n0, a.m0, index, s.state);
  const bool wants_state = a.C != nullptr || a.n != nullptr || a.m != nullptr;
  for (int64_t begin = 0; begin < c.T;) {
    const int64_t end = chunk_end(head.reset, begin, c.T, chunk_length(c));
    if (head.reset != nullptr && head.reset[begin] != 0) {
      s.state.live = false;
      s.state.m = zero_state_m<T>(c);
    }
    head.chunk(begin, end - begin, s);
    if (end < c.T || wants_state)
      update_state(c, head.k, head.v, s.gates, begin, end - begin, s.weighted, s.state);
    begin = end;
  }
  store_state(a, index, s.state);
}

// The least workspace that the call can do with.
int64_t slot_of(const xlstm_mlstm_fwd_args* args) {
  return Cpu::workspace(args, check_on_cpu<xlstm_mlstm_fwd_check>, [&]<class T>(Element<T>) {
    const xlstm_mlstm_config& c = args->config;
    return c.form == XLSTM_MLSTM_RECURRENT ? slot_bytes<RecurrentScratch<T>>(c)
                                           : slot_bytes<FwdScratch<T>>(c);
  });
}

template <class T>
void forward(const xlstm_mlstm_fwd_args& a, xlstm_exec exec) {
  if (a.config.form == XLSTM_MLSTM_RECURRENT) return recurrent_forward<T>(a, exec);
  for_each_head<FwdScratch<T>>(a.config, exec, [&](int64_t head, FwdScratch<T>& scratch) {
    forward_head(a, head, scratch);
  });
}

}  // namespace
}  // namespace xlstm::kernels::mlstm

using namespace xlstm::kernels;

int64_t xlstm_mlstm_fwd_workspace_cpu(const xlstm_mlstm_fwd_args* args) {
  const int64_t slot = mlstm::slot_of(args);
  return slot == 0 ? 0 : slot * mlstm::slots_wanted(args->config);
}

int64_t xlstm_mlstm_fwd_workspace_most_cpu(const xlstm_mlstm_fwd_args* args) {
  return mlstm::slot_of(args) * omp_get_max_threads();
}

xlstm_status xlstm_mlstm_fwd_cpu(const xlstm_mlstm_fwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, mlstm::check_on_cpu<xlstm_mlstm_fwd_check>, exec, mlstm::slot_of,
                  [&]<class T>(Element<T>) { mlstm::forward<T>(*args, exec); });
}
