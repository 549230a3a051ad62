// The sLSTM as a kernel: cut sequences, documents, rows, threads, extremes, bad arguments.
#include "kernels/slstm/slstm.h"

#include <omp.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/autograd.h"
#include "core/ops/slstm.h"
#include "core/random.h"
#include "kernels/slstm/slstm_cpu.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

template <class T>
Tensor normal(const Shape& shape, Generator& g, double std = 1) {
  Tensor t = Tensor::empty(shape, DTypeOf<T>::value);
  fill_normal(t, 0, std, g);
  return t;
}

Tensor leaf(Tensor t) {
  t.set_requires_grad(true);
  return t;
}

// Copy of steps [from, from + count).
Tensor steps(const Tensor& t, int64_t from, int64_t count) {
  Shape shape = t.shape();
  shape[1] = count;
  return t.strided_view(shape, t.strides(), from * t.stride(1)).clone();
}

Tensor row(const Tensor& t, int64_t b) {
  Shape shape = t.shape();
  shape[0] = 1;
  return t.strided_view(shape, t.strides(), b * t.stride(0)).clone();
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.numel() == 0 ||
          std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.numel() * size_of(a.dtype()))) == 0);
}

struct Problem {
  Tensor wx, R, bias, dh;
  ops::SlstmState initial, grad_final;  // grad_final.m stays undefined
};

template <class T>
Problem make(int64_t B, int64_t steps_, int64_t H, int64_t D, Generator& g) {
  Problem p;
  p.wx = normal<T>({B, steps_, 4, H, D}, g);
  p.R = normal<T>({H, D, 4, D}, g, 1 / std::sqrt(static_cast<double>(D)));
  p.bias = normal<T>({H, 4, D}, g);
  p.dh = normal<T>({B, steps_, H, D}, g);
  const Shape s{B, H, D};
  p.initial = {normal<T>(s, g, 0.3), normal<T>(s, g), Tensor::empty(s, DTypeOf<T>::value),
               normal<T>(s, g)};
  fill_uniform(p.initial.n, 1, 2, g);
  p.grad_final = {normal<T>(s, g), normal<T>(s, g), normal<T>(s, g), {}};
  return p;
}

struct Run {
  ops::SlstmResult out;
  Tensor dwx, dR, dbias;
  ops::SlstmState dinitial;
};

Run run(const Problem& p, const Tensor& reset = {}, const ops::SlstmOptions& options = {},
        decltype(&ops::slstm) op = ops::slstm) {
  const Tensor wx = leaf(p.wx.detach()), R = leaf(p.R.detach()), bias = leaf(p.bias.detach());
  const ops::SlstmState s{leaf(p.initial.h.detach()), leaf(p.initial.c.detach()),
                          leaf(p.initial.n.detach()), leaf(p.initial.m.detach())};
  Run r;
  r.out = op(wx, R, bias, s, reset, options);
  const ops::SlstmState& f = r.out.final_state;
  autograd::backward({r.out.h, f.h, f.c, f.n},
                     {p.dh, p.grad_final.h, p.grad_final.c, p.grad_final.n});
  r.dwx = wx.grad();
  r.dR = R.grad();
  r.dbias = bias.grad();
  r.dinitial = {s.h.grad(), s.c.grad(), s.n.grad(), s.m.grad()};
  return r;
}

Tensor sum_of(const Tensor& a, const Tensor& b) {
  const Tensor out = a.clone();
  for (int64_t i = 0; i < out.numel(); ++i) out.data<double>()[i] += b.data<double>()[i];
  return out;
}

// Two runs, the second on the first's state, and the gradients chained by hand.
struct Chained {
  Run first, second;
};

