#include "kernels/norm/norm.h"

#include <omp.h>

#include <cmath>
#include <cstring>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

using ops::NormScale;

std::vector<double> as_double(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

// LayerNorm of one row in double.
std::vector<double> layer_norm_of(const std::vector<double>& x, double eps) {
  const double n = static_cast<double>(x.size());
  double mean = 0, variance = 0;
  for (const double value : x) mean += value / n;
  for (const double value : x) variance += (value - mean) * (value - mean) / n;
  std::vector<double> y;
  for (const double value : x) y.push_back((value - mean) / std::sqrt(variance + eps));
  return y;
}

double largest_difference(const Tensor& got, const std::vector<double>& want) {
  const std::vector<double> y = got.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - want[i]));
  return worst;
}

TEST_CASE("LayerNorm of four numbers, by hand") {
  // Mean 2.5, variance 1.25: xhat = (-3, -1, 1, 3) / sqrt 5.
  const Tensor x = Tensor::from(std::vector<double>{1, 2, 3, 4}, {1, 4});
  const Tensor weight = Tensor::from(std::vector<double>{1, 2, 0, -1}, {4});
  const Tensor bias = Tensor::from(std::vector<double>{0, 0, 5, 1}, {4});
  const double r = 1 / std::sqrt(5.0);
  CHECK(largest_difference(ops::layer_norm(x, weight, bias, 0, NormScale::plain),
                           {-3 * r, -2 * r, 5, 1 - 3 * r}) < 1e-15);
  CHECK(largest_difference(ops::layer_norm(x, weight, {}, 0, NormScale::one_plus),
                           {-6 * r, -3 * r, r, 0}) < 1e-15);
  // Mean square 7.5.
  const double q = 1 / std::sqrt(7.5);
  CHECK(largest_difference(ops::rms_norm(x, weight, 0, NormScale::plain), {q, 4 * q, 0, -4 * q}) <
        1e-15);
  // Two heads (1, 2) and (3, 4): xhat = (-1, 1) each.
  CHECK(largest_difference(ops::multi_head_norm(x, weight, 2, 0, NormScale::plain),
                           {-1, 2, 0, -1}) < 1e-14);
}

TEST_CASE("float32 LayerNorm of a wide row with a mean far from zero") {
  Generator generator{5, 0};
  const Tensor x = random_tensor({4096}, DType::f32, generator, 300, 1);
  const Tensor weight = Tensor::full({4096}, 1);
  const Tensor y = ops::layer_norm(x, weight, {}, 1e-5, NormScale::plain);
  CHECK(largest_difference(y, layer_norm_of(as_double(x.to_vector<float>()), 1e-5)) < 2e-6);
}

TEST_CASE("rows of extreme size stay finite") {
  for (const float size : {1e-30f, 1e-15f, 1e15f}) {
    INFO(size);
    const Tensor x = Tensor::from(std::vector<float>{size, -size, size, -size}, {1, 4});
    const Tensor weight = Tensor::full({4}, 1);
    for (const Tensor& y : {ops::layer_norm(x, weight, {}, 1e-5, NormScale::plain),
                            ops::rms_norm(x, weight, 1e-5, NormScale::plain)}) {
      const float first = y.to_vector<float>()[0];
      CHECK(std::isfinite(first));
      CHECK(static_cast<double>(first) ==
            Approx(static_cast<double>(size) /
                   std::sqrt(static_cast<double>(size) * static_cast<double>(size) + 1e-5)));
    }
  }
}

TEST_CASE("a strided view of rows gives the same bits as its copy, forward and backward") {
  Generator generator{6, 0};
  const Tensor memory = random_tensor({6, 5, 40}, DType::f32, generator);
  const Tensor weight = random_tensor({24}, DType::f32, generator);
  const Tensor dy = random_tensor({6, 5, 24}, DType::f32, generator);
  Tensors results;
  for (const bool copy : {false, true}) {
    Tensor x = memory.strided_view({6, 5, 24}, {200, 40, 1}, 8);
    if (copy) x = x.clone();
    x.set_requires_grad(true);
    const Tensor y = ops::multi_head_norm(x, weight, 3, 1e-6, NormScale::plain);
    autograd::backward(y, dy);
    results.push_back(y);
    results.push_back(x.grad());
  }
  CHECK(results[0].to_vector<float>() == results[2].to_vector<float>());
  CHECK(results[1].to_vector<float>() == results[3].to_vector<float>());
}

