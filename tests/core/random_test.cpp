#include "core/random.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/common/philox.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

std::vector<uint32_t> words(const kernels::Philox4& p) {
  return {p.x[0], p.x[1], p.x[2], p.x[3]};
}

// Known answers published with the generator (Random123, philox 4x32, 10 rounds).
TEST_CASE("Philox gives the published numbers") {
  CHECK(words(kernels::philox(0, 0, 0)) ==
        std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(words(kernels::philox(~0ull, ~0ull, ~0ull)) ==
        std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

// Sample moments of n numbers, with bounds of five standard errors.
struct Moments {
  double mean = 0, variance = 0, skew = 0, excess = 0;
};

Moments moments(const std::vector<double>& x) {
  Moments m;
  const double n = static_cast<double>(x.size());
  for (const double v : x) m.mean += v / n;
  double m3 = 0, m4 = 0;
  for (const double v : x) {
    const double d = v - m.mean;
    m.variance += d * d / n;
    m3 += d * d * d / n;
    m4 += d * d * d * d / n;
  }
  m.skew = m3 / std::pow(m.variance, 1.5);
  m.excess = m4 / (m.variance * m.variance) - 3;
  return m;
}

TEST_CASE("normal numbers have normal moments and no correlation between neighbours") {
  constexpr int64_t n = 1000001;
  const double error = 1 / std::sqrt(static_cast<double>(n));
  Generator generator{11, 0};
  const Tensor t = Tensor::empty({n});
  fill_normal(t, 3, 2, generator);
  const std::vector<double> x = t.to_vector<double>();
  const Moments m = moments(x);
  CHECK(std::abs(m.mean - 3) < 5 * 2 * error);
  CHECK(std::abs(m.variance - 4) < 5 * 4 * std::sqrt(2.0) * error);
  CHECK(std::abs(m.skew) < 5 * std::sqrt(6.0) * error);
  CHECK(std::abs(m.excess) < 5 * std::sqrt(24.0) * error);
  for (const size_t lag : {1u, 2u, 3u}) {
    double covariance = 0;
    for (size_t i = lag; i < x.size(); ++i)
      covariance += (x[i] - m.mean) * (x[i - lag] - m.mean) * error * error;
    CHECK(std::abs(covariance / m.variance) < 5 * error);
  }
}

TEST_CASE("uniform numbers stay in range and fill it evenly") {
  constexpr int64_t n = 1000000;
  Generator generator{12, 0};
  const Tensor t = Tensor::empty({n}, DType::f64);
  fill_uniform(t, -1, 3, generator);
  const std::vector<double> x = t.to_vector<double>();
  CHECK(*std::min_element(x.begin(), x.end()) >= -1);
  CHECK(*std::max_element(x.begin(), x.end()) < 3);
  std::vector<double> counts(16);
  for (const double v : x) ++counts[static_cast<size_t>((v + 1) * 4)];
  double chi2 = 0;
  for (const double c : counts) chi2 += (c - n / 16.0) * (c - n / 16.0) / (n / 16.0);
  CHECK(chi2 < 45);  // 15 degrees of freedom: exceeded once in 10,000
}

TEST_CASE("a fill depends on seed and offset only, not on threads, type or strides") {
  constexpr int64_t n = 40001;
  Generator generator{5, 9};
  const Tensor single = Tensor::empty({n});
  fill_normal(single, 0, 1, generator);
  CHECK(generator.offset == 9 + (n + 1) / 2);
  const int before = omp_get_max_threads();
  for (const int threads : {1, 3}) {
    omp_set_num_threads(threads);
    Generator again{5, 9};
    const Tensor other = Tensor::empty({n});
    fill_normal(other, 0, 1, again);
    CHECK(other.to_vector<float>() == single.to_vector<float>());
  }
  omp_set_num_threads(before);
  Generator for_double{5, 9}, for_strided{5, 9};
  const Tensor twice = Tensor::empty({n}, DType::f64);
  fill_normal(twice, 0, 1, for_double);
  CHECK(twice.to_vector<float>() == single.to_vector<float>());
  const Tensor strided = Tensor::empty({n, 2}).strided_view({n}, {2}, 1);
  fill_normal(strided, 0, 1, for_strided);
  CHECK(strided.to_vector<float>() == single.to_vector<float>());
  // The next fill continues where this one stopped and repeats nothing.
  const Tensor next = Tensor::empty({n});
  fill_normal(next, 0, 1, generator);
  CHECK(next.to_vector<float>() != single.to_vector<float>());
}

TEST_CASE("only floating tensors can be filled") {
  Generator generator;
  CHECK_THROWS_AS(fill_uniform(Tensor::empty({3}, DType::i32), 0, 1, generator), ShapeError);
}

}  // namespace
}  // namespace xlstm