Chained run_in_two(const Problem& p, int64_t cut) {
  const int64_t T = p.wx.size(1);
  Problem a = p, b = p;
  a.wx = steps(p.wx, 0, cut);
  a.dh = steps(p.dh, 0, cut);
  b.wx = steps(p.wx, cut, T - cut);
  b.dh = steps(p.dh, cut, T - cut);
  b.initial = ops::slstm(a.wx, p.R, p.bias, p.initial, {}).final_state;
  Chained c;
  c.second = run(b);
  a.grad_final = {c.second.dinitial.h, c.second.dinitial.c, c.second.dinitial.n, {}};
  c.first = run(a);
  return c;
}

TEST_CASE("a sequence in two parts equals the whole, values and gradients") {
  Generator g{11, 0};
  const int64_t B = 3, T = 70, H = 2, D = 5;
  const Problem p = make<double>(B, T, H, D, g);
  const Run whole = run(p);
  for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{33}, int64_t{69}, T}) {
    INFO("cut at " << cut);
    const Chained c = run_in_two(p, cut);
    CHECK(largest_difference(c.first.out.h, steps(whole.out.h, 0, cut)) < 1e-13);
    CHECK(largest_difference(c.second.out.h, steps(whole.out.h, cut, T - cut)) < 1e-13);
    CHECK(largest_difference(c.second.out.final_state.c, whole.out.final_state.c) < 1e-13);
    CHECK(largest_difference(c.second.out.final_state.m, whole.out.final_state.m) < 1e-13);
    CHECK(largest_difference(c.first.dwx, steps(whole.dwx, 0, cut)) < 1e-12);
    CHECK(largest_difference(c.second.dwx, steps(whole.dwx, cut, T - cut)) < 1e-12);
    CHECK(largest_difference(sum_of(c.first.dR, c.second.dR), whole.dR) < 1e-11);
    CHECK(largest_difference(sum_of(c.first.dbias, c.second.dbias), whole.dbias) < 1e-11);
    CHECK(largest_difference(c.first.dinitial.h, whole.dinitial.h) < 1e-12);
    CHECK(largest_difference(c.first.dinitial.c, whole.dinitial.c) < 1e-12);
    CHECK(largest_difference(c.first.dinitial.n, whole.dinitial.n) < 1e-12);
    CHECK(largest_difference(c.first.dinitial.m, whole.dinitial.m) < 1e-12);
  }
}

TEST_CASE("the composed twin has the same values and gradients under every option") {
  Generator g{21, 0};
  const int64_t B = 2, T = 7, H = 2, D = 3;
  const Problem p = make<double>(B, T, H, D, g);
  Tensor reset = Tensor::zeros({B, T}, DType::u8);
  for (const int64_t at : {3, 7, 12}) reset.data<uint8_t>()[at] = 1;
  std::vector<ops::SlstmOptions> all(5);
  all[1].recurrent_cut = true;
  all[2].recurrent_clip = 0.1;
  all[3].forward_clip = 0.2;
  all[4].recurrent_clip = 0.3, all[4].forward_clip = 0.5;
  for (const ops::SlstmOptions& options : all) {
    const Run fused = run(p, reset, options), twin = run(p, reset, options, ops::slstm_composed);
    CHECK(largest_difference(fused.out.h, twin.out.h) < 1e-13);
    CHECK(largest_difference(fused.out.final_state.c, twin.out.final_state.c) < 1e-13);
    CHECK(largest_difference(fused.dwx, twin.dwx) < 1e-12);
    CHECK(largest_difference(fused.dR, twin.dR) < 1e-12);
    CHECK(largest_difference(fused.dbias, twin.dbias) < 1e-12);
    // With the cut nothing reaches the initial h, and the twin's tape says so by no gradient at
    // all.
    CHECK(twin.dinitial.h.defined() != options.recurrent_cut);
    const Tensor dh = twin.dinitial.h.defined() ? twin.dinitial.h
                                                : Tensor::zeros(p.initial.h.shape(), DType::f64);
    CHECK(largest_difference(fused.dinitial.h, dh) < 1e-12);
    CHECK(largest_difference(fused.dinitial.c, twin.dinitial.c) < 1e-12);
    CHECK(largest_difference(fused.dinitial.n, twin.dinitial.n) < 1e-12);
    CHECK(largest_difference(fused.dinitial.m, twin.dinitial.m) < 1e-12);
  }
}

