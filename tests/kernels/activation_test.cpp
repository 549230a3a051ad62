#include "kernels/activation/activation.h"

#include <array>
#include <cmath>
#include <limits>

#include "kernels/elementwise/elementwise.h"
#include "kernels/reduce/reduce.h"
#include "tests/catch.h"

namespace {

constexpr xlstm_activation kAll[] = {XLSTM_SILU,         XLSTM_GELU,    XLSTM_RELU,
                                     XLSTM_RELU_SQUARED, XLSTM_SIGMOID, XLSTM_SELU};

template <class T>
std::array<T, 4> values_at(xlstm_activation activation, xlstm_dtype dtype, std::array<T, 4> x,
                           bool slope) {
  std::array<T, 4> out{}, ones{1, 1, 1, 1};
  if (slope) {
    xlstm_activation_bwd_args args{};
    args.activation = activation;
    args.dtype = dtype;
    args.rows = 1;
    args.cols = 4;
    args.x = x.data();
    args.dy = ones.data();
    args.dx = out.data();
    REQUIRE(xlstm_activation_bwd_cpu(&args, {}) == XLSTM_OK);
  } else {
    xlstm_activation_fwd_args args{};
    args.activation = activation;
    args.dtype = dtype;
    args.rows = 1;
    args.cols = 4;
    args.x = x.data();
    args.y = out.data();
    REQUIRE(xlstm_activation_fwd_cpu(&args, {}) == XLSTM_OK);
  }
  return out;
}

TEMPLATE_TEST_CASE("extreme arguments give finite values and the limits of the slopes", "", float,
                   double) {
  const xlstm_dtype dtype = std::is_same_v<TestType, float> ? XLSTM_F32 : XLSTM_F64;
  const TestType nan = std::numeric_limits<TestType>::quiet_NaN();
  for (const xlstm_activation activation : kAll) {
    INFO("activation " << activation);
    const std::array<TestType, 4> x{TestType(-1e4), TestType(1e4), TestType(-0.0), nan};
    const auto y = values_at<TestType>(activation, dtype, x, false);
    const auto d = values_at<TestType>(activation, dtype, x, true);
    for (size_t i = 0; i < 3; ++i) {
      CHECK(std::isfinite(y[i]));
      CHECK(std::isfinite(d[i]));
    }
    CHECK(std::isnan(y[3]));
    CHECK(std::abs(d[0]) <= TestType(1e-30));
    if (activation == XLSTM_SILU || activation == XLSTM_GELU || activation == XLSTM_RELU) {
      CHECK(y[0] == 0);
      CHECK(y[1] == TestType(1e4));
      CHECK(d[1] == 1);
    }
  }
}

TEST_CASE("float32 GELU is accurate in its lower tail") {
  const std::array<float, 4> x{-1.0f, -3.0f, -6.0f, -12.0f};
  const auto y = values_at<float>(XLSTM_GELU, XLSTM_F32, x, false);
  for (size_t i = 0; i < 4; ++i) {
    const double want = 0.5 * double{x[i]} * std::erfc(-double{x[i]} / std::sqrt(2.0));
    CHECK(double{y[i]} == Approx(want).epsilon(1e-5));
  }
}

TEST_CASE("bad arguments of the small kernels have their own status") {
  float x[4] = {}, y[4] = {};
  xlstm_activation_fwd_args a{};
  a.rows = 2;
  a.cols = 2;
  a.x = x;
  a.x_row_stride = 2;
  a.y = y;
  a.y_row_stride = 2;
  CHECK(xlstm_activation_fwd_cpu(&a, {}) == XLSTM_OK);
  CHECK(xlstm_activation_fwd_cpu(nullptr, {}) == XLSTM_NULL_POINTER);
  const auto status = [](auto args, auto change, auto call) {
    change(args);
    return call(&args, xlstm_exec{});
  };
  const auto act = [&](auto change) { return status(a, change, xlstm_activation_fwd_cpu); };
  CHECK(act([](auto& g) { g.x = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(act([](auto& g) { g.rows = -1; }) == XLSTM_BAD_SIZE);
  CHECK(act([](auto& g) { g.y_row_stride = 1; }) == XLSTM_BAD_STRIDE);
  CHECK(act([](auto& g) { g.dtype = XLSTM_BF16; }) == XLSTM_BAD_DTYPE);
  CHECK(act([](auto& g) { g.activation = static_cast<xlstm_activation>(7); }) == XLSTM_BAD_VALUE);

  xlstm_unary_fwd_args u{};
  u.op = XLSTM_UNARY_EXP;
  u.n_dims = 1;
  u.sizes[0] = 4;
  u.x_strides[0] = 1;
  u.x = x;
  u.y = y;
  const auto unary = [&](auto change) { return status(u, change, xlstm_unary_fwd_cpu); };
  CHECK(unary([](auto&) {}) == XLSTM_OK);
  CHECK(unary([](auto& g) { g.n_dims = 9; }) == XLSTM_BAD_SIZE);
  CHECK(unary([](auto& g) { g.sizes[0] = -4; }) == XLSTM_BAD_SIZE);
  CHECK(unary([](auto& g) { g.y = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(unary([](auto& g) { g.op = XLSTM_UNARY_SOFTCAP; }) == XLSTM_BAD_VALUE);
  CHECK(unary([](auto& g) { g.dtype = XLSTM_F16; }) == XLSTM_BAD_DTYPE);

  xlstm_sum_fwd_args s{};
  s.outer = 1;
  s.n = 1 << 20;
  s.inner = 1;
  s.x = x;
  s.y = y;
  CHECK(xlstm_sum_fwd_workspace_cpu(&s) > 0);
  CHECK(xlstm_sum_fwd_cpu(&s, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  s.n = -1;
  CHECK(xlstm_sum_fwd_cpu(&s, {}) == XLSTM_BAD_SIZE);
  xlstm_max_fwd_args m{};
  m.outer = 1;
  m.inner = 1;
  CHECK(xlstm_max_fwd_cpu(&m, {}) == XLSTM_BAD_SIZE);
}

}  // namespace
