#include "kernels/cross_entropy/cross_entropy.h"

#include <omp.h>

#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/cross_entropy.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor ids(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

struct LossAndGradient {
  double loss;
  std::vector<double> grad;
};

template <class T>
LossAndGradient run(const std::vector<T>& logits, const std::vector<int64_t>& targets,
                    double cap = 0) {
  const int64_t rows = static_cast<int64_t>(targets.size());
  Tensor x = Tensor::from(logits, {rows, static_cast<int64_t>(logits.size()) / rows});
  x.set_requires_grad(true);
  const auto result = ops::cross_entropy(x, ids(targets), cap);
  autograd::backward(result.loss);
  return {result.loss.item(), x.grad().template to_vector<double>()};
}

TEST_CASE("cross-entropy of two classes, by hand") {
  // Logits log 3 and 0: probabilities 3/4 and 1/4.
  const auto got = run<double>({std::log(3.0), 0}, {1});
  CHECK(got.loss == Approx(std::log(4.0)));
  CHECK(got.grad[0] == Approx(0.75));
  CHECK(got.grad[1] == Approx(-0.75));
}

TEST_CASE("equal logits cost log n_vocab, one class costs nothing") {
  const auto equal = run<float>(std::vector<float>(5000, -3.0f), {4321});
  CHECK(equal.loss == Approx(std::log(5000.0)).epsilon(1e-6));
  CHECK(equal.grad[0] == Approx(1.0 / 5000).epsilon(1e-5));
  const auto single = run<float>({7.5f}, {0});
  CHECK(single.loss == 0);
  CHECK(single.grad[0] == 0);
}

TEST_CASE("huge logits neither overflow nor lose their differences") {
  for (const float base : {1e4f, -1e4f}) {
    const auto got = run<float>({base, base + 1, base - 2000}, {0});
    CHECK(got.loss == Approx(std::log1p(std::exp(1.0))).epsilon(1e-6));
    CHECK(got.grad[0] == Approx(1 / (1 + std::exp(1.0)) - 1).epsilon(1e-6));
    CHECK(got.grad[2] == 0);
  }
  const auto certain = run<float>({-1e30f, 1e30f}, {0});
  CHECK(certain.loss == Approx(2e30));
}

TEST_CASE("the maximum may come in any piece of the row") {
  for (const size_t where : {size_t{0}, size_t{1023}, size_t{1024}, size_t{2500}, size_t{3000}}) {
    std::vector<double> x(3001);
    double sum = 0;
    for (size_t v = 0; v < x.size(); ++v) x[v] = std::sin(static_cast<double>(v));
    x[where] = 20;
    for (const double value : x) sum += std::exp(value);
    CHECK(run(x, {7}).loss == Approx(std::log(sum) - x[7]).epsilon(1e-12));
    const std::vector<float> as_float(x.begin(), x.end());
    CHECK(run(as_float, {7}).loss == Approx(std::log(sum) - x[7]).epsilon(1e-6));
  }
}

TEST_CASE("padded logits of -inf take no part") {
  std::vector<float> x(2100, -kInf);
  x[5] = 1;
  x[2050] = 2;
  const auto got = run<float>(x, {5});
  CHECK(got.loss == Approx(std::log1p(std::exp(1.0))).epsilon(1e-6));
  CHECK(got.grad[0] == 0);
  CHECK(got.grad[2050] == Approx(std::exp(1.0) / (1 + std::exp(1.0))).epsilon(1e-6));
  double sum = 0;
  for (const double g : got.grad) sum += g;
  CHECK(std::abs(sum) < 1e-7);
}

TEST_CASE("logits that are not numbers show in the loss") {
  CHECK(std::isnan(run<float>({1, NAN, 2}, {0}).loss));
  CHECK(std::isnan(run<float>({1, kInf, 2}, {0}).loss));
  CHECK(std::isnan(run<float>({-kInf, -kInf}, {0}).loss));
  CHECK(run<float>({0, -kInf}, {1}).loss == static_cast<double>(kInf));
}

TEST_CASE("ignored rows have no loss and no gradient, whatever they hold") {
  const auto got = run<float>({0, 0, NAN, kInf}, {0, -1});
  CHECK(got.loss == Approx(std::log(2.0)));
  CHECK(got.grad == std::vector<double>{-0.5, 0.5, 0, 0});
  const auto none = ops::cross_entropy(Tensor::zeros({2, 3}), ids({-1, -1}));
  CHECK(none.loss.item() == 0);
  CHECK(none.n_targets.item() == 0);
}

