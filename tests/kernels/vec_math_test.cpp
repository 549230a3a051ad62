// The float functions against the C library in double, over a sweep of all floats.
#include "kernels/common/vec_math.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/catch.h"

namespace xlstm::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// The distance between neighbouring floats at the true value.
double spacing(double truth) {
  const double a = std::max(std::abs(truth), 1.1754943508222875e-38);
  return std::ldexp(1.0, std::ilogb(a) - 23);
}

struct Worst {
  double ulp = 0;
  float at = 0;
};

// The largest error, in units in the last place of the result, over every `step`-th float in
// [low, high].
template <class F, class G>
Worst sweep(F f, G truth, float low, float high) {
  constexpr uint32_t kStep = 1999;
  Worst worst;
  std::vector<float> xs, ys;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += kStep) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (x >= low && x <= high) xs.push_back(x);
  }
  ys.resize(xs.size());
#pragma omp simd
  for (size_t i = 0; i < xs.size(); ++i) ys[i] = f(xs[i]);
  for (size_t i = 0; i < xs.size(); ++i) {
    const double want = truth(static_cast<double>(xs[i]));
    if (std::isinf(static_cast<float>(want)) && static_cast<float>(want) == ys[i]) continue;
    const double error = std::abs(static_cast<double>(ys[i]) - want) / spacing(want);
    if (!(error <= worst.ulp)) worst = {error, xs[i]};
  }
  REQUIRE(xs.size() > 1000);
  return worst;
}

template <class F, class G>
void check_bound(const char* name, F f, G truth, float low, float high, double bound) {
  const Worst worst = sweep(f, truth, low, high);
  INFO(name << ": " << worst.ulp << " units in the last place at " << worst.at);
  CHECK(worst.ulp <= bound);
}

constexpr float kMost = std::numeric_limits<float>::max();

TEST_CASE("errors stay within the documented units in the last place") {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto log_sigmoid = [](double x) {
    return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x));
  };
  check_bound(
      "exp", [](float x) { return vec::exp(x); }, [](double x) { return std::exp(x); }, -kMost,
      kMost, 2);
  check_bound(
      "log", [](float x) { return vec::log(x); }, [](double x) { return std::log(x); },
      std::numeric_limits<float>::denorm_min(), kMost, 2);
  check_bound(
      "log1p", [](float x) { return vec::log1p(x); }, [](double x) { return std::log1p(x); },
      -0.99999994f, kMost, 2);
  check_bound(
      "tanh", [](float x) { return vec::tanh(x); }, [](double x) { return std::tanh(x); }, -kMost,
      kMost, 2);
  check_bound(
      "erf", [](float x) { return vec::erf(x); }, [](double x) { return std::erf(x); }, -kMost,
      kMost, 2);
  // Below 2^-126 results lose digits to denormalisation, not to the method.
  check_bound(
      "erfc", [](float x) { return vec::erfc(x); }, [](double x) { return std::erfc(x); }, -kMost,
      kMost, 6);
  check_bound(
      "expm1", [](float x) { return vec::expm1(x); }, [](double x) { return std::expm1(x); },
      -kMost, kMost, 4);
  check_bound(
      "sigmoid", [](float x) { return vec::sigmoid(x); }, sigmoid, -kMost, kMost, 3);
  check_bound(
      "log_sigmoid", [](float x) { return vec::log_sigmoid(x); }, log_sigmoid, -kMost, kMost, 3);
}

TEST_CASE("NaN comes out as NaN, and infinities as the limits") {
  CHECK(std::isnan(vec::exp(kNaN)));
  CHECK(std::isnan(vec::log(kNaN)));
  CHECK(std::isnan(vec::log1p(kNaN)));
  CHECK(std::isnan(vec::tanh(kNaN)));
  CHECK(std::isnan(vec::erf(kNaN)));
  CHECK(std::isnan(vec::expm1(kNaN)));
  CHECK(std::isnan(vec::sigmoid(kNaN)));
  CHECK(std::isnan(vec::log_sigmoid(kNaN)));
  CHECK(std::isnan(vec::softcap(kNaN, 15.0f)));
  CHECK(std::isnan(vec::log(-1.0f)));
  CHECK(std::isnan(vec::log(-kInfinity)));
  CHECK(std::isnan(vec::log1p(-2.0f)));
  CHECK(vec::exp(kInfinity) == kInfinity);
  CHECK(vec::exp(-kInfinity) == 0);
  CHECK(vec::exp(0.0f) == 1);
  CHECK(vec::log(0.0f) == -kInfinity);
  CHECK(vec::log(kInfinity) == kInfinity);
  CHECK(vec::log(1.0f) == 0);
  CHECK(vec::log1p(-1.0f) == -kInfinity);
  CHECK(vec::log1p(kInfinity) == kInfinity);
  CHECK(vec::tanh(kInfinity) == 1);
  CHECK(vec::tanh(-kInfinity) == -1);
  CHECK(vec::erf(kInfinity) == 1);
  CHECK(vec::erf(-kInfinity) == -1);
  CHECK(std::isnan(vec::erfc(kNaN)));
  CHECK(vec::erfc(kInfinity) == 0);
  CHECK(vec::erfc(-kInfinity) == 2);
  CHECK(vec::expm1(-kInfinity) == -1);
  CHECK(vec::expm1(kInfinity) == kInfinity);
  CHECK(vec::sigmoid(kInfinity) == 1);
  CHECK(vec::sigmoid(-kInfinity) == 0);
  CHECK(vec::log_sigmoid(kInfinity) == 0);
  CHECK(vec::log_sigmoid(-kInfinity) == -kInfinity);
  CHECK(vec::softcap(kInfinity, 15.0f) == 15);
  CHECK(vec::softcap(3.0f, 0.0f) == 3);
}

// A recurrence amplifies what is not exactly right: gates must not leave their range.
TEST_CASE("sigmoid and tanh stay within their range") {
  for (float x = -120; x <= 120; x += 0.0037f) {
    const float s = vec::sigmoid(x), t = vec::tanh(x), l = vec::log_sigmoid(x);
    if (!(s >= 0 && s <= 1 && t >= -1 && t <= 1 && l <= 0)) FAIL_CHECK("at " << x);
  }
}

}  // namespace
}  // namespace xlstm::kernels
