#include "core/ops/elementwise.h"

#include <omp.h>

#include <cmath>
#include <limits>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("NaN on either side reaches the result") {
  const Tensor a = Tensor::from(std::vector<double>{kNaN, 1, 2}, {3});
  const Tensor b = Tensor::from(std::vector<double>{1, kNaN, 1}, {3});
  for (const auto op : {ops::add, ops::sub, ops::mul, ops::div, ops::maximum}) {
    const std::vector<double> y = op(a, b).to_vector<double>();
    CHECK(std::isnan(y[0]));
    CHECK(std::isnan(y[1]));
    CHECK_FALSE(std::isnan(y[2]));
  }
  CHECK(std::isnan(ops::max(a, 0).item()));
  CHECK(std::isnan(ops::sum(a).item()));
}

TEST_CASE("a tie's gradient goes to the first") {
  Tensor a = Tensor::full({2}, 3, DType::f64), b = Tensor::full({2}, 3, DType::f64);
  a.set_requires_grad(true);
  b.set_requires_grad(true);
  autograd::backward(ops::sum(ops::maximum(a, b)));
  CHECK(a.grad().to_vector<double>() == std::vector<double>{1, 1});
  CHECK(b.grad().to_vector<double>() == std::vector<double>{0, 0});
  Tensor c = Tensor::full({3}, 3, DType::f64);
  c.set_requires_grad(true);
  autograd::backward(ops::max(c, 0));
  CHECK(c.grad().to_vector<double>() == std::vector<double>{1, 0, 0});
}

TEST_CASE("one tensor on both sides gets both gradients") {
  Tensor x = Tensor::full({2}, 3, DType::f64);
  x.set_requires_grad(true);
  autograd::backward(ops::sum(ops::mul(x, x)));
  CHECK(x.grad().to_vector<double>() == std::vector<double>{6, 6});
}

TEST_CASE("types and shapes that do not fit are refused") {
  const Tensor x = Tensor::zeros({2, 3}), y = Tensor::zeros({2, 3}, DType::f64);
  CHECK_THROWS_AS(ops::add(x, y), ShapeError);
  CHECK_THROWS_AS(ops::add(x, Tensor::zeros({2})), ShapeError);
  CHECK_THROWS_AS(ops::add(x, Tensor()), ShapeError);
  CHECK_THROWS_AS(ops::exp(Tensor::zeros({2}, DType::i32)), ShapeError);
  CHECK_THROWS_AS(ops::softcap(x, -1), ShapeError);
  CHECK_THROWS_AS(ops::matmul(x, x), ShapeError);
  CHECK_THROWS_AS(ops::matmul(x, Tensor::zeros({3})), ShapeError);
  CHECK_THROWS_AS(ops::linear(x, Tensor::zeros({4, 2})), ShapeError);
  CHECK_THROWS_AS(ops::linear(x, Tensor::zeros({4, 3}), Tensor::zeros({3})), ShapeError);
}

// Sizes beyond the table's samples, where the work is cut into blocks for the threads.
TEST_CASE("long arrays are right and the same for any number of threads") {
  Generator generator{3, 0};
  const Tensor x = random_tensor({700, 301}, DType::f32, generator);
  const Tensor row = random_tensor({301}, DType::f32, generator);
  const auto all = [&] {
    std::vector<std::vector<float>> out;
    for (const Tensor& t :
         {ops::mul(x, row), ops::tanh(ops::transpose(x, 0, 1)), ops::sum(x, 0), ops::sum(x, 1),
          ops::sum(x), ops::cumsum(x, 0), ops::max(x, 0), ops::linear(x, x, {})})
      out.push_back(t.to_vector<float>());
    return out;
  };
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = all();
  for (const int threads : {2, 3, 7}) {
    omp_set_num_threads(threads);
    CHECK((all() == one));
  }
  omp_set_num_threads(before);
  const std::vector<float> xs = x.to_vector<float>(), rs = row.to_vector<float>();
  std::vector<double> columns(301), running(301);
  double total = 0, worst = 0;
  for (size_t i = 0; i < xs.size(); ++i) {
    columns[i % 301] += double{xs[i]};
    total += double{xs[i]};
    running[i % 301] += double{xs[i]};
    worst = std::max(worst, std::abs(double{one[5][i]} - running[i % 301]));
    worst = std::max(worst, std::abs(double{one[0][i]} - double{xs[i] * rs[i % 301]}));
  }
  for (size_t j = 0; j < 301; ++j)
    worst = std::max(worst, std::abs(double{one[2][j]} - columns[j]));
  CHECK(worst <= 1e-5);
  CHECK(double{one[4][0]} == Approx(total).epsilon(1e-6));
}

TEST_CASE("a sum of float32 loses nothing to its length") {
  const Tensor x = Tensor::full({3000001}, 0.1);
  CHECK(ops::sum(x).item() == Approx(3000001 * double{0.1f}).epsilon(1e-7));
  CHECK(ops::mean(x).item() == Approx(double{0.1f}).epsilon(1e-7));
  const Tensor y = Tensor::full({100000, 3}, 0.1);
  CHECK(ops::select(ops::sum(y, 0), 0, 2).item() == Approx(100000 * double{0.1f}).epsilon(1e-7));
}

}  // namespace
}  // namespace xlstm
