#include "kernels/sampling/sampling.h"

#include <omp.h>

#include <cmath>

#include "core/op_info.h"
#include "core/ops/sampling.h"
#include "tests/catch.h"

namespace xlstm {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// How often each id comes up in n draws of one row.
std::vector<int64_t> histogram(const std::vector<double>& logits, ops::SamplingOptions options,
                               int64_t n) {
  const int64_t n_vocab = static_cast<int64_t>(logits.size());
  const Tensor row = Tensor::from(logits, {1, n_vocab});
  const Tensor rows = row.strided_view({n, n_vocab}, {0, 1});
  std::vector<int64_t> counts(logits.size(), 0);
  for (const int64_t id : ops::sample(rows, options, 3).to_vector<int64_t>())
    ++counts[static_cast<size_t>(id)];
  return counts;
}

double chi_square(const std::vector<int64_t>& counts, const std::vector<double>& probabilities,
                  int64_t n) {
  double sum = 0;
  for (size_t v = 0; v < counts.size(); ++v) {
    const double expected = probabilities[v] * static_cast<double>(n);
    if (expected == 0) {
      CHECK(counts[v] == 0);
      continue;
    }
    const double difference = static_cast<double>(counts[v]) - expected;
    sum += difference * difference / expected;
  }
  return sum;
}

std::vector<double> softmax(const std::vector<double>& x, double temperature) {
  double sum = 0;
  std::vector<double> p;
  for (const double value : x) sum += std::exp(value / temperature);
  for (const double value : x) p.push_back(std::exp(value / temperature) / sum);
  return p;
}

TEST_CASE("frequencies follow the softmax at any temperature") {
  const std::vector<double> logits{1.0, 0.0, -1.0, 2.0, 0.5, -3.0};
  const int64_t n = 200000;
  for (const double temperature : {0.5, 1.0, 3.0}) {
    const auto counts = histogram(logits, {.temperature = temperature, .seed = 17}, n);
    // 5 degrees of freedom: 25.7 is exceeded once in ten thousand.
    CHECK(chi_square(counts, softmax(logits, temperature), n) < 25.7);
  }
}

TEST_CASE("top-k keeps the k best, the smallest ids among equals") {
  const std::vector<double> logits{0, 1, 0.5, 1, 0.5, 0.5};
  const int64_t n = 100000;
  std::vector<double> kept{0, std::exp(1.0), std::exp(0.5), std::exp(1.0), 0, 0};
  const double sum = kept[1] + kept[2] + kept[3];
  for (double& p : kept) p /= sum;
  // 2 degrees of freedom: 18.4 is exceeded once in ten thousand.
  CHECK(chi_square(histogram(logits, {.top_k = 3, .seed = 18}, n), kept, n) < 18.4);
}

TEST_CASE("top_k 1 is greedy") {
  Generator generator{19, 0};
  const Tensor logits = random_tensor({50, 333}, DType::f32, generator);
  const auto best = ops::sample(logits, {.temperature = 0}, 0).to_vector<int64_t>();
  CHECK(ops::sample(logits, {.temperature = 2, .top_k = 1, .seed = 4}, 9).to_vector<int64_t>() ==
        best);
  const std::vector<float> x = logits.to_vector<float>();
  for (size_t row = 0; row < best.size(); ++row)
    for (size_t v = 0; v < 333; ++v)
      REQUIRE(x[row * 333 + v] <= x[row * 333 + static_cast<size_t>(best[row])]);
}

TEST_CASE("equal logits: greedy takes the smallest id, top_k all is the same as none") {
  const Tensor equal = Tensor::full({4, 70}, -2.5);
  CHECK(ops::sample(equal, {.temperature = 0}, 0).to_vector<int64_t>() ==
        std::vector<int64_t>(4, 0));
  CHECK(ops::sample(equal, {.seed = 5}, 1).to_vector<int64_t>() ==
        ops::sample(equal, {.top_k = 70, .seed = 5}, 1).to_vector<int64_t>());
  CHECK(ops::sample(equal, {.seed = 5}, 1).to_vector<int64_t>() ==
        ops::sample(equal, {.top_k = 1000, .seed = 5}, 1).to_vector<int64_t>());
}

TEST_CASE("a row's choice depends on its stream and position, not on its batch") {
  Generator generator{20, 0};
  const Tensor logits = random_tensor({6, 1000}, DType::f32, generator);
  const Tensor streams = Tensor::from(std::vector<int64_t>{7, 1, 900, 4, 5, 3}, {6});
  for (const int64_t top_k : {int64_t{0}, int64_t{40}}) {
    const ops::SamplingOptions options{.top_k = top_k, .seed = 6};
    const auto all = ops::sample(logits, options, 12, streams).to_vector<int64_t>();
    const auto later = ops::sample(logits, options, 13, streams).to_vector<int64_t>();
    CHECK(all != later);
    for (int64_t b = 0; b < 6; ++b) {
      const Tensor row = logits.strided_view({1, 1000}, {1000, 1}, 1000 * b);
      const Tensor stream = streams.strided_view({1}, {1}, b);
      CHECK(ops::sample(row, options, 12, stream).to_vector<int64_t>()[0] ==
            all[static_cast<size_t>(b)]);
    }
  }
}

TEST_CASE("threads change no choice") {
  const int before = omp_get_max_threads();
  Generator generator{21, 0};
  const Tensor logits = random_tensor({33, 4000}, DType::f32, generator);
  std::vector<std::vector<int64_t>> choices;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    choices.push_back(ops::sample(logits, {.top_k = 100, .seed = 8}, 1).to_vector<int64_t>());
    for (const int64_t id : ops::sample(logits, {.seed = 8}, 1).to_vector<int64_t>())
      choices.back().push_back(id);
  }
  omp_set_num_threads(before);
  CHECK(choices[0] == choices[1]);
  CHECK(choices[0] == choices[2]);
}