TEST_CASE("a reset makes separate documents, values and gradients") {
  Generator g{12, 0};
  const int64_t B = 2, T = 9, H = 2, D = 3, cut = 4;
  const Problem p = make<double>(B, T, H, D, g);
  Tensor reset = Tensor::zeros({B, T}, DType::u8);
  for (int64_t b = 0; b < B; ++b) reset.data<uint8_t>()[b * T + cut] = 1;
  const Run whole = run(p, reset);
  Problem a = p, b = p;
  a.wx = steps(p.wx, 0, cut), a.dh = steps(p.dh, 0, cut);
  b.wx = steps(p.wx, cut, T - cut), b.dh = steps(p.dh, cut, T - cut);
  for (Tensor* state : {&b.initial.h, &b.initial.c, &b.initial.n, &b.initial.m})
    *state = Tensor::zeros({B, H, D}, DType::f64);
  for (Tensor* grad : {&a.grad_final.h, &a.grad_final.c, &a.grad_final.n})
    *grad = Tensor::zeros({B, H, D}, DType::f64);
  const Run first = run(a), second = run(b);
  CHECK(largest_difference(first.out.h, steps(whole.out.h, 0, cut)) == 0);
  CHECK(largest_difference(second.out.h, steps(whole.out.h, cut, T - cut)) == 0);
  CHECK(largest_difference(first.dwx, steps(whole.dwx, 0, cut)) < 1e-15);
  CHECK(largest_difference(second.dwx, steps(whole.dwx, cut, T - cut)) < 1e-15);
  CHECK(largest_difference(sum_of(first.dR, second.dR), whole.dR) < 1e-13);
  CHECK(largest_difference(first.dinitial.c, whole.dinitial.c) < 1e-15);
  CHECK(largest_difference(first.dinitial.m, whole.dinitial.m) < 1e-15);
}

TEST_CASE("NaN in one document or row stays there") {
  Generator g{13, 0};
  const int64_t B = 2, T = 6, H = 1, D = 5;
  Problem p = make<float>(B, T, H, D, g);
  p.wx.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();  // row 0, step 0
  Tensor reset = Tensor::zeros({B, T}, DType::u8);
  reset.data<uint8_t>()[3] = 1;
  const Run r = run(p, reset);
  const std::vector<float> h = r.out.h.to_vector<float>(), dwx = r.dwx.to_vector<float>();
  CHECK(std::isnan(h[0]));
  for (size_t i = 3 * 5; i < h.size(); ++i) CHECK(std::isfinite(h[i]));
  for (size_t i = 3 * 20; i < dwx.size(); ++i) CHECK(std::isfinite(dwx[i]));
}

TEST_CASE("a row's result does not depend on the rows beside it, to the bit") {
  Generator g{14, 0};
  for (const int64_t D : {int64_t{3}, int64_t{16}, int64_t{40}}) {
    const int64_t B = 21;
    const Problem p = make<float>(B, 5, 2, D, g);
    const Run all = run(p);
    for (int64_t b = 0; b < B; b += 4) {
      Problem one = p;
      one.wx = row(p.wx, b), one.dh = row(p.dh, b);
      one.initial = {row(p.initial.h, b), row(p.initial.c, b), row(p.initial.n, b),
                     row(p.initial.m, b)};
      one.grad_final = {row(p.grad_final.h, b), row(p.grad_final.c, b), row(p.grad_final.n, b), {}};
      const Run alone = run(one);
      CHECK(same_bits(alone.out.h, row(all.out.h, b)));
      CHECK(same_bits(alone.out.final_state.c, row(all.out.final_state.c, b)));
      CHECK(same_bits(alone.dwx, row(all.dwx, b)));
      CHECK(same_bits(alone.dinitial.h, row(all.dinitial.h, b)));
      CHECK(same_bits(alone.dinitial.m, row(all.dinitial.m, b)));
    }
  }
}

