// The sLSTM against numbers computed beforehand with another implementation, and the laws that its
// equations promise.
#include <cmath>

#include "core/autograd.h"
#include "core/ops/slstm.h"
#include "core/random.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

// Elements offset + c sin(a + 0.7 n) in row-major order.
Tensor wave(const Shape& shape, double a, double c) {
  std::vector<double> values(static_cast<size_t>(element_count(shape)));
  for (size_t n = 0; n < values.size(); ++n)
    values[n] = c * std::sin(a + 0.7 * static_cast<double>(n));
  return Tensor::from(values, shape);
}

Tensor normal(const Shape& shape, Generator& g, double std = 1) {
  Tensor t = Tensor::empty(shape, DType::f64);
  fill_normal(t, 0, std, g);
  return t;
}

Tensor leaf(Tensor t) {
  t.set_requires_grad(true);
  return t;
}

void check_digits(const Tensor& got, const std::vector<double>& want, double digits = 0.6e-9) {
  const std::vector<double> values = got.to_vector<double>();
  REQUIRE(values.size() == want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    INFO("element " << i);
    CHECK(std::abs(values[i] - want[i]) < digits);
  }
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

TEST_CASE("golden values and gradients of three steps") {
  const Tensor wx = leaf(wave({1, 3, 4, 1, 2}, 0.1, 1)), R = leaf(wave({1, 2, 4, 2}, 0.5, 0.5)),
               bias = leaf(wave({1, 4, 2}, 0.9, 0.3)), weights = wave({1, 3, 1, 2}, 1.3, 1);
  const ops::SlstmResult out = ops::slstm(wx, R, bias, {}, {});
  check_digits(out.h, {.018634208, -.155496064, .092408501, -.103478768, .194844030, -.061550766});
  check_digits(out.final_state.h, {.194844030, -.061550766});
  check_digits(out.final_state.c, {1.060216807, -.402134358});
  check_digits(out.final_state.n, {2.614956634, 2.321389375});
  check_digits(out.final_state.m, {-.542139832, .312150669});
  const std::vector<double> h = out.h.to_vector<double>(), w = weights.to_vector<double>();
  double loss = 0;
  for (size_t i = 0; i < h.size(); ++i) loss += h[i] * w[i];
  CHECK(std::abs(loss - -.155622130) < 0.6e-9);
  autograd::backward(out.h, weights);
  check_digits(wx.grad(),
               {.031554009,  .077778655,  0,           0,           .169329179,  .020710618,
                .014266538,  -.105117832, .002591482,  -.022486554, .009194998,  .021340444,
                -.032905563, -.140141605, .028487688,  .018939089,  -.034145490, -.055292101,
                .014097469,  .017644352,  -.072012437, -.071980997, -.082816010, .039528828});
  check_digits(R.grad(), {-.003107043, -.005528479, .001474068, .002028150, -.007267731,
                          -.009263084, -.007122058, .004005715, .003130368, .009218129, -.002888575,
                          -.005144171, .012568444, .029239973, .004139975, -.007035348});
  check_digits(bias.grad(),
               {0, 0, .023292467, .038984796, .064411178, -.191411984, -.040061784, -.046649915});
}

TEST_CASE("from the zero state: n >= 1, |h| <= 1, input gates get no gradient in sum") {
  Generator g{3, 0};
  const int64_t B = 3, T = 40, H = 2, D = 5;
  const Tensor wx = leaf(normal({B, T, 4, H, D}, g, 3)), R = leaf(normal({H, D, 4, D}, g, 0.5)),
               bias = leaf(normal({H, 4, D}, g));
  for (int64_t length = 1; length <= T; length += 3) {
    const Tensor part =
        wx.detach().strided_view({B, length, 4, H, D}, wx.strides(), (T - length) * 4 * H * D);
    const ops::SlstmResult out = ops::slstm(part, R.detach(), bias.detach(), {}, {});
    for (const double n : out.final_state.n.to_vector<double>()) CHECK(n >= 1);
    for (const double h : out.h.to_vector<double>()) CHECK(std::abs(h) <= 1);
  }
  const ops::SlstmResult out = ops::slstm(wx, R, bias, {}, {});
  autograd::backward(out.h, normal({B, T, H, D}, g));
  const std::vector<double> dwx = wx.grad().to_vector<double>();
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t unit = 0; unit < H * D; ++unit) {
      double sum = 0, size = 0;
      for (int64_t t = 0; t < T; ++t) {
        const double di = dwx[static_cast<size_t>((b * T + t) * 4 * H * D + unit)];
        sum += di;
        size += std::abs(di);
      }
      CHECK(std::abs(sum) < 1e-13 * size + 1e-15);
      CHECK(size > 1e-6);
      // Nothing to forget at the first step.
      CHECK(dwx[static_cast<size_t>(b * T * 4 * H * D + H * D + unit)] == 0);
    }
  }
}

