#include "kernels/sampling/sampling.h"

#include <omp.h>

#include <algorithm>
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

// Probabilities with those of the ids outside `kept` taken away.
std::vector<double> restricted(std::vector<double> p, const std::vector<size_t>& kept) {
  double sum = 0;
  for (const size_t v : kept) sum += p[v];
  for (size_t v = 0; v < p.size(); ++v)
    p[v] = std::find(kept.begin(), kept.end(), v) == kept.end() ? 0 : p[v] / sum;
  return p;
}

TEST_CASE("top_p keeps the fewest tokens that have the share, the smallest ids among equals") {
  // Probabilities 0.1, 0.4, 0.1, 0.3, 0.1.
  std::vector<double> p{0.1, 0.4, 0.1, 0.3, 0.1}, logits;
  for (const double value : p) logits.push_back(std::log(value));
  const int64_t n = 100000;
  const struct {
    double top_p;
    std::vector<size_t> kept;
  } rows[] = {{0, {1}},
              {0.39, {1}},
              {0.41, {1, 3}},
              {0.69, {1, 3}},
              {0.71, {0, 1, 3}},
              {0.79, {0, 1, 3}},
              {0.81, {0, 1, 2, 3}},
              {0.999, {0, 1, 2, 3, 4}},
              {1, {0, 1, 2, 3, 4}}};
  for (const auto& row : rows) {
    INFO("top_p " << row.top_p);
    const auto counts = histogram(logits, {.seed = 21, .top_p = row.top_p}, n);
    // 4 degrees of freedom at most: 23.5 is exceeded once in ten thousand.
    CHECK(chi_square(counts, restricted(p, row.kept), n) < 23.5);
  }
}

TEST_CASE("top_p counts among the top_k, and at the temperature") {
  const std::vector<double> logits{0, 3, 1, 2};
  const int64_t n = 100000;
  // Of the two likeliest the first has 0.73: below 0.8. Of all it has 0.64.
  const auto p = softmax(logits, 1);
  CHECK(chi_square(histogram(logits, {.top_k = 2, .seed = 22, .top_p = 0.7}, n), restricted(p, {1}),
                   n) == 0);
  CHECK(chi_square(histogram(logits, {.top_k = 2, .seed = 23, .top_p = 0.8}, n),
                   restricted(p, {1, 3}), n) < 15.2);
  CHECK(chi_square(histogram(logits, {.seed = 24, .top_p = 0.7}, n), restricted(p, {1, 3}), n) <
        15.2);
  const auto cold = softmax(logits, 0.5);
  CHECK(chi_square(histogram(logits, {.temperature = 0.5, .seed = 25, .top_p = 0.8}, n),
                   restricted(cold, {1}), n) == 0);
}

TEST_CASE("min_p keeps what is likely enough beside the likeliest") {
  const std::vector<double> logits{0, std::log(0.5), std::log(0.2), 0, std::log(0.1)};
  const int64_t n = 100000;
  const struct {
    double min_p;
    std::vector<size_t> kept;
  } rows[] = {{0, {0, 1, 2, 3, 4}}, {0.15, {0, 1, 2, 3}}, {0.3, {0, 1, 3}}, {1, {0, 3}}};
  for (const auto& row : rows) {
    INFO("min_p " << row.min_p);
    const auto counts = histogram(logits, {.seed = 26, .min_p = row.min_p}, n);
    CHECK(chi_square(counts, restricted(softmax(logits, 1), row.kept), n) < 23.5);
  }
  // The temperature comes first: at 2, 0.1 is as likely as 0.32 beside the likeliest.
  const auto counts = histogram(logits, {.temperature = 2, .seed = 27, .min_p = 0.3}, n);
  CHECK(chi_square(counts, softmax(logits, 2), n) < 23.5);
}