TEST_CASE("a soft cap bounds the loss and damps the gradient") {
  // z = 2 tanh(x / 2); x = 1000 gives z = 2 and no slope.
  const auto got = run<double>({1000, 0}, {1}, 2);
  CHECK(got.loss == Approx(std::log1p(std::exp(2.0))));
  CHECK(got.grad[0] == 0);
  CHECK(got.grad[1] == Approx(1 / (1 + std::exp(2.0)) - 1));
}

TEST_CASE("the composed twin agrees on -inf logits and on rows that do not count") {
  Tensor x = Tensor::from(std::vector<double>{0, -INFINITY, 1, NAN, 0, 1, 2, 1, -INFINITY}, {3, 3});
  const Tensor targets = ids({2, -1, 0});
  std::vector<LossAndGradient> both;
  for (const bool composed : {false, true}) {
    x.set_grad({});
    x.set_requires_grad(true);
    const auto result =
        composed ? ops::cross_entropy_composed(x, targets, 0, -1) : ops::cross_entropy(x, targets);
    autograd::backward(result.loss);
    both.push_back({result.loss.item(), x.grad().to_vector<double>()});
  }
  CHECK(both[0].loss == Approx(both[1].loss));
  for (size_t i = 0; i < 9; ++i) CHECK(both[0].grad[i] == Approx(both[1].grad[i]));
}

TEST_CASE("long batches: the float32 mean keeps its digits and threads change no bit") {
  const int before = omp_get_max_threads();
  std::vector<double> losses;
  std::vector<std::vector<float>> grads;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Generator generator{11, 0};
    Tensor x = random_tensor({3000, 40}, DType::f32, generator, 0, 3);
    x.set_requires_grad(true);
    std::vector<int64_t> targets;
    for (int64_t t = 0; t < 3000; ++t) targets.push_back(t % 7 == 0 ? -1 : t % 40);
    const auto result = ops::cross_entropy(x, ids(targets), 5);
    autograd::backward(result.loss);
    losses.push_back(result.loss.item());
    grads.push_back(x.grad().to_vector<float>());
    if (threads == 1) {
      Tensor exact = Tensor::empty(x.shape(), DType::f64);
      exact.copy_from(x);
      CHECK(losses[0] ==
            Approx(ops::cross_entropy(exact, ids(targets), 5).loss.item()).epsilon(3e-7));
    }
  }
  omp_set_num_threads(before);
  CHECK(losses[0] == losses[1]);
  CHECK(losses[0] == losses[2]);
  CHECK(grads[0] == grads[1]);
  CHECK(grads[0] == grads[2]);
}

TEST_CASE("bad arguments of cross-entropy are refused and the target is named") {
  const Tensor x = Tensor::zeros({2, 3});
  CHECK_THROWS_WITH(ops::cross_entropy(x, ids({0, 3})),
                    test::contains("got 3 at position 1, expected 0 to 2"));
  CHECK_THROWS_AS(ops::cross_entropy(x, ids({0, -2})), ShapeError);
  CHECK_THROWS_AS(ops::cross_entropy(x, ids({0})), ShapeError);
  CHECK_THROWS_AS(ops::cross_entropy(x, Tensor::zeros({2})), ShapeError);
  CHECK_THROWS_AS(ops::cross_entropy(x, ids({0, 1}), -1), ConfigError);
  CHECK_THROWS_AS(ops::cross_entropy(x, ids({0, 1}), NAN), ConfigError);
  CHECK_THROWS_AS(ops::cross_entropy(Tensor::zeros({2, 0}), ids({0, 0})), ShapeError);
}

TEST_CASE("the cross-entropy kernels name what is wrong with their arguments") {
  float x[4] = {}, max[2], sum[2], loss;
  int64_t n_targets = 0;
  const int64_t targets[2] = {0, 2};
  alignas(64) double scratch[2];
  xlstm_cross_entropy_fwd_args args{XLSTM_F32, 2, 2,     x,          2,   targets,
                                    -1,        0, &loss, &n_targets, max, sum};
  const xlstm_exec exec{nullptr, scratch, sizeof(scratch), nullptr};
  CHECK(xlstm_cross_entropy_fwd_cpu(&args, exec) == XLSTM_BAD_VALUE);
  args.ignore_index = 2;
  CHECK(xlstm_cross_entropy_fwd_cpu(&args, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  CHECK(xlstm_cross_entropy_fwd_cpu(&args, exec) == XLSTM_OK);
  CHECK(n_targets == 1);
  args.soft_cap = -1;
  CHECK(xlstm_cross_entropy_fwd_cpu(&args, exec) == XLSTM_BAD_VALUE);
  args.n_vocab = 0;
  CHECK(xlstm_cross_entropy_fwd_cpu(&args, exec) == XLSTM_BAD_SIZE);
}

}  // namespace
}  // namespace xlstm