TEST_CASE("step by step equals the whole, to the bit") {
  Generator g{15, 0};
  for (const int64_t D : {int64_t{5}, int64_t{32}}) {
    const Problem p = make<float>(3, 12, 2, D, g);
    const ops::SlstmResult whole = ops::slstm(p.wx, p.R, p.bias, p.initial, {});
    ops::SlstmState state = p.initial;
    for (int64_t t = 0; t < 12; ++t) {
      const ops::SlstmResult step = ops::slstm(steps(p.wx, t, 1), p.R, p.bias, state, {});
      CHECK(same_bits(step.h, steps(whole.h, t, 1)));
      state = step.final_state;
    }
    CHECK(same_bits(state.n, whole.final_state.n));
  }
}

TEST_CASE("the number of threads changes no bit of a large problem") {
  Generator g{16, 0};
  const int before = omp_get_max_threads();
  const Problem p = make<float>(40, 24, 3, 33, g);
  omp_set_num_threads(1);
  const Run one = run(p);
  for (const int threads : {2, 3, 5}) {
    omp_set_num_threads(threads);
    const Run again = run(p);
    CHECK(same_bits(one.out.h, again.out.h));
    CHECK(same_bits(one.dwx, again.dwx));
    CHECK(same_bits(one.dR, again.dR));
    CHECK(same_bits(one.dbias, again.dbias));
    CHECK(same_bits(one.dinitial.m, again.dinitial.m));
  }
  omp_set_num_threads(before);
}

TEST_CASE("float32 stays close to float64 over a long sequence with gradients") {
  Generator g{17, 0};
  Problem p = make<float>(2, 1500, 1, 24, g);
  for (Tensor* t : {&p.R, &p.bias}) {  // calm enough that the recurrence is not chaotic
    for (int64_t i = 0; i < t->numel(); ++i) t->data<float>()[i] *= 0.3f;
  }
  Problem q = p;
  const auto widen = [](Tensor& t) {
    if (!t.defined()) return;
    Tensor wide = Tensor::empty(t.shape(), DType::f64);
    wide.copy_from(t);
    t = wide;
  };
  for (Tensor* t : {&q.wx, &q.R, &q.bias, &q.dh, &q.initial.h, &q.initial.c, &q.initial.n,
                    &q.initial.m, &q.grad_final.h, &q.grad_final.c, &q.grad_final.n})
    widen(*t);
  const Run narrow = run(p), wide = run(q);
  CHECK(largest_difference(narrow.out.h, wide.out.h) < 1e-5);
  CHECK(largest_difference(narrow.dwx, wide.dwx) < 1e-4);
  double size = 0;
  for (const double x : wide.dR.to_vector<double>()) size = std::max(size, std::abs(x));
  CHECK(largest_difference(narrow.dR, wide.dR) < 1e-4 * size);
}

TEST_CASE("the cell's functions are right to two units in the last place over their ranges") {
  using Math = kernels::SlstmVecMath;
  constexpr double kTwoUnits = 2 * std::numeric_limits<float>::epsilon();
  const auto error = [](float got, double want) {
    return std::abs(static_cast<double>(got) - want) / std::abs(want);
  };
  for (float x = -86.9f; x <= 0; x += 0.00071f)
    REQUIRE(error(Math::exp_of_nonpositive(x), std::exp(static_cast<double>(x))) < kTwoUnits);
  CHECK(Math::exp_of_nonpositive(0.0f) == 1);
  CHECK(Math::exp_of_nonpositive(-1e30f) == 0);
  for (float x = 1e-30f; x <= 1; x *= 1.0003f)
    REQUIRE(error(Math::log1p_of_fraction(x), std::log1p(static_cast<double>(x))) < kTwoUnits);
  CHECK(Math::log1p_of_fraction(0.0f) == 0);
  for (float x = 1e-30f; x <= 30; x *= 1.0003f) {
    REQUIRE(error(Math::tanh(x), std::tanh(static_cast<double>(x))) < kTwoUnits);
    REQUIRE(Math::tanh(-x) == -Math::tanh(x));
  }
  for (const float x : {1e4f, INFINITY}) CHECK(Math::tanh(x) == 1);
  CHECK(std::isnan(Math::tanh(NAN)));
  CHECK(std::isnan(Math::exp_of_nonpositive(NAN)));
}

