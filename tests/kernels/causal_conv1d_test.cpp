// The causal convolution as a kernel: cut sequences, documents, causality, threads, bad arguments.
#include "kernels/causal_conv1d/causal_conv1d.h"

#include <omp.h>

#include <cmath>
#include <cstring>

#include "core/autograd.h"
#include "core/ops/causal_conv1d.h"
#include "core/random.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

template <class T>
Tensor normal(const Shape& shape, Generator& g) {
  Tensor t = Tensor::empty(shape, DTypeOf<T>::value);
  fill_normal(t, 0, 1, g);
  return t;
}

Tensor leaf(Tensor t) {
  t.set_requires_grad(true);
  return t;
}

Tensor steps(const Tensor& t, int64_t from, int64_t count) {
  Shape shape = t.shape();
  shape[1] = count;
  return t.strided_view(shape, t.strides(), from * t.stride(1)).clone();
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         (a.numel() == 0 ||
          std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.numel() * size_of(a.dtype()))) == 0);
}

struct Problem {
  Tensor x, weight, bias, state, dy, dstate;
};

template <class T>
Problem make(int64_t B, int64_t n, int64_t C, int64_t KS, Generator& g) {
  return {normal<T>({B, n, C}, g),      normal<T>({C, 1, KS}, g), normal<T>({C}, g),
          normal<T>({B, KS - 1, C}, g), normal<T>({B, n, C}, g),  normal<T>({B, KS - 1, C}, g)};
}

struct Run {
  Tensor y, state, dx, dweight, dbias, dstate;
};

Run run(const Problem& p, const Tensor& reset = {}, bool silu = true,
        decltype(&ops::causal_conv1d) op = ops::causal_conv1d) {
  const Tensor x = leaf(p.x.detach()), weight = leaf(p.weight.detach()),
               bias = leaf(p.bias.detach()), state = leaf(p.state.detach());
  const ops::CausalConv1dResult out = op(x, weight, bias, state, reset, silu);
  autograd::backward({out.y, out.final_state}, {p.dy, p.dstate});
  return {out.y, out.final_state, x.grad(), weight.grad(), bias.grad(), state.grad()};
}

TEST_CASE("conv: step by step with the state equals the whole, to the bit") {
  Generator g{1, 0};
  for (const int64_t KS : {1, 2, 3, 4, 7}) {
    const Problem p = make<float>(2, 9, 300, KS, g);
    const ops::CausalConv1dResult whole =
        ops::causal_conv1d(p.x, p.weight, p.bias, p.state, {}, true);
    Tensor state = p.state;
    for (int64_t t = 0; t < 9; ++t) {
      const ops::CausalConv1dResult one =
          ops::causal_conv1d(steps(p.x, t, 1), p.weight, p.bias, state, {}, true);
      CHECK(same_bits(one.y, steps(whole.y, t, 1)));
      state = one.final_state;
    }
    CHECK(same_bits(state, whole.final_state));
  }
}

TEST_CASE("conv: a sequence in two parts has the gradients of the whole") {
  Generator g{2, 0};
  const int64_t n = 140;  // more than two blocks of steps
  for (const auto& [KS, C] : {std::pair<int64_t, int64_t>{2, 5}, {4, 5}, {4, 16}, {6, 16}}) {
    const Problem p = make<double>(2, n, C, KS, g);
    const Run whole = run(p);
    for (const int64_t cut : {int64_t{1}, int64_t{63}, int64_t{64}, n - 2}) {
      INFO("KS " << KS << ", cut " << cut);
      Problem a = p, b = p;
      a.x = steps(p.x, 0, cut), a.dy = steps(p.dy, 0, cut);
      b.x = steps(p.x, cut, n - cut), b.dy = steps(p.dy, cut, n - cut);
      b.state = ops::causal_conv1d(a.x, p.weight, p.bias, p.state, {}, true).final_state;
      const Run second = run(b);
      a.dstate = second.dstate;
      const Run first = run(a);
      CHECK(largest_difference(first.dx, steps(whole.dx, 0, cut)) < 1e-13);
      CHECK(largest_difference(second.dx, steps(whole.dx, cut, n - cut)) < 1e-13);
      CHECK(largest_difference(first.dstate, whole.dstate) < 1e-13);
      const Tensor sum = first.dweight.clone();
      for (int64_t i = 0; i < sum.numel(); ++i)
        sum.data<double>()[i] += second.dweight.data<double>()[i];
      CHECK(largest_difference(sum, whole.dweight) < 1e-11);
    }
  }
}