TEST_CASE("gradients of many rows do not depend on threads and agree with float64") {
  const int before = omp_get_max_threads();
  std::vector<std::vector<double>> grads;
  for (const int threads : {1, 3, 0}) {
    omp_set_num_threads(threads == 0 ? before : threads);
    const DType dtype = threads == 0 ? DType::f64 : DType::f32;
    Generator generator{7, 0};
    Tensor x = random_tensor({700, 96}, dtype, generator, 1, 2);
    Tensor weight = random_tensor({96}, dtype, generator), bias = weight.clone();
    for (Tensor* leaf : {&x, &weight, &bias}) leaf->set_requires_grad(true);
    const Tensor dy = random_tensor({700, 96}, dtype, generator);
    autograd::backward(ops::layer_norm(x, weight, bias, 1e-5, NormScale::one_plus), dy);
    grads.emplace_back();
    for (const Tensor& leaf : {x, weight, bias})
      for (const double value : leaf.grad().to_vector<double>()) grads.back().push_back(value);
  }
  omp_set_num_threads(before);
  CHECK(grads[0] == grads[1]);
  double worst = 0;
  for (size_t i = 0; i < grads[0].size(); ++i)
    worst = std::max(worst, std::abs(grads[0][i] - grads[2][i]));
  CHECK(worst < 1e-4);  // dweight sums 700 terms of order 1
}

