// One mLSTM problem held in vectors and run through the C interface, for the tests of the kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels/mlstm/mlstm.h"
#include "tests/catch.h"

namespace xlstm::mlstm_test {

template <class T>
using Values = std::vector<T>;

template <class T>
Values<T> normal(int64_t n, uint64_t seed, double mean = 0, double std = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> draw(mean, std);
  Values<T> out(static_cast<size_t>(n));
  for (T& x : out) x = static_cast<T>(draw(engine));
  return out;
}

template <class To, class From>
Values<To> converted(const Values<From>& from) {
  Values<To> out;
  for (const From x : from) out.push_back(static_cast<To>(x));
  return out;
}

// 64-byte aligned scratch.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) : memory_(static_cast<size_t>(bytes) + 64), bytes_(bytes) {}
  xlstm_exec exec() {
    void* start = memory_.data();
    size_t space = memory_.size();
    std::align(64, static_cast<size_t>(bytes_), start, space);
    return {nullptr, start, bytes_, nullptr};
  }

 private:
  std::vector<char> memory_;
  int64_t bytes_;
};

template <class T>
struct Outputs {
  Values<T> h, C, n, m, saved_m, saved_l;
};

template <class T>
struct Grads {
  Values<T> q, k, v, i, f, C0, n0, m0;
  // In a fixed order, for loops over all of them.
  std::vector<const Values<T>*> all() const { return {&q, &k, &v, &i, &f, &C0, &n0, &m0}; }
};

// Everything contiguous, [B,T,H,...] outermost first. Empty C0, n0, m0, reset, dC, dn mean null.
template <class T>
struct Case {
  xlstm_mlstm_config config{};
  Values<T> q, k, v, i, f, C0, n0, m0, dh, dC, dn;
  std::vector<uint8_t> reset;

  static Case random(int64_t B, int64_t steps, int64_t H, int64_t K, int64_t V, uint64_t seed = 1) {
    Case c;
    c.config.dtype = c.config.gate_dtype = sizeof(T) == 8 ? XLSTM_F64 : XLSTM_F32;
    c.config.B = B;
    c.config.T = steps;
    c.config.H = H;
    c.config.K = K;
    c.config.V = V;
    c.config.chunk_size = 64;
    c.config.normalize = 1;
    c.config.eps = 1e-6;
    c.q = normal<T>(B * steps * H * K, seed * 100 + 1);
    c.k = normal<T>(B * steps * H * K, seed * 100 + 2);
    c.v = normal<T>(B * steps * H * V, seed * 100 + 3);
    c.i = normal<T>(B * steps * H, seed * 100 + 4);
    c.f = normal<T>(B * steps * H, seed * 100 + 5, 3);
    c.dh = normal<T>(B * steps * H * V, seed * 100 + 6);
    return c;
  }

  Case& with_state(uint64_t seed = 7) {
    C0 = normal<T>(config.B * config.H * config.K * config.V, seed * 100 + 1);
    n0 = normal<T>(config.B * config.H * config.K, seed * 100 + 2);
    m0 = normal<T>(config.B * config.H, seed * 100 + 3);
    return *this;
  }
  Case& with_state_grads(uint64_t seed = 9) {
    dC = normal<T>(config.B * config.H * config.K * config.V, seed * 100 + 1);
    dn = normal<T>(config.B * config.H * config.K, seed * 100 + 2);
    return *this;
  }
  // A reset before each step with the given probability.
  Case& with_resets(double probability, uint64_t seed = 11) {
    std::mt19937_64 engine(seed);
    std::bernoulli_distribution draw(probability);
    reset.resize(static_cast<size_t>(config.B * config.T));
    for (uint8_t& r : reset) r = draw(engine) ? 1 : 0;
    return *this;
  }
  Case& with_chunk(int64_t chunk, xlstm_mlstm_form form = XLSTM_MLSTM_CHUNKWISE) {
    config.chunk_size = chunk;
    config.form = form;
    return *this;
  }
  Case& with_sigmoid_gate(bool normalize) {
    config.input_gate = XLSTM_MLSTM_SIGMOID;
    config.normalize = normalize;
    return *this;
  }

  xlstm_mlstm_stride rows(int64_t width) const {
    return {config.T * config.H * width, config.H * width, width};
  }
  static const void* pointer(const Values<T>& x) { return x.empty() ? nullptr : x.data(); }

  template <class Args>
  void set_inputs(Args& a) const {
    a.config = config;
    a.q = q.data();
    a.k = k.data();
    a.v = v.data();
    a.i = i.data();
    a.f = f.data();
    a.q_stride = a.k_stride = rows(config.K);
    a.v_stride = a.h_stride = rows(config.V);
    a.i_stride = a.f_stride = rows(1);
    a.reset = reset.empty() ? nullptr : reset.data();
    a.C0 = pointer(C0);
    a.n0 = pointer(n0);
    a.m0 = pointer(m0);
  }

