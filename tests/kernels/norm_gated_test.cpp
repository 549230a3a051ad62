#include "kernels/norm/norm_gated.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/norm.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

using ops::Activation;
using ops::NormGate;
using ops::NormScale;

double sigmoid(double z) {
  return 1 / (1 + std::exp(-z));
}

void check_values(const Tensor& got, const std::vector<double>& want) {
  const std::vector<double> y = got.to_vector<double>();
  REQUIRE(y.size() == want.size());
  for (size_t i = 0; i < y.size(); ++i)
    CHECK(std::abs(y[i] - want[i]) <= 1e-14 * std::max(1.0, std::abs(want[i])));
}

TEST_CASE("gated norms of four numbers, by hand") {
  // Two heads (1, 2) and (3, 4): xhat = (-1, 1) each.
  const Tensor x = Tensor::from(std::vector<double>{1, 2, 3, 4}, {1, 4});
  const Tensor gate = Tensor::from(std::vector<double>{0, 1, -2, 3}, {1, 4});
  const Tensor weight = Tensor::from(std::vector<double>{1, 2, 0, -1}, {4});
  const Tensor other = Tensor::from(std::vector<double>{10, 20, 30, 40}, {4});
  const Tensor skip = Tensor::from(std::vector<double>{1, 0, 0.5, -1}, {1, 4});
  const double s1 = sigmoid(1), s2 = sigmoid(-2), s3 = sigmoid(3);
  check_values(ops::multi_head_norm_gated(x, {gate, Activation::sigmoid, {}, {}}, weight, {}, 2, 0,
                                          NormScale::plain),
               {-0.5, 2 * s1, 0, -s3});
  check_values(ops::multi_head_norm_gated(x, {gate, Activation::sigmoid, {}, {}}, weight, other, 2,
                                          0, NormScale::plain),
               {4.5, 22 * s1, 30 * s2, 39 * s3});
  check_values(ops::multi_head_norm_gated(x, {gate, Activation::silu, skip, other}, weight, {}, 2,
                                          0, NormScale::one_plus),
               {0, 3 * s1, 14 * -2 * s2, -40 * 3 * s3});
}

TEST_CASE("gates far from zero close or open, and NaN passes") {
  const auto gated = [](float gate, Activation activation) {
    const Tensor x = Tensor::from(std::vector<float>{-1, 1}, {1, 2});
    return ops::multi_head_norm_gated(x, {Tensor::full({1, 2}, gate), activation, {}, {}},
                                      Tensor::full({2}, 1), {}, 1, 0, NormScale::plain)
        .to_vector<float>()[1];
  };
  CHECK(gated(-200, Activation::sigmoid) == Approx(0).margin(1e-30));
  CHECK(gated(200, Activation::sigmoid) == 1);
  CHECK(gated(200, Activation::silu) == 200);
  CHECK(gated(-200, Activation::silu) == Approx(0).margin(1e-30));
  CHECK(std::isnan(gated(NAN, Activation::sigmoid)));
}

TEST_CASE("only the wanted gradients of a gated norm are computed") {
  Generator generator{8, 0};
  const auto random = [&](const Shape& shape) {
    return random_tensor(shape, DType::f64, generator);
  };
  const Tensor dy = random({3, 4});
  Tensors all{random({3, 4}), random({3, 4}), random({4}), random({3, 4}), random({4})};
  const auto run = [&](const std::vector<size_t>& wanted) {
    Tensors in;
    for (const Tensor& t : all) in.push_back(t.clone());
    for (const size_t i : wanted) in[i].set_requires_grad(true);
    autograd::backward(ops::multi_head_norm_gated(in[0], {in[1], Activation::silu, in[3], in[4]},
                                                  in[2], {}, 2, 1e-5, NormScale::one_plus),
                       dy);
    return in;
  };
  const Tensors whole = run({0, 1, 2, 3, 4});
  for (size_t i = 0; i < all.size(); ++i) {
    INFO("input " << i);
    const Tensors one = run({i});
    for (size_t k = 0; k < all.size(); ++k) CHECK(one[k].grad().defined() == (k == i));
    CHECK(one[i].grad().to_vector<double>() == whole[i].grad().to_vector<double>());
  }
}

TEST_CASE("bad arguments of gated norms are refused") {
  const Tensor x = Tensor::zeros({2, 6}), weight = Tensor::zeros({6});
  const auto with = [&](const NormGate& gate, const Tensor& bias = {}, int64_t heads = 2,
                        double eps = 1e-5) {
    return ops::multi_head_norm_gated(x, gate, weight, bias, heads, eps, NormScale::plain);
  };
  CHECK_THROWS_AS(with({}), ShapeError);
  CHECK_THROWS_AS(with({weight, Activation::sigmoid, {}, {}}), ShapeError);
  CHECK_THROWS_AS(with({Tensor::zeros({2, 6}, DType::f64), Activation::sigmoid, {}, {}}),
                  ShapeError);
  CHECK_THROWS_AS(with({x, Activation::sigmoid, x, {}}), ShapeError);
  CHECK_THROWS_AS(with({x, Activation::sigmoid, {}, weight}), ShapeError);
  CHECK_THROWS_AS(with({x, Activation::sigmoid, x, x}), ShapeError);
  CHECK_THROWS_AS(with({x, Activation::sigmoid, x, weight}, weight), ShapeError);
  CHECK_THROWS_AS(with({x, Activation::gelu, {}, {}}), ConfigError);
  CHECK_THROWS_AS(with({x, Activation::sigmoid, {}, {}}, {}, 4), ShapeError);
  CHECK_THROWS_AS(with({x, Activation::sigmoid, {}, {}}, {}, 2, NAN), ConfigError);
}