TEST_CASE("conv: the gradient is the composed twin's at every width, with and without documents") {
  Generator g{7, 0};
  for (const int64_t C : {5, 16, 144}) {
    for (const bool has_resets : {false, true}) {
      for (const bool silu : {false, true}) {
        const int64_t n = 131;
        const Problem p = make<double>(2, n, C, 4, g);
        Tensor reset = Tensor::zeros({2, n}, DType::u8);
        // Near the borders of blocks of 64 steps; other blocks have none.
        if (has_resets)
          for (const int64_t at : {int64_t{63}, n + 64, n + 130}) reset.data<uint8_t>()[at] = 1;
        const Run fused = run(p, reset, silu),
                  twin = run(p, reset, silu, ops::causal_conv1d_composed);
        CHECK(largest_difference(fused.y, twin.y) < 1e-13);
        CHECK(largest_difference(fused.dx, twin.dx) < 1e-13);
        CHECK(largest_difference(fused.dweight, twin.dweight) < 1e-12);
        CHECK(largest_difference(fused.dbias, twin.dbias) < 1e-12);
        CHECK(largest_difference(fused.dstate, twin.dstate) < 1e-13);
      }
    }
  }
}

TEST_CASE("conv: a reset makes separate documents, and the state forgets what came before") {
  Generator g{3, 0};
  const int64_t B = 2, n = 10, C = 3, KS = 4;
  for (const int64_t cut : {0, 1, 7, 8, 9}) {
    INFO("cut " << cut);
    const Problem p = make<double>(B, n, C, KS, g);
    Tensor reset = Tensor::zeros({B, n}, DType::u8);
    for (int64_t b = 0; b < B; ++b) reset.data<uint8_t>()[b * n + cut] = 1;
    const Run whole = run(p, reset);
    Problem b = p;
    b.x = steps(p.x, cut, n - cut), b.dy = steps(p.dy, cut, n - cut);
    b.state = Tensor::zeros(p.state.shape(), DType::f64);
    const Run second = run(b);
    CHECK(same_bits(second.y, steps(whole.y, cut, n - cut)));
    CHECK(same_bits(second.state, whole.state));
    CHECK(same_bits(second.dx, steps(whole.dx, cut, n - cut)));
    Problem a = p;
    a.x = steps(p.x, 0, cut), a.dy = steps(p.dy, 0, cut);
    a.dstate = Tensor::zeros(p.state.shape(), DType::f64);
    const Run first = run(a);
    CHECK(same_bits(first.y, steps(whole.y, 0, cut)));
    CHECK(same_bits(first.dx, steps(whole.dx, 0, cut)));
    CHECK(same_bits(first.dstate, whole.dstate));
  }
}

TEST_CASE("conv: nothing looks ahead") {
  Generator g{4, 0};
  const int64_t n = 12, at = 5;
  Problem p = make<double>(1, n, 2, 4, g);
  const Run before = run(p);
  for (int64_t c = 0; c < 2; ++c) p.x.data<double>()[at * 2 + c] += 1;
  const Run after = run(p);
  CHECK(same_bits(steps(before.y, 0, at), steps(after.y, 0, at)));
  CHECK(largest_difference(steps(before.y, at, 4), steps(after.y, at, 4)) > 1e-3);
  CHECK(same_bits(steps(before.y, at + 4, n - at - 4), steps(after.y, at + 4, n - at - 4)));
}

TEST_CASE("conv: rows and channels do not mix") {
  Generator g{5, 0};
  const Problem p = make<float>(3, 4, 270, 4, g);
  Problem q = p;
  q.x = p.x.clone();
  float* changed = q.x.data<float>() + (1 * 4 + 2) * 270 + 261;
  *changed += 1;
  const std::vector<float> a = run(p).y.to_vector<float>(), b = run(q).y.to_vector<float>();
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t row = i / (4 * 270), t = i / 270 % 4, c = i % 270;
    CHECK((a[i] != b[i]) == (row == 1 && t >= 2 && c == 261));
  }
}