TEST_CASE("the stabiliser is a free scale: (c, n, m) -> (c / s, n / s, m + log s)") {
  Generator g{5, 0};
  const int64_t B = 2, T = 6, H = 1, D = 4;
  const Tensor wx = normal({B, T, 4, H, D}, g), R = normal({H, D, 4, D}, g, 0.5);
  const Shape state{B, H, D};
  const Tensor h = normal(state, g, 0.3), c = normal(state, g),
               n = Tensor::empty(state, DType::f64), m = normal(state, g);
  fill_uniform(n, 1, 3, g);
  const Tensor plain = ops::slstm(wx, R, {}, {h, c, n, m}, {}).h;
  for (const double shift : {-7.0, 0.3, 11.0}) {
    const Tensor c2 = c.clone(), n2 = n.clone(), m2 = m.clone();
    for (int64_t i = 0; i < c.numel(); ++i) {
      c2.data<double>()[i] *= std::exp(-shift);
      n2.data<double>()[i] *= std::exp(-shift);
      m2.data<double>()[i] += shift;
    }
    CHECK(largest_difference(ops::slstm(wx, R, {}, {h, c2, n2, m2}, {}).h, plain) < 1e-13);
  }
}

TEST_CASE("a constant on every input gate changes nothing from the zero state") {
  Generator g{6, 0};
  const Tensor wx = normal({2, 7, 4, 1, 3}, g), R = normal({1, 3, 4, 3}, g);
  Tensor bias = Tensor::zeros({1, 4, 3}, DType::f64);
  const Tensor plain = ops::slstm(wx, R, bias, {}, {}).h;
  for (int64_t j = 0; j < 3; ++j) bias.data<double>()[j] = 4.25;
  CHECK(largest_difference(ops::slstm(wx, R, bias, {}, {}).h, plain) < 1e-13);
}