TEST_CASE("huge pre-activations over a long sequence give no NaN") {
  Generator g{18, 0};
  const int64_t T = 4096, D = 8;
  Problem p = make<float>(1, T, 1, D, g);
  for (int64_t i = 0; i < p.wx.numel(); ++i) {
    float& x = p.wx.data<float>()[i];
    x = i % 3 == 0 ? (x > 0 ? 1e4f : -1e4f) : x * 30;
  }
  const Run r = run(p);
  for (const Tensor& t : {r.out.h, r.out.final_state.c, r.out.final_state.n, r.out.final_state.m,
                          r.dwx, r.dR, r.dbias, r.dinitial.h, r.dinitial.c, r.dinitial.n})
    for (const double x : t.to_vector<double>()) REQUIRE(std::isfinite(x));
  for (const double x : r.out.h.to_vector<double>()) REQUIRE(std::abs(x) <= 3);
  // All gates open or shut for ever.
  for (const float value : {1e4f, -1e4f}) {
    p.wx.fill(value);
    const Run all = run(p);
    for (const double x : all.out.h.to_vector<double>()) REQUIRE(std::isfinite(x));
    for (const double x : all.dwx.to_vector<double>()) REQUIRE(std::isfinite(x));
  }
}

TEST_CASE("no batch, no steps") {
  Generator g{19, 0};
  const Problem no_steps = make<double>(2, 0, 2, 3, g);
  const Run r = run(no_steps);
  CHECK(same_bits(r.out.final_state.h, no_steps.initial.h));
  CHECK(same_bits(r.out.final_state.m, no_steps.initial.m));
  CHECK(same_bits(r.dinitial.h, no_steps.grad_final.h));
  CHECK(same_bits(r.dinitial.c, no_steps.grad_final.c));
  for (const double x : r.dR.to_vector<double>()) CHECK(x == 0);
  const Run none = run(make<double>(0, 4, 2, 3, g));
  CHECK(none.out.h.numel() == 0);
  for (const double x : none.dR.to_vector<double>()) CHECK(x == 0);
  for (const double x : none.dbias.to_vector<double>()) CHECK(x == 0);
}

TEST_CASE("the op explains what is wrong with its arguments") {
  Generator g{20, 0};
  const Problem p = make<double>(2, 3, 2, 4, g);
  using xlstm::test::contains;
  CHECK_THROWS_WITH(ops::slstm(p.wx, p.R.strided_view({2, 4, 4, 3}, p.R.strides()), {}, {}, {}),
                    contains("R") && contains("[2, 4, 4, 3]"));
  CHECK_THROWS_WITH(ops::slstm(p.dh, p.R, {}, {}, {}), contains("[B, T, 4, H, D]"));
  CHECK_THROWS_AS(ops::slstm(p.wx, p.R, {}, {}, Tensor::zeros({2, 3}, DType::f64)), ShapeError);
  CHECK_THROWS_AS(ops::slstm(p.wx, p.R, p.bias, {p.wx, {}, {}, {}}, {}), ShapeError);
  ops::SlstmOptions bad;
  bad.recurrent_clip = -1;
  CHECK_THROWS_AS(ops::slstm(p.wx, p.R, {}, {}, {}, bad), ConfigError);
  bad = {.recompute_steps = -3};
  CHECK_THROWS_WITH(ops::slstm(p.wx, p.R, {}, {}, {}, bad),
                    contains("recompute_steps") && contains("-3"));
}