// Arguments of two rows of six, in one memory each.
struct Case {
  std::vector<float> x = std::vector<float>(12, 1), w = std::vector<float>(6, 1),
                     statistics = std::vector<float>(4), dw = std::vector<float>(6);
  xlstm_norm_gated_fwd_args f{};
  xlstm_norm_gated_bwd_args b{};
  Case() {
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 5);
    f.dtype = f.weight_dtype = b.dtype = b.weight_dtype = XLSTM_F32;
    f.rows = b.rows = 2, f.groups = b.groups = 2, f.width = b.width = 3;
    f.eps = b.eps = 1e-5;
    f.activation = b.activation = XLSTM_SILU;
    f.x = f.gate = f.skip = b.x = b.gate = b.skip = b.dy = x.data();
    f.x_stride_row = f.gate_stride_row = f.skip_stride_row = f.y_stride_row = 6;
    b.x_stride_row = b.gate_stride_row = b.skip_stride_row = b.dy_stride_row = 6;
    b.dx_stride_row = b.dgate_stride_row = b.dskip_stride_row = 6;
    f.weight = f.skip_weight = b.weight = b.skip_weight = w.data();
    f.y = x.data();
    f.rstd = statistics.data();
    b.rstd = statistics.data();
    b.dskip_weight = dw.data();
  }
};

TEST_CASE("the gated norm kernels name what is wrong with their arguments") {
  using Forward = xlstm_norm_gated_fwd_args;
  using Backward = xlstm_norm_gated_bwd_args;
  const auto forward = [](auto change) {
    Case c;
    change(c.f);
    return xlstm_norm_gated_fwd_cpu(&c.f, {});
  };
  CHECK(forward([](Forward&) {}) == XLSTM_OK);
  CHECK(xlstm_norm_gated_fwd_cpu(nullptr, {}) == XLSTM_NULL_POINTER);
  CHECK(forward([](Forward& a) { a.dtype = XLSTM_BF16; }) == XLSTM_BAD_DTYPE);
  CHECK(forward([](Forward& a) { a.rows = INT64_MAX / 2; }) == XLSTM_BAD_SIZE);
  CHECK(forward([](Forward& a) { a.activation = XLSTM_GELU; }) == XLSTM_BAD_VALUE);
  CHECK(forward([](Forward& a) { a.eps = -1; }) == XLSTM_BAD_VALUE);
  CHECK(forward([](Forward& a) { a.bias = a.weight; }) == XLSTM_BAD_VALUE);
  CHECK(forward([](Forward& a) { a.gate = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward([](Forward& a) { a.skip = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward([](Forward& a) { a.skip_weight = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(forward([](Forward& a) { a.y_stride_row = 5; }) == XLSTM_BAD_STRIDE);
  CHECK(forward([](Forward& a) { a.gate_stride_row = -1; }) == XLSTM_BAD_STRIDE);
  const auto backward = [](auto change) {
    Case c;
    change(c.b);
    alignas(64) double workspace[1024];
    return xlstm_norm_gated_bwd_cpu(&c.b, {nullptr, workspace, sizeof workspace, nullptr});
  };
  CHECK(backward([](Backward&) {}) == XLSTM_OK);
  CHECK(backward([](Backward& a) { a.dbias = a.dskip_weight; }) == XLSTM_BAD_VALUE);
  CHECK(backward([](Backward& a) { a.skip = a.skip_weight = nullptr; }) == XLSTM_BAD_VALUE);
  CHECK(backward([](Backward& a) { a.subtract_mean = 1; }) == XLSTM_NULL_POINTER);
  CHECK(backward([](Backward& a) { a.dy_stride_row = -1; }) == XLSTM_BAD_STRIDE);
  CHECK(backward([](Backward& a) {
          a.dgate = a.dskip_weight;
          a.dgate_stride_row = 5;
        }) == XLSTM_BAD_STRIDE);
  Case c;
  CHECK(xlstm_norm_gated_bwd_cpu(&c.b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
}

TEST_CASE("gradients of a gated norm may be written over its inputs") {
  const auto run = [](bool in_place) {
    Case c;
    std::vector<float> x = c.x, gate = c.x, skip = c.x, dy = c.x, dx(12), dgate(12), dskip(12);
    for (size_t i = 0; i < 12; ++i) gate[i] -= 2, dy[i] *= 0.5f;
    c.f.x = c.b.x = x.data(), c.f.gate = c.b.gate = gate.data();
    c.f.skip = c.b.skip = skip.data(), c.b.dy = dy.data();
    std::vector<float> y(12);
    c.f.y = y.data();
    REQUIRE(xlstm_norm_gated_fwd_cpu(&c.f, {}) == XLSTM_OK);
    c.b.dx = in_place ? x.data() : dx.data();
    c.b.dgate = in_place ? dy.data() : dgate.data();
    c.b.dskip = in_place ? skip.data() : dskip.data();
    c.b.dweight = c.dw.data(), c.b.dskip_weight = nullptr;
    alignas(64) double workspace[1024];
    REQUIRE(xlstm_norm_gated_bwd_cpu(&c.b, {nullptr, workspace, sizeof workspace, nullptr}) ==
            XLSTM_OK);
    return std::vector<std::vector<float>>{in_place ? x : dx, in_place ? dy : dgate,
                                           in_place ? skip : dskip, c.dw};
  };
  CHECK(run(true) == run(false));
}

}  // namespace
}  // namespace xlstm