  Outputs<T> forward() const {
    const auto sized = [](int64_t n) { return Values<T>(static_cast<size_t>(n), T(-7)); };
    const int64_t heads = config.B * config.H;
    Outputs<T> out{sized(heads * config.T * config.V),
                   sized(heads * config.K * config.V),
                   sized(heads * config.K),
                   sized(heads),
                   sized(heads * config.T),
                   sized(heads * config.T)};
    xlstm_mlstm_fwd_args a{};
    set_inputs(a);
    a.h = out.h.data();
    a.C = out.C.data();
    a.n = out.n.data();
    a.m = out.m.data();
    a.saved_m = out.saved_m.data();
    a.saved_l = out.saved_l.data();
    Workspace workspace(xlstm_mlstm_fwd_workspace_cpu(&a));
    REQUIRE(xlstm_mlstm_fwd_cpu(&a, workspace.exec()) == XLSTM_OK);
    return out;
  }

  // With gradients of the initial state, whether it was given or not.
  Grads<T> backward(const Outputs<T>& out) const {
    const auto sized = [](size_t n) { return Values<T>(n, T(-7)); };
    const int64_t heads = config.B * config.H;
    Grads<T> g{sized(q.size()),
               sized(k.size()),
               sized(v.size()),
               sized(i.size()),
               sized(f.size()),
               sized(static_cast<size_t>(heads * config.K * config.V)),
               sized(static_cast<size_t>(heads * config.K)),
               sized(static_cast<size_t>(heads))};
    xlstm_mlstm_bwd_args a{};
    set_inputs(a);
    a.h = out.h.data();
    a.dh = pointer(dh);
    a.dh_stride = rows(config.V);
    a.saved_m = out.saved_m.data();
    a.saved_l = out.saved_l.data();
    a.dC = pointer(dC);
    a.dn = pointer(dn);
    a.dq = g.q.data();
    a.dk = g.k.data();
    a.dv = g.v.data();
    a.di = g.i.data();
    a.df = g.f.data();
    a.dq_stride = a.dk_stride = rows(config.K);
    a.dv_stride = rows(config.V);
    a.di_stride = a.df_stride = rows(1);
    a.dC0 = g.C0.data();
    a.dn0 = g.n0.data();
    a.dm0 = g.m0.data();
    Workspace workspace(xlstm_mlstm_bwd_workspace_cpu(&a));
    REQUIRE(xlstm_mlstm_bwd_cpu(&a, workspace.exec()) == XLSTM_OK);
    return g;
  }

  Grads<T> gradients() const { return backward(forward()); }

  // The steps [from, to) of all rows, without states.
  Case steps(int64_t from, int64_t to) const {
    Case part = *this;
    part.config.T = to - from;
    const auto cut = [&](const auto& x, int64_t width) {
      std::decay_t<decltype(x)> out;
      for (int64_t b = 0; b < config.B && !x.empty(); ++b)
        out.insert(out.end(), x.begin() + (b * config.T + from) * width,
                   x.begin() + (b * config.T + to) * width);
      return out;
    };
    part.q = cut(q, config.H * config.K);
    part.k = cut(k, config.H * config.K);
    part.v = cut(v, config.H * config.V);
    part.i = cut(i, config.H);
    part.f = cut(f, config.H);
    part.dh = cut(dh, config.H * config.V);
    if (!reset.empty()) part.reset = cut(reset, 1);
    part.C0 = part.n0 = part.m0 = part.dC = part.dn = {};
    return part;
  }
};

template <class A, class B>
double max_difference(const Values<A>& a, const Values<B>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t j = 0; j < a.size(); ++j) {
    const double d = std::abs(static_cast<double>(a[j]) - static_cast<double>(b[j]));
    worst = std::isnan(d) ? INFINITY : std::max(worst, d);
  }
  return worst;
}

template <class T>
double largest(const Values<T>& a) {
  double top = 0;
  for (const T x : a) top = std::max(top, std::abs(static_cast<double>(x)));
  return top;
}

template <class A, class B>
double relative_difference(const Values<A>& a, const Values<B>& b) {
  return max_difference(a, b) / std::max(1e-6, largest(b));
}

template <class T>
bool same_bits(const Values<T>& a, const Values<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
bool all_finite(const Values<T>& a) {
  return std::all_of(a.begin(), a.end(), [](T x) { return std::isfinite(x); });
}

// Compares all gradients, each relative to its largest value.
template <class A, class B>
void check_gradients(const Grads<A>& got, const Grads<B>& want, double tolerance) {
  const auto a = got.all();
  const auto b = want.all();
  for (size_t j = 0; j < a.size(); ++j) {
    INFO("gradient " << j);
    CHECK(relative_difference(*a[j], *b[j]) <= tolerance);
  }
}

}  // namespace xlstm::mlstm_test