// ---- recompute_steps ----

double largest(const Tensor& t) {
  double size = 0;
  for (const double x : t.to_vector<double>()) size = std::max(size, std::abs(x));
  return size;
}

// Sums over time in another order: a few units in the last place of sums of numbers of either sign.
void check_sums(const Tensor& got, const Tensor& want) {
  const double unit = got.dtype() == DType::f64 ? std::numeric_limits<double>::epsilon()
                                                : std::numeric_limits<float>::epsilon();
  CHECK(largest_difference(got, want) <= 8 * unit * largest(want));
}

void check_recomputed(const Run& again, const Run& plain) {
  CHECK(same_bits(again.out.h, plain.out.h));
  CHECK(same_bits(again.out.final_state.h, plain.out.final_state.h));
  CHECK(same_bits(again.out.final_state.c, plain.out.final_state.c));
  CHECK(same_bits(again.out.final_state.n, plain.out.final_state.n));
  CHECK(same_bits(again.out.final_state.m, plain.out.final_state.m));
  CHECK(same_bits(again.dwx, plain.dwx));
  CHECK(same_bits(again.dinitial.h, plain.dinitial.h));
  CHECK(same_bits(again.dinitial.c, plain.dinitial.c));
  CHECK(same_bits(again.dinitial.n, plain.dinitial.n));
  CHECK(same_bits(again.dinitial.m, plain.dinitial.m));
  check_sums(again.dR, plain.dR);
  check_sums(again.dbias, plain.dbias);
}

TEST_CASE("recomputed stretches give the results and gradients of the whole, under every option") {
  Generator g{22, 0};
  const int64_t B = 3, T = 23, H = 2, D = 5;
  const Problem p = make<double>(B, T, H, D, g);
  // At the ends of stretches and inside them.
  Tensor resets = Tensor::zeros({B, T}, DType::u8);
  for (const int64_t at : {int64_t{7}, int64_t{8}, int64_t{12}, T, T + 16, 2 * T + 22})
    resets.data<uint8_t>()[at] = 1;
  std::vector<ops::SlstmOptions> all(4);
  all[1].recurrent_cut = true;
  all[2].recurrent_clip = 0.1;
  all[3].recurrent_clip = 0.3, all[3].forward_clip = 0.2;
  for (const Tensor& reset : {Tensor{}, resets})
    for (ops::SlstmOptions options : all) {
      const Run plain = run(p, reset, options);
      for (const int64_t stretch : {int64_t{1}, int64_t{2}, int64_t{8}, int64_t{22}, T,
                                    std::numeric_limits<int64_t>::max()}) {
        INFO("stretches of " << stretch << ", resets " << reset.defined());
        options.recompute_steps = stretch;
        check_recomputed(run(p, reset, options), plain);
      }
    }
}

TEST_CASE("recomputed stretches in float32, of rows that fill registers and tiles") {
  Generator g{23, 0};
  for (const int64_t D : {int64_t{3}, int64_t{16}, int64_t{40}})
    for (const int64_t T : {int64_t{1}, int64_t{6}, int64_t{12}, int64_t{37}}) {
      INFO("D " << D << ", T " << T);
      const Problem p = make<float>(21, T, 2, D, g);
      check_recomputed(run(p, {}, {.recompute_steps = 6}), run(p));
    }
}

TEST_CASE("recomputed stretches without batch or steps") {
  Generator g{24, 0};
  for (const auto& [B, T] : {std::pair<int64_t, int64_t>{2, 0}, {0, 4}}) {
    const Problem p = make<double>(B, T, 2, 3, g);
    check_recomputed(run(p, {}, {.recompute_steps = 3}), run(p));
  }
}