TEST_CASE("only the wanted gradients are computed") {
  Generator generator{8, 0};
  Tensor x = random_tensor({3, 4}, DType::f64, generator);
  Tensor weight = random_tensor({4}, DType::f64, generator);
  weight.set_requires_grad(true);
  autograd::backward(ops::rms_norm(x, weight, 1e-6, NormScale::plain),
                     random_tensor({3, 4}, DType::f64, generator));
  CHECK(weight.grad().defined());
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("the norm of a sum has the bits of the norm after the addition") {
  Generator generator{9, 0};
  const Shape shape{37, 96};
  const Tensor x = random_tensor(shape, DType::f32, generator, 1, 2);
  const Tensor residual = random_tensor(shape, DType::f32, generator);
  const Tensor weight = random_tensor({96}, DType::f32, generator);
  const Tensor bias = random_tensor({96}, DType::f32, generator);
  const Tensor dy = random_tensor(shape, DType::f32, generator);
  const Tensor dsum = random_tensor(shape, DType::f32, generator);
  const auto leaf = [](const Tensor& t) { return t.clone().set_requires_grad(true); };
  std::vector<std::vector<std::vector<float>>> results;
  Tensors gradients;
  for (const bool fused : {true, false}) {
    const Tensors in{leaf(x), leaf(residual), leaf(weight), leaf(bias)};
    ops::AddedNorm out;
    if (fused) {
      out = ops::add_layer_norm(in[0], in[1], in[2], in[3], 1e-5, NormScale::one_plus);
    } else {
      out.sum = ops::add(in[0], in[1]);
      out.y = ops::layer_norm(out.sum, in[2], in[3], 1e-5, NormScale::one_plus);
    }
    autograd::backward({out.y, out.sum}, {dy, dsum});
    results.push_back({out.y.to_vector<float>(), out.sum.to_vector<float>()});
    for (const size_t i : {2, 3}) results.back().push_back(in[i].grad().to_vector<float>());
    CHECK(in[0].grad().to_vector<float>() == in[1].grad().to_vector<float>());
    gradients.push_back(in[0].grad());
  }
  CHECK(results[0] == results[1]);
  // dsum is added in the same pass, before a product is rounded.
  CHECK(largest_difference(gradients[0], gradients[1].to_vector<double>()) < 2e-6);
}

TEST_CASE("the sum alone, the norm alone, or one of the inputs may carry the gradient") {
  Generator generator{10, 0};
  const Tensor x = random_tensor({3, 4}, DType::f64, generator);
  const Tensor weight = random_tensor({4}, DType::f64, generator);
  const Tensor dy = random_tensor({3, 4}, DType::f64, generator);
  Tensor residual = random_tensor({3, 4}, DType::f64, generator);
  residual.set_requires_grad(true);
  autograd::backward(ops::add_rms_norm(x, residual, weight, 1e-6, NormScale::plain).sum, dy);
  CHECK(residual.grad().to_vector<double>() == dy.to_vector<double>());

  Tensor sum = ops::add(x, residual).detach().set_requires_grad(true);
  autograd::backward(ops::rms_norm(sum, weight, 1e-6, NormScale::plain), dy);
  residual.set_grad({});
  autograd::backward(ops::add_rms_norm(x, residual, weight, 1e-6, NormScale::plain).y, dy);
  CHECK(residual.grad().to_vector<double>() == sum.grad().to_vector<double>());
}

TEST_CASE("bad arguments of norms are refused") {
  const Tensor x = Tensor::zeros({2, 6}), weight = Tensor::zeros({6});
  CHECK_THROWS_AS(ops::layer_norm(x, Tensor::zeros({5}), {}, 1e-5, NormScale::plain), ShapeError);
  CHECK_THROWS_AS(
      ops::layer_norm(x, weight, Tensor::zeros({6}, DType::f64), 1e-5, NormScale::plain),
      ShapeError);
  CHECK_THROWS_AS(ops::layer_norm(x, {}, {}, 1e-5, NormScale::plain), ShapeError);
  CHECK_THROWS_AS(ops::layer_norm(x, weight, {}, -1, NormScale::plain), ConfigError);
  CHECK_THROWS_AS(ops::multi_head_norm(x, weight, 4, 1e-5, NormScale::plain), ShapeError);
  CHECK_THROWS_AS(ops::multi_head_norm(x, weight, 0, 1e-5, NormScale::plain), ShapeError);
  CHECK_THROWS_AS(ops::add_rms_norm(x, {}, weight, 1e-5, NormScale::plain), ShapeError);
  CHECK_THROWS_AS(ops::add_rms_norm(x, weight, weight, 1e-5, NormScale::plain), ShapeError);
  CHECK_THROWS_AS(
      ops::add_rms_norm(x, Tensor::zeros({2, 6}, DType::f64), weight, 1e-5, NormScale::plain),
      ShapeError);
  CHECK_THROWS_AS(ops::rms_norm(Tensor::zeros({}), weight, 1e-5, NormScale::plain), ShapeError);
  CHECK_THROWS_AS(ops::rms_norm(Tensor::zeros({6}, DType::i64), weight, 1e-5, NormScale::plain),
                  ShapeError);
}

TEST_CASE("the norm kernels name what is wrong with their arguments") {
  std::vector<float> x(12), w(6), statistics(2), partial(64);
  xlstm_norm_fwd_args good{};
  good.dtype = XLSTM_F32;
  good.rows = 2;
  good.groups = 1;
  good.width = 6;
  good.x = x.data();
  good.weight = w.data();
  good.y = x.data();
  good.x_stride_row = good.y_stride_row = 6;
  CHECK(xlstm_norm_fwd_cpu(&good, {}) == XLSTM_OK);
  CHECK(xlstm_norm_fwd_cpu(nullptr, {}) == XLSTM_NULL_POINTER);
  const auto status_with = [&](auto change) {
    xlstm_norm_fwd_args args = good;
    change(args);
    return xlstm_norm_fwd_cpu(&args, {});
  };
  using Args = xlstm_norm_fwd_args;
  CHECK(status_with([](Args& a) { a.dtype = XLSTM_BF16; }) == XLSTM_BAD_DTYPE);
  CHECK(status_with([](Args& a) { a.rows = -1; }) == XLSTM_BAD_SIZE);
  CHECK(status_with([](Args& a) { a.rows = INT64_MAX / 2; }) == XLSTM_BAD_SIZE);
  CHECK(status_with([](Args& a) { a.y_stride_row = 5; }) == XLSTM_BAD_STRIDE);
  CHECK(status_with([](Args& a) { a.eps = NAN; }) == XLSTM_BAD_VALUE);
  CHECK(status_with([](Args& a) { a.weight = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status_with([](Args& a) { a.residual = a.x; }) == XLSTM_NULL_POINTER);
  CHECK(status_with([](Args& a) { a.sum = a.y; }) == XLSTM_NULL_POINTER);
  CHECK(status_with([](Args& a) {
          a.residual = a.x, a.sum = a.y;
          a.residual_stride_row = 0, a.sum_stride_row = 5;
        }) == XLSTM_BAD_STRIDE);
  xlstm_norm_bwd_args backward{};
  backward.dtype = XLSTM_F32;
  backward.rows = 2;
  backward.groups = 1;
  backward.width = 6;
  backward.x = backward.dy = x.data();
  backward.x_stride_row = backward.dy_stride_row = 6;
  backward.weight = w.data();
  backward.rstd = statistics.data();
  backward.dweight = w.data();
  CHECK(xlstm_norm_bwd_cpu(&backward, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  backward.dsum = x.data();
  backward.dsum_stride_row = -1;
  CHECK(xlstm_norm_bwd_cpu(&backward, {}) == XLSTM_BAD_STRIDE);
  backward.dsum = nullptr;
  backward.subtract_mean = 1;
  CHECK(xlstm_norm_bwd_cpu(&backward, {}) == XLSTM_NULL_POINTER);
}

}  // namespace
}  // namespace xlstm