TEST_CASE("padding and -inf are never chosen, not even when the padding is NaN") {
  const std::vector<double> logits{-kInf, 0, -kInf, 0.5, NAN, 1e300};
  for (const int64_t top_k : {int64_t{0}, int64_t{3}}) {
    const auto counts = histogram(logits, {.top_k = top_k, .n_valid = 4, .seed = 9}, 2000);
    CHECK(counts[1] + counts[3] == 2000);
    CHECK(counts[1] > 500);
    CHECK(counts[3] > 500);
  }
  CHECK(histogram(logits, {.temperature = 0, .n_valid = 4}, 3)[3] == 3);
}

TEST_CASE("extreme logits and temperatures pick the sensible token") {
  const Tensor wide = Tensor::from(std::vector<float>{-1e4f, 1e4f, 0, 1e30f, -1e30f}, {1, 5});
  for (const double temperature : {1e-300, 1e-40, 1e-3, 1.0})
    CHECK(ops::sample(wide, {.temperature = temperature, .seed = 1}, 0).to_vector<int64_t>()[0] ==
          3);
  // So hot that every token is as likely as any other.
  const auto counts = histogram({-1000, 0, 1000}, {.temperature = 1e12, .seed = 2}, 30000);
  CHECK(chi_square(counts, {1 / 3.0, 1 / 3.0, 1 / 3.0}, 30000) < 18.4);
}

TEST_CASE("logits that cannot be sampled from give an error that names row and id") {
  const auto sample = [](const std::vector<float>& x) {
    return ops::sample(Tensor::from(x, {2, 3}), {}, 0);
  };
  CHECK_THROWS_WITH(sample({0, 0, 0, 0, 0, NAN}),
                    test::contains("row 1 has the logit nan at id 2"));
  CHECK_THROWS_AS(sample({0, 0, 0, 0, INFINITY, 0}), NonFiniteError);
  CHECK_THROWS_WITH(sample({-INFINITY, -INFINITY, -INFINITY, 0, 0, 0}),
                    test::contains("every valid logit of row 0 is -inf"));
}

TEST_CASE("bad options are refused") {
  const Tensor logits = Tensor::zeros({2, 3});
  CHECK_THROWS_AS(ops::sample(logits, {.temperature = -1}, 0), ConfigError);
  CHECK_THROWS_AS(ops::sample(logits, {.temperature = NAN}, 0), ConfigError);
  CHECK_THROWS_AS(ops::sample(logits, {.top_k = -1}, 0), ConfigError);
  CHECK_THROWS_AS(ops::sample(logits, {.n_valid = 4}, 0), ConfigError);
  CHECK_THROWS_AS(ops::sample(logits, {}, -1), ConfigError);
  CHECK_THROWS_AS(ops::sample(Tensor::zeros({3}), {}, 0), ShapeError);
  CHECK_THROWS_AS(ops::sample(Tensor::zeros({2, 0}), {}, 0), ShapeError);
  CHECK_THROWS_AS(ops::sample(logits, {}, 0, Tensor::zeros({3}, DType::i64)), ShapeError);
  float x[3] = {};
  int64_t token = -1;
  xlstm_sampling_args args{XLSTM_F32, 1, 3, 0, x, 3, 1.0, 2, 0, 0, nullptr, nullptr, &token};
  CHECK(xlstm_sampling_cpu(&args, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  args.n_valid = 4;
  CHECK(xlstm_sampling_cpu(&args, {}) == XLSTM_BAD_SIZE);
  CHECK(token == -1);
}

TEST_CASE("what stands at position_base is added to the position when the call runs") {
  const Tensor logits = Tensor::zeros({40, 50});
  const ops::SamplingOptions options{.seed = 3};
  uint64_t base = 1000;
  for (const uint64_t value : {0ull, 7ull, 1000ull}) {
    base = value;
    CHECK(ops::sample(logits, options, 5, {}, &base).to_vector<int64_t>() ==
          ops::sample(logits, options, 5 + static_cast<int64_t>(value)).to_vector<int64_t>());
  }
  CHECK(ops::sample(logits, options, 5).to_vector<int64_t>() !=
        ops::sample(logits, options, 6).to_vector<int64_t>());
}

}  // namespace
}  // namespace xlstm