TEST_CASE("recomputed stretches give the gradients that are wanted, from those that there are") {
  Generator g{25, 0};
  const Problem p = make<double>(2, 7, 2, 3, g);
  const size_t n_inputs = 7;
  for (size_t which = 0; which < n_inputs; ++which) {
    INFO("input " << which);
    const auto gradient = [&](int64_t recompute_steps) {
      Tensors in{p.wx, p.R, p.bias, p.initial.h, p.initial.c, p.initial.n, p.initial.m};
      for (Tensor& t : in) t = t.detach();
      leaf(in[which]);
      const ops::SlstmResult out = ops::slstm(in[0], in[1], in[2], {in[3], in[4], in[5], in[6]}, {},
                                              {.recompute_steps = recompute_steps});
      autograd::backward(which % 2 == 0 ? out.h : out.final_state.c,
                         which % 2 == 0 ? p.dh : p.grad_final.c);
      for (size_t i = 0; i < n_inputs; ++i) CHECK(in[i].grad().defined() == (i == which));
      return in[which].grad();
    };
    check_sums(gradient(3), gradient(0));
  }
  // No initial state, no bias, and gates outermost.
  Tensor gates = Tensor::empty({4, 2, 7, 2, 3}, DType::f64);
  const Shape s = gates.strides();
  gates = gates.strided_view(p.wx.shape(), {s[1], s[2], s[0], s[3], s[4]});
  gates.copy_from(p.wx);
  const auto gradient = [&](int64_t recompute_steps) {
    const Tensor wx = leaf(gates.detach());
    autograd::backward(ops::slstm(wx, p.R, {}, {}, {}, {.recompute_steps = recompute_steps}).h,
                       p.dh);
    return wx.grad();
  };
  CHECK(same_bits(gradient(3), gradient(0)));
}

TEST_CASE("with recomputed stretches the input must stay as it was until the backward") {
  Generator g{26, 0};
  const Problem p = make<double>(2, 7, 2, 3, g);
  Tensor wx = leaf(p.wx.detach());
  const ops::SlstmResult out = ops::slstm(wx, p.R, {}, {}, {}, {.recompute_steps = 3});
  wx.fill(0);
  CHECK_THROWS_AS(autograd::backward(out.h, p.dh), AutogradError);
}

struct Bytes {
  int64_t kept, peak;  // between forward and backward, and of backward, beside the inputs
};

Bytes bytes_of(const Problem& p, int64_t recompute_steps) {
  const Tensor wx = leaf(p.wx.detach()), R = leaf(p.R.detach());
  const int64_t before = memory_stats().in_use_bytes;
  const ops::SlstmResult out =
      ops::slstm(wx, R, p.bias, {}, {}, {.recompute_steps = recompute_steps});
  const int64_t kept = memory_stats().in_use_bytes - before;
  reset_peak_memory();
  autograd::backward(out.h, p.dh);
  return {kept, memory_stats().peak_bytes - before};
}

TEST_CASE("recomputed stretches keep the states between them and the memory of one") {
  Generator g{27, 0};
  const int64_t B = 8, T = 512, H = 2, D = 32, stretch = 32;
  const Problem p = make<float>(B, T, H, D, g);
  const Bytes plain = bytes_of(p, 0), again = bytes_of(p, stretch);
  const int64_t step = B * H * D * 4;  // a number a unit
  // h, and seven numbers a step; or four a stretch. The final state besides.
  CHECK(plain.kept >= 8 * T * step);
  CHECK(again.kept <= T * step + (4 * T / stretch + 8) * step);
  // dwx, four numbers a step, is made in both.
  CHECK(plain.peak >= 12 * T * step);
  CHECK(again.peak <= 6 * T * step);
}