TEST_CASE("the penalty divides positive and multiplies negative logits of seen tokens") {
  const std::vector<double> logits{1.0, -1.0, 2.0, 0.5, -0.5, -kInf};
  const int64_t n = 100000, n_vocab = 6;
  const Tensor row = Tensor::from(logits, {1, n_vocab});
  const Tensor rows = row.strided_view({n, n_vocab}, {0, 1});
  const std::vector<double> after{0.5, -2.0, 2.0, 0.5, -1.0, -kInf};
  const std::vector<uint8_t> was_seen{1, 1, 0, 0, 1, 1};
  std::vector<uint8_t> all;
  for (int64_t i = 0; i < n; ++i) all.insert(all.end(), was_seen.begin(), was_seen.end());
  const Tensor seen = Tensor::from(all, {n, n_vocab});
  const auto tokens = ops::sample(rows, {.seed = 28, .repetition_penalty = 2}, 3, {}, nullptr, seen)
                          .to_vector<int64_t>();
  std::vector<int64_t> counts(6, 0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    ++counts[static_cast<size_t>(tokens[i])];
    all[i * 6 + static_cast<size_t>(tokens[i])] = 1;
  }
  CHECK(chi_square(counts, softmax(after, 1), n) < 23.5);
  // What was chosen was seen; nothing else changes.
  CHECK(seen.to_vector<uint8_t>() == all);
}

TEST_CASE("min_p 1 leaves the likeliest, after any penalty") {
  Generator generator{29, 0};
  const Tensor logits = random_tensor({200, 300}, DType::f32, generator, -5, 1);
  const auto chosen = [&](const ops::SamplingOptions& options) {
    return ops::sample(logits, options, 0, {}, nullptr, Tensor::full({200, 300}, 1, DType::u8))
        .to_vector<int64_t>();
  };
  for (const double penalty : {0.7, 1.1, 3.3}) {
    const auto best = chosen({.temperature = 0, .repetition_penalty = penalty});
    CHECK(chosen({.temperature = 0.3, .min_p = 1, .repetition_penalty = penalty}) == best);
    CHECK(chosen({.top_p = 0, .min_p = 1, .repetition_penalty = penalty}) == best);
    CHECK(chosen({.top_k = 5, .min_p = 1, .repetition_penalty = penalty}) == best);
  }
}

TEST_CASE("greedy: the penalty acts, and the same token does not come for ever") {
  const Tensor logits = Tensor::from(std::vector<float>{1.0f, 0.9f, 0.8f, -3.0f}, {1, 4});
  const Tensor seen = Tensor::zeros({1, 4}, DType::u8);
  std::vector<int64_t> chosen;
  for (int i = 0; i < 4; ++i)
    chosen.push_back(
        ops::sample(logits, {.temperature = 0, .repetition_penalty = 2}, i, {}, nullptr, seen)
            .to_vector<int64_t>()[0]);
  CHECK(chosen == std::vector<int64_t>{0, 1, 2, 0});
  CHECK(seen.to_vector<uint8_t>() == std::vector<uint8_t>{1, 1, 1, 0});
  // Without a penalty they are noted alone.
  const Tensor noted = Tensor::zeros({1, 4}, DType::u8);
  for (int i = 0; i < 2; ++i)
    CHECK(ops::sample(logits, {.temperature = 0}, i, {}, nullptr, noted).to_vector<int64_t>()[0] ==
          0);
  CHECK(noted.to_vector<uint8_t>() == std::vector<uint8_t>{1, 0, 0, 0});
}