TEST_CASE("the recurrent gradient can be cut or clipped") {
  Generator g{8, 0};
  const int64_t B = 2, T = 4, H = 1, D = 3;
  const Tensor wx = normal({B, T, 4, H, D}, g), R = normal({H, D, 4, D}, g),
               dh = normal({B, T, H, D}, g, 3);
  struct Grads {
    Tensor wx, R, h0;
  };
  const auto gradients = [&](const Tensor& x, const Tensor& upstream, ops::SlstmOptions options,
                             const Tensor& h0 = {}) {
    const Tensor a = leaf(x.clone()), r = leaf(R.clone()),
                 h = leaf(h0.defined() ? h0.clone() : Tensor::zeros({B, H, D}, DType::f64));
    autograd::backward(ops::slstm(a, r, {}, {h, {}, {}, {}}, {}, options).h, upstream);
    return Grads{a.grad(), r.grad(), h.grad()};
  };
  ops::SlstmOptions cut, tiny, wide;
  cut.recurrent_cut = true;
  tiny.recurrent_clip = 1e-300;
  wide.recurrent_clip = 1e6;
  const Grads plain = gradients(wx, dh, {}), with_cut = gradients(wx, dh, cut),
              with_tiny = gradients(wx, dh, tiny), with_wide = gradients(wx, dh, wide);
  // Clipped to nothing is cut, except that the gradient of the initial h leaves unclipped.
  CHECK(largest_difference(with_cut.wx, with_tiny.wx) < 1e-15);
  CHECK(largest_difference(with_cut.R, with_tiny.R) < 1e-15);
  CHECK(largest_difference(with_cut.h0, Tensor::zeros({B, H, D}, DType::f64)) == 0);
  CHECK(largest_difference(with_wide.wx, plain.wx) == 0);
  CHECK(largest_difference(with_cut.wx, plain.wx) > 1e-3);
  // R itself keeps a gradient, and the last step never had a recurrent part.
  CHECK(largest_difference(with_cut.R, Tensor::zeros(R.shape(), DType::f64)) > 1e-3);

  // A clip that bites: two steps; step 0 gets dh_0 + clip(R dg_1), which a single step reproduces.
  const double kappa = 0.05;
  ops::SlstmOptions clip;
  clip.recurrent_clip = kappa;
  const auto steps = [&](const Tensor& t, int64_t from, int64_t count) {
    Shape shape = t.shape();
    shape[1] = count;
    return t.strided_view(shape, t.strides(), from * t.stride(1)).clone();
  };
  const Tensor wx2 = steps(wx, 0, 2), dh2 = steps(dh, 0, 2);
  const Grads two = gradients(wx2, dh2, clip);
  Tensor upstream = steps(dh, 0, 1);
  {
    const Tensor first = ops::slstm(steps(wx, 0, 1), R, {}, {}, {}).final_state.h;
    const Tensor x1 = leaf(steps(wx, 1, 1)), h1 = leaf(first.clone());
    const ops::SlstmResult begin = ops::slstm(steps(wx, 0, 1), R, {}, {}, {});
    const ops::SlstmState& s = begin.final_state;
    const Tensor c1 = leaf(s.c.clone()), n1 = leaf(s.n.clone());
    autograd::backward(ops::slstm(x1, R, {}, {h1, c1, n1, s.m}, {}, clip).h, steps(dh, 1, 1));
    // dg_1 is the same with or without the first step on the tape.
    CHECK(largest_difference(x1.grad(), steps(two.wx, 1, 1)) < 1e-15);
    bool bites = false;
    for (int64_t i = 0; i < h1.numel(); ++i) {
      const double back = h1.grad().data<double>()[i];
      bites = bites || std::abs(back) > kappa;
      upstream.data<double>()[i] += std::min(kappa, std::max(-kappa, back));
    }
    REQUIRE(bites);
    const Tensor x0 = leaf(steps(wx, 0, 1));
    const ops::SlstmResult again = ops::slstm(x0, R, {}, {}, {});
    autograd::backward({again.h, again.final_state.c, again.final_state.n},
                       {upstream, c1.grad(), n1.grad()});
    CHECK(largest_difference(x0.grad(), steps(two.wx, 0, 1)) < 1e-15);
  }
}

TEST_CASE("h is clamped in the forward, and the clamp is transparent to the gradient") {
  Generator g{9, 0};
  const Tensor wx = leaf(normal({2, 5, 4, 1, 3}, g, 2)),
               R = Tensor::zeros({1, 3, 4, 3}, DType::f64);
  ops::SlstmOptions options;
  options.forward_clip = 0.1;
  const Tensor plain = ops::slstm(wx.detach(), R, {}, {}, {}).h;
  const ops::SlstmResult out = ops::slstm(wx, R, {}, {}, {}, options);
  for (int64_t i = 0; i < plain.numel(); ++i) {
    const double want = std::min(0.1, std::max(-0.1, plain.data<double>()[i]));
    CHECK(out.h.data<double>()[i] == want);
  }
  const Tensor dh = normal({2, 5, 1, 3}, g);
  autograd::backward(out.h, dh);
  const Tensor clipped = wx.grad().clone();
  const Tensor wx2 = leaf(wx.detach().clone());
  autograd::backward(ops::slstm(wx2, R, {}, {}, {}).h, dh);
  CHECK(largest_difference(clipped, wx2.grad()) == 0);
}

}  // namespace
}  // namespace xlstm
