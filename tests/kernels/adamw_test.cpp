#include "kernels/adamw/adamw.h"

#include <omp.h>

#include <cmath>

#include "core/op_info.h"
#include "core/ops/adamw.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

TEST_CASE("the first AdamW step moves by lr against the sign of the gradient") {
  const Tensor p = Tensor::from(std::vector<double>{1, 1, 1}, {3});
  const Tensor g = Tensor::from(std::vector<double>{1e-3, -50, 0}, {3});
  const Tensor m = Tensor::zeros({3}, DType::f64), v = Tensor::zeros({3}, DType::f64);
  ops::adamw_update(p, g, m, v, {.lr = 0.1, .eps = 1e-12, .weight_decay = 0.5, .step = 1});
  // Decay takes lr * wd * p = 0.05.
  CHECK(p.to_vector<double>()[0] == Approx(0.85));
  CHECK(p.to_vector<double>()[1] == Approx(1.05));
  CHECK(p.to_vector<double>()[2] == Approx(0.95));
}

TEST_CASE("a thousand float32 AdamW steps stay close to float64") {
  std::vector<std::vector<double>> ends;
  for (const DType dtype : {DType::f32, DType::f64}) {
    Generator generator{41, 0};
    const Tensor p = random_tensor({101}, dtype, generator), m = Tensor::zeros({101}, dtype),
                 v = Tensor::zeros({101}, dtype);
    for (int64_t step = 1; step <= 1000; ++step)
      ops::adamw_update(p, random_tensor({101}, dtype, generator, 0.1), m, v,
                        {.lr = 1e-3, .beta2 = 0.95, .weight_decay = 0.1, .step = step});
    ends.push_back(p.to_vector<double>());
  }
  for (size_t i = 0; i < ends[0].size(); ++i) CHECK(std::abs(ends[0][i] - ends[1][i]) < 2e-5);
}

TEST_CASE("momentum SGD and nesterov, two steps by hand") {
  // lr 0.1, momentum 0.5, gradient 1: velocities 1 and 1.5.
  for (const bool nesterov : {false, true}) {
    const Tensor p = Tensor::zeros({1}, DType::f64), u = Tensor::zeros({1}, DType::f64);
    const Tensor g = Tensor::full({1}, 2, DType::f64);
    const ops::SgdOptions options{0.1, 0.5, 0, 0.5, nesterov};  // grad_scale halves the gradient
    ops::sgd_update(p, g, u, options);
    ops::sgd_update(p, g, u, options);
    CHECK(p.item() == Approx(nesterov ? -0.1 * (1.5 + 1.75) : -0.1 * (1 + 1.5)));
  }
}

TEST_CASE("updates and sums are the same bits for any number of threads") {
  const int before = omp_get_max_threads();
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Generator generator{42, 0};
    const Shape shape{100003};
    const Tensor p = random_tensor(shape, DType::f32, generator),
                 g = random_tensor(shape, DType::f32, generator),
                 m = random_tensor(shape, DType::f32, generator), v = Tensor::full(shape, 0.5);
    ops::adamw_update(p, g, m, v, {.lr = 0.1, .weight_decay = 0.01, .step = 3});
    ops::sgd_update(p, g, m, {.lr = 0.1, .momentum = 0.9});
    results.push_back(p.to_vector<double>());
    results.back().push_back(ops::sum_of_squares(p));
  }
  omp_set_num_threads(before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("the sum of squares keeps its digits, does not overflow, and shows bad numbers") {
  const Tensor x = Tensor::full({3000001}, 0.1);
  const double exact = 3000001.0 * static_cast<double>(0.1f) * static_cast<double>(0.1f);
  CHECK(ops::sum_of_squares(x) == Approx(exact).epsilon(1e-13));
  CHECK(ops::sum_of_squares(Tensor::full({4}, 1e30)) == Approx(4e60));
  for (const double bad :
       {static_cast<double>(NAN), static_cast<double>(INFINITY), -INFINITY * 1.0}) {
    Tensor y = x.clone();
    y.strided_view({1}, {1}, 2999999).fill(bad);
    CHECK_FALSE(std::isfinite(ops::sum_of_squares(y)));
  }
  CHECK(ops::sum_of_squares(Tensor::zeros({0})) == 0);
}

TEST_CASE("clipping by value leaves NaN and what is inside") {
  const Tensor x = Tensor::from(std::vector<float>{-3, -0.5f, 0.25f, 9, NAN, INFINITY}, {6});
  ops::clip_by_value(x, 0.5);
  const std::vector<float> y = x.to_vector<float>();
  CHECK(std::vector<float>(y.begin(), y.begin() + 4) ==
        std::vector<float>{-0.5f, -0.5f, 0.25f, 0.5f});
  CHECK(std::isnan(y[4]));
  CHECK(y[5] == 0.5f);
}

TEST_CASE("an update counts as a write") {
  const Tensor p = Tensor::zeros({2});
  const uint64_t version = p.version();
  ops::sgd_update(p, Tensor::zeros({2}), {}, {});
  CHECK(p.version() > version);
}

TEST_CASE("bad arguments of updates are refused") {
  const Tensor p = Tensor::zeros({2, 2}), g = Tensor::zeros({2, 2}), m = g.clone(), v = g.clone();
  CHECK_THROWS_AS(ops::adamw_update(p, Tensor::zeros({4}), m, v, {}), ShapeError);
  CHECK_THROWS_AS(ops::adamw_update(p, g, m, {}, {}), ShapeError);
  CHECK_THROWS_AS(ops::adamw_update(p, Tensor::zeros({2, 2}, DType::f64), m, v, {}), ShapeError);
  CHECK_THROWS_AS(ops::adamw_update(p.strided_view({2, 2}, {1, 2}), g, m, v, {}), ShapeError);
  CHECK_THROWS_AS(ops::adamw_update(p, g, m, v, {.beta2 = 1}), ConfigError);
  CHECK_THROWS_AS(ops::adamw_update(p, g, m, v, {.step = 0}), ConfigError);
  CHECK_THROWS_AS(ops::adamw_update(p, g, m, v, {.lr = NAN}), ConfigError);
  CHECK_THROWS_AS(ops::adamw_update(p, g, m, v, {.grad_scale = INFINITY}), ConfigError);
  CHECK_THROWS_AS(ops::sgd_update(p, g, {}, {.momentum = 0.9}), ShapeError);
  CHECK_THROWS_AS(ops::clip_by_value(p, 0), ConfigError);
  xlstm_adamw_args args{};
  args.step = 1;
  args.n = 1;
  CHECK(xlstm_adamw_cpu(&args, {}) == XLSTM_NULL_POINTER);
  args.n = -1;
  CHECK(xlstm_adamw_cpu(&args, {}) == XLSTM_BAD_SIZE);
  args.n = 0;
  args.dtype = XLSTM_BF16;
  CHECK(xlstm_adamw_cpu(&args, {}) == XLSTM_BAD_DTYPE);
  double sum = 0;
  const float x = 1;
  const xlstm_sum_of_squares_args squares{XLSTM_F32, 1, &x, &sum};
  CHECK(xlstm_sum_of_squares_cpu(&squares, {}) == XLSTM_WORKSPACE_TOO_SMALL);
}

}  // namespace
}  // namespace xlstm