TEST_CASE("bad arguments of the C interface give the status that says why") {
  float memory[256] = {};
  alignas(64) char scratch[16384];
  xlstm_slstm_fwd_args f{};
  f.dtype = f.weight_dtype = XLSTM_F32;
  f.B = 1, f.T = 1, f.H = 1, f.D = 2;
  f.wx = memory, f.R = memory + 64, f.h = memory + 128;
  xlstm_exec exec{};
  exec.workspace = scratch;
  exec.workspace_bytes = xlstm_slstm_fwd_workspace_cpu(&f);
  REQUIRE(exec.workspace_bytes > 0);
  REQUIRE(exec.workspace_bytes <= static_cast<int64_t>(sizeof(scratch)));
  CHECK(xlstm_slstm_fwd_cpu(&f, exec) == XLSTM_OK);
  CHECK(xlstm_slstm_fwd_cpu(nullptr, exec) == XLSTM_NULL_POINTER);
  const auto forward_with = [&](auto change) {
    xlstm_slstm_fwd_args a = f;
    change(a);
    return xlstm_slstm_fwd_cpu(&a, exec);
  };
  using F = xlstm_slstm_fwd_args;
  CHECK(forward_with([](F& a) { a.B = -1; }) == XLSTM_BAD_SIZE);
  CHECK(forward_with([](F& a) { a.T = INT64_MAX / 4; }) == XLSTM_BAD_SIZE);
  CHECK(forward_with([](F& a) { a.wx = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.R = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.h = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.T = 2, a.h_stride_t = 1; }) == XLSTM_BAD_STRIDE);
  CHECK(forward_with([](F& a) { a.forward_clip = -1; }) == XLSTM_BAD_VALUE);
  CHECK(forward_with([](F& a) { a.forward_clip = NAN; }) == XLSTM_BAD_VALUE);
  CHECK(forward_with([](F& a) { a.dtype = XLSTM_BF16; }) == XLSTM_BAD_DTYPE);
  CHECK(forward_with([](F& a) { a.weight_dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
  xlstm_exec small = exec;
  --small.workspace_bytes;
  CHECK(xlstm_slstm_fwd_cpu(&f, small) == XLSTM_WORKSPACE_TOO_SMALL);

  alignas(16) float saved[7 * 16] = {};
  REQUIRE(xlstm_slstm_saved_bytes_cpu(XLSTM_F32, 1, 1, 1, 2) <=
          static_cast<int64_t>(sizeof(saved)));
  CHECK(xlstm_slstm_saved_bytes_cpu(XLSTM_F32, INT64_MAX / 2, 4, 4, 4) == 0);
  f.saved = saved;
  REQUIRE(xlstm_slstm_fwd_cpu(&f, exec) == XLSTM_OK);
  xlstm_slstm_bwd_args b{};
  b.dtype = b.weight_dtype = XLSTM_F32;
  b.B = 1, b.T = 1, b.H = 1, b.D = 2;
  b.R = f.R, b.h = f.h, b.saved = saved, b.dh = memory;
  b.dwx = memory + 192;
  b.dwx_stride_g = 2;
  exec.workspace_bytes = xlstm_slstm_bwd_workspace_cpu(&b);
  REQUIRE(exec.workspace_bytes <= static_cast<int64_t>(sizeof(scratch)));
  CHECK(xlstm_slstm_bwd_cpu(&b, exec) == XLSTM_OK);
  const auto backward_with = [&](auto change) {
    xlstm_slstm_bwd_args a = b;
    change(a);
    return xlstm_slstm_bwd_cpu(&a, exec);
  };
  using G = xlstm_slstm_bwd_args;
  CHECK(backward_with([](G& a) { a.D = -2; }) == XLSTM_BAD_SIZE);
  CHECK(backward_with([](G& a) { a.saved = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(backward_with([](G& a) { a.h = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(backward_with([](G& a) { a.dwx_stride_g = 1; }) == XLSTM_BAD_STRIDE);
  CHECK(backward_with([](G& a) { a.recurrent_clip = -0.5; }) == XLSTM_BAD_VALUE);
  CHECK(backward_with([](G& a) { a.recurrent_cut = 2; }) == XLSTM_BAD_VALUE);
  CHECK(backward_with([](G& a) { a.dtype = XLSTM_F16; }) == XLSTM_BAD_DTYPE);
}

}  // namespace
}  // namespace xlstm
