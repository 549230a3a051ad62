#include "kernels/dropout/dropout.h"

#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/dropout.h"
#include "kernels/common/philox.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

TEST_CASE("Philox gives the published numbers") {
  // Known answers of the authors' reference implementation (philox4x32-10).
  const kernels::Philox4 zeros = kernels::philox(0, 0, 0);
  CHECK(zeros.x[0] == 0x6627e8d5u);
  CHECK(zeros.x[1] == 0xe169c58du);
  CHECK(zeros.x[2] == 0xbc57ac4cu);
  CHECK(zeros.x[3] == 0x9b00dbd8u);
  const kernels::Philox4 pi =
      kernels::philox(0x299f31d0a4093822u, 0x85a308d3243f6a88u, 0x0370734413198a2eu);
  CHECK(pi.x[0] == 0xd16cfe09u);
  CHECK(pi.x[1] == 0x94fdccebu);
  CHECK(pi.x[2] == 0x5001e420u);
  CHECK(pi.x[3] == 0x24126ea1u);
}

TEST_CASE("the kept share and the mean are as they should be") {
  for (const double p : {0.1, 0.5, 0.95}) {
    Generator generator{31, 0};
    const int64_t n = 200000;
    const Tensor y = ops::dropout(Tensor::full({n}, 1, DType::f64), p, generator);
    double kept = 0;
    for (const double value : y.to_vector<double>()) {
      REQUIRE((value == 0 || value == Approx(1 / (1 - p))));
      kept += value != 0;
    }
    const double expected = static_cast<double>(n) * (1 - p);
    CHECK(std::abs(kept - expected) < 5 * std::sqrt(expected * p));  // five standard deviations
    CHECK(generator.offset == static_cast<uint64_t>(n / 4));
  }
}

TEST_CASE("the gradient has the mask of the forward pass; the next draw has another") {
  Generator generator{32, 0};
  Tensor x = Tensor::full({1000}, 1, DType::f64);
  x.set_requires_grad(true);
  const Tensor first = ops::dropout(x, 0.5, generator);
  const Tensor second = ops::dropout(x, 0.5, generator);
  autograd::backward(first, Tensor::full({1000}, 1, DType::f64));
  CHECK(x.grad().to_vector<double>() == first.to_vector<double>());
  CHECK(first.to_vector<double>() != second.to_vector<double>());
}

TEST_CASE("p 0 returns the tensor itself and draws nothing; dropped elements are 0 even of NaN") {
  Generator generator{33, 0};
  const Tensor x = Tensor::full({64}, NAN);
  CHECK(ops::dropout(x, 0, generator).raw() == x.raw());
  CHECK(generator.offset == 0);
  int64_t zeros = 0;
  for (const float value : ops::dropout(x, 0.5, generator).to_vector<float>()) zeros += value == 0;
  CHECK(zeros > 10);
}

TEST_CASE("bad probabilities are refused") {
  Generator generator;
  const Tensor x = Tensor::zeros({2});
  CHECK_THROWS_AS(ops::dropout(x, 1, generator), ConfigError);
  CHECK_THROWS_AS(ops::dropout(x, -0.1, generator), ConfigError);
  CHECK_THROWS_AS(ops::dropout(x, NAN, generator), ConfigError);
  CHECK_THROWS_AS(ops::dropout(Tensor::zeros({2}, DType::i64), 0.5, generator), ShapeError);
  float y[2] = {};
  xlstm_dropout_args args{XLSTM_F32, 2, y, y, 1.0, 0, 0, nullptr};
  CHECK(xlstm_dropout_cpu(&args, {}) == XLSTM_BAD_VALUE);
  args.p = 0.5;
  args.n = -2;
  CHECK(xlstm_dropout_cpu(&args, {}) == XLSTM_BAD_SIZE);
}

}  // namespace
}  // namespace xlstm