TEST_CASE("conv: the number of threads changes no bit of a large problem") {
  Generator g{6, 0};
  const int before = omp_get_max_threads();
  const Problem p = make<float>(3, 200, 300, 4, g);
  omp_set_num_threads(1);
  const Run one = run(p);
  for (const int threads : {2, 3}) {
    omp_set_num_threads(threads);
    const Run again = run(p);
    CHECK(same_bits(one.y, again.y));
    CHECK(same_bits(one.dx, again.dx));
    CHECK(same_bits(one.dweight, again.dweight));
    CHECK(same_bits(one.dbias, again.dbias));
  }
  omp_set_num_threads(before);
}

TEST_CASE("conv: bad arguments give the status that says why") {
  float memory[64] = {};
  alignas(64) char scratch[1024];
  xlstm_causal_conv1d_fwd_args f{};
  f.dtype = XLSTM_F32;
  f.B = 1, f.T = 1, f.C = 2, f.KS = 4;
  f.x = memory, f.weight = memory + 8, f.y = memory + 32;
  xlstm_exec exec{};
  exec.workspace = scratch;
  exec.workspace_bytes = xlstm_causal_conv1d_fwd_workspace_cpu(&f);
  CHECK(xlstm_causal_conv1d_fwd_cpu(&f, exec) == XLSTM_OK);
  using F = xlstm_causal_conv1d_fwd_args;
  const auto forward_with = [&](auto change) {
    F a = f;
    change(a);
    return xlstm_causal_conv1d_fwd_cpu(&a, exec);
  };
  CHECK(xlstm_causal_conv1d_fwd_cpu(nullptr, exec) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.KS = 0; }) == XLSTM_BAD_SIZE);
  CHECK(forward_with([](F& a) { a.C = -1; }) == XLSTM_BAD_SIZE);
  CHECK(forward_with([](F& a) { a.T = INT64_MAX; }) == XLSTM_BAD_SIZE);
  CHECK(forward_with([](F& a) { a.T = 2, a.y_stride_t = 1; }) == XLSTM_BAD_STRIDE);
  CHECK(forward_with([](F& a) { a.x = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.weight = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward_with([](F& a) { a.silu = 2; }) == XLSTM_BAD_VALUE);
  CHECK(forward_with([](F& a) { a.dtype = XLSTM_BF16; }) == XLSTM_BAD_DTYPE);
  xlstm_exec small = exec;
  --small.workspace_bytes;
  CHECK(xlstm_causal_conv1d_fwd_cpu(&f, small) == XLSTM_WORKSPACE_TOO_SMALL);
  xlstm_causal_conv1d_bwd_args b{};
  b.dtype = XLSTM_F32;
  b.B = 1, b.T = 1, b.C = 2, b.KS = 4;
  b.x = memory, b.weight = memory + 8, b.dy = memory, b.dx = memory + 32;
  exec.workspace_bytes = xlstm_causal_conv1d_bwd_workspace_cpu(&b);
  CHECK(xlstm_causal_conv1d_bwd_cpu(&b, exec) == XLSTM_OK);
  b.T = 3;
  CHECK(xlstm_causal_conv1d_bwd_cpu(&b, exec) == XLSTM_BAD_STRIDE);
  b.T = 1, b.x = nullptr;
  CHECK(xlstm_causal_conv1d_bwd_cpu(&b, exec) == XLSTM_NULL_POINTER);

  const Tensor x = Tensor::zeros({2, 3, 4}), w = Tensor::zeros({4, 1, 4});
  CHECK_THROWS_AS(ops::causal_conv1d(x, Tensor::zeros({3, 1, 4}), {}, {}, {}, false), ShapeError);
  CHECK_THROWS_AS(ops::causal_conv1d(x, w, Tensor::zeros({5}), {}, {}, false), ShapeError);
  CHECK_THROWS_AS(ops::causal_conv1d(x, w, {}, Tensor::zeros({2, 4, 4}), {}, false), ShapeError);
}

}  // namespace
}  // namespace xlstm