TEST_CASE("rows with seen tokens, top_p and min_p know nothing of each other, nor of threads") {
  const int before = omp_get_max_threads();
  Generator generator{22, 0};
  const Tensor logits = random_tensor({20, 3000}, DType::f32, generator);
  const Tensor streams = Tensor::from(std::vector<int64_t>(20, 0), {20});
  const ops::SamplingOptions options{
      .seed = 3, .top_p = 0.9, .min_p = 0.01, .repetition_penalty = 1.5};
  std::vector<uint8_t> bytes(20 * 3000, 0);
  for (size_t i = 0; i < bytes.size(); i += 7) bytes[i] = 1;
  const auto sample = [&](const Tensor& x, const Tensor& names, const std::vector<uint8_t>& seen) {
    return ops::sample(x, options, 5, names, nullptr, Tensor::from(seen, x.shape()))
        .to_vector<int64_t>();
  };
  std::vector<std::vector<int64_t>> choices;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    choices.push_back(sample(logits, streams, bytes));
  }
  omp_set_num_threads(before);
  CHECK(choices[0] == choices[1]);
  CHECK(choices[0] == choices[2]);
  for (int64_t b = 0; b < 20; ++b) {
    const std::vector<uint8_t> own(bytes.begin() + 3000 * b, bytes.begin() + 3000 * (b + 1));
    CHECK(sample(logits.strided_view({1, 3000}, {3000, 1}, 3000 * b),
                 streams.strided_view({1}, {1}, b), own)[0] == choices[0][static_cast<size_t>(b)]);
  }
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
  for (const double share : {-0.1, 1.1, double{NAN}}) {
    CHECK_THROWS_AS(ops::sample(logits, {.top_p = share}, 0), ConfigError);
    CHECK_THROWS_AS(ops::sample(logits, {.min_p = share}, 0), ConfigError);
  }
  for (const double penalty : {0.0, -1.0, kInf, double{NAN}})
    CHECK_THROWS_AS(ops::sample(logits, {.repetition_penalty = penalty}, 0), ConfigError);
  for (const Tensor& seen : {Tensor::zeros({2, 3}), Tensor::zeros({2, 4}, DType::u8),
                             Tensor::zeros({3, 2}, DType::u8).strided_view({2, 3}, {1, 2})})
    CHECK_THROWS_AS(ops::sample(logits, {}, 0, {}, nullptr, seen), ShapeError);
  CHECK_THROWS_AS(ops::sample(logits, {}, -1), ConfigError);
  CHECK_THROWS_AS(ops::sample(Tensor::zeros({3}), {}, 0), ShapeError);
  CHECK_THROWS_AS(ops::sample(Tensor::zeros({2, 0}), {}, 0), ShapeError);
  CHECK_THROWS_AS(ops::sample(logits, {}, 0, Tensor::zeros({3}, DType::i64)), ShapeError);
  float x[3] = {};
  int64_t token = -1;
  uint8_t seen[6] = {};
  xlstm_sampling_args good{};
  good.rows = 1, good.n_vocab = good.logits_stride_row = 3, good.logits = x;
  good.temperature = 1, good.top_k = 2, good.top_p = 1, good.repetition_penalty = 1;
  good.seen = seen, good.seen_stride_row = 3, good.tokens = &token;
  const auto status = [&](auto change) {
    xlstm_sampling_args args = good;
    change(args);
    const bool is_right = xlstm_sampling_check(&args) == XLSTM_OK;
    CHECK((xlstm_sampling_workspace_cpu(&args) > 0) == is_right);
    return xlstm_sampling_cpu(&args, {});
  };
  CHECK(status([](auto&) {}) == XLSTM_WORKSPACE_TOO_SMALL);
  CHECK(status([](auto& g) { g.n_valid = 4; }) == XLSTM_BAD_SIZE);
  for (const double share : {-1e-9, 1.0000001, double{NAN}}) {
    CHECK(status([&](auto& g) { g.top_p = share; }) == XLSTM_BAD_VALUE);
    CHECK(status([&](auto& g) { g.min_p = share; }) == XLSTM_BAD_VALUE);
  }
  for (const double penalty : {0.0, -1.0, kInf, double{NAN}})
    CHECK(status([&](auto& g) { g.repetition_penalty = penalty; }) == XLSTM_BAD_VALUE);
  // Rows of `seen` are written, so they must not overlap.
  CHECK(status([](auto& g) { g.rows = 2, g.seen_stride_row = 2; }) == XLSTM_BAD_STRIDE);
  CHECK(token == -1);
  CHECK(std::count(std::begin(seen), std::end(seen), 0) == 6);
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
