#include "data/ngram_baseline.h"

#include <cmath>
#include <map>
#include <random>
#include <set>

#include "core/error.h"
#include "tests/catch.h"

namespace xlstm::data {
namespace {

constexpr int64_t kVocab = 23;

// Documents of a second-order Markov chain with few followers, so longer contexts help.
TokenStream chain(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int64_t> tokens;
  int64_t a = 0, b = 0;
  while (static_cast<int64_t>(tokens.size()) < n) {
    const auto r = static_cast<int64_t>(random() % 8);
    int64_t next = (a * 7 + b * 3 + (r < 5 ? 1 : r)) % kVocab;
    if (random() % 40 == 0) next = 0;
    tokens.push_back(next);
    a = next == 0 ? 0 : b;
    b = next;
  }
  return TokenStream(tokens, kVocab, 0);
}

TEST_CASE("probabilities are positive and sum to one in any context, seen or not") {
  const TokenStream train = chain(3000, 1);
  std::mt19937 random(2);
  for (int64_t order = 1; order <= 4; ++order) {
    const NgramBaseline model(train, order);
    for (int i = 0; i < 200; ++i) {
      std::vector<int64_t> context(random() % 6);
      for (int64_t& id : context) id = static_cast<int64_t>(random() % kVocab);
      double sum = 0;
      for (int64_t token = 0; token < kVocab; ++token) {
        const double p = model.probability(context, token);
        REQUIRE(p > 0);
        sum += p;
      }
      REQUIRE(std::abs(sum - 1) < 1e-12);
    }
  }
}

// Order 2, from the equations with maps; no end of text within, and the context before the first
// token is the end of text.
TEST_CASE("the bigram model is modified Kneser-Ney to the letter") {
  std::mt19937 random(4);
  std::vector<int64_t> tokens;
  for (int i = 0; i < 400; ++i)
    tokens.push_back(1 + static_cast<int64_t>((random() % 9) * (random() % 9)) % 12);
  constexpr int64_t n_vocab = 15;
  std::map<std::pair<int64_t, int64_t>, double> bigrams;
  std::map<int64_t, double> followers;  // different tokens before w
  int64_t before = 0;
  for (const int64_t token : tokens) {
    if (++bigrams[{before, token}] == 1) ++followers[token];
    before = token;
  }
  const auto discounts = [](const auto& counts) {
    std::map<int, double> n;
    for (const auto& [key, count] : counts) ++n[static_cast<int>(count)];
    const double y = n[1] / (n[1] + 2 * n[2]);
    std::vector<double> d = {0};
    for (int k = 1; k <= 3; ++k) {
      const double value = n[k] > 0 ? k - (k + 1) * y * n[k + 1] / n[k] : 0;
      d.push_back(value > 0 && value < k ? value : 0.5);
    }
    return d;
  };
  const auto level = [](double count, double total, double weight, double lower,
                        const std::vector<double>& d) {
    const double own = count > 0 ? count - d[static_cast<size_t>(std::min(count, 3.0))] : 0;
    return own / total + weight / total * lower;
  };
  const std::vector<double> d1 = discounts(followers), d2 = discounts(bigrams);
  double total1 = 0, weight1 = 0;
  for (const auto& [token, count] : followers) {
    total1 += count;
    weight1 += d1[static_cast<size_t>(std::min(count, 3.0))];
  }
  const NgramBaseline model(TokenStream(tokens, n_vocab, 0), 2);
  for (int64_t h = 0; h < n_vocab; ++h) {
    double total2 = 0, weight2 = 0;
    for (const auto& [pair, count] : bigrams)
      if (pair.first == h) {
        total2 += count;
        weight2 += d2[static_cast<size_t>(std::min(count, 3.0))];
      }
    for (int64_t w = 0; w < n_vocab; ++w) {
      double expected =
          level(followers.count(w) ? followers[w] : 0, total1, weight1, 1.0 / n_vocab, d1);
      if (total2 > 0)
        expected =
            level(bigrams.count({h, w}) ? bigrams[{h, w}] : 0, total2, weight2, expected, d2);
      REQUIRE(model.probability(std::vector<int64_t>{h}, w) == Approx(expected).epsilon(1e-12));
    }
  }
}

TEST_CASE("longer contexts help where there is something to see, and all beat chance") {
  const TokenStream train = chain(40000, 5), valid = chain(5000, 6);
  const double unigram = NgramBaseline(train, 1).mean_nll(valid);
  const double bigram = NgramBaseline(train, 2).mean_nll(valid);
  const double trigram = NgramBaseline(train, 3).mean_nll(valid);
  const double four = NgramBaseline(train, 4).mean_nll(valid);
  CHECK(unigram < std::log(kVocab) + 0.01);
  CHECK(bigram < unigram - 0.05);
  CHECK(trigram < bigram - 0.3);
  CHECK(four < trigram + 0.1);  // a longer context than the chain has costs little
  CHECK(trigram < 1.7);         // the chain's own entropy is about 1.3
}

TEST_CASE("the mean is that of the probabilities, and nothing before an end of text matters") {
  const NgramBaseline model(chain(3000, 7));
  const TokenStream valid = chain(500, 8);
  std::vector<int64_t> tokens(500);
  valid.read(0, tokens);
  double sum = 0;
  for (size_t i = 1; i < tokens.size(); ++i)
    sum -= std::log(model.probability(std::span(tokens).first(i), tokens[i]));
  CHECK(model.mean_nll(valid) == Approx(sum / 499).epsilon(1e-12));
  for (int64_t w = 0; w < kVocab; ++w)
    CHECK(model.probability(std::vector<int64_t>{5, 0, 3}, w) ==
          model.probability(std::vector<int64_t>{9, 0, 3}, w));
}

TEST_CASE("what cannot be counted is refused") {
  CHECK_THROWS_AS(NgramBaseline(chain(100, 1), 0), ConfigError);
  CHECK_THROWS_AS(NgramBaseline(chain(100, 1), 5), ConfigError);
  CHECK_THROWS_AS(NgramBaseline(TokenStream({1}, 2, 0)), ConfigError);
  CHECK_THROWS_AS(NgramBaseline(TokenStream({1, 2}, 65537, 0)), ConfigError);
  const NgramBaseline model(chain(100, 1));
  CHECK_THROWS_AS(model.mean_nll(TokenStream({1, 2}, 30, 0)), ConfigError);
  CHECK_THROWS_AS(model.probability({}, kVocab), ConfigError);
  CHECK_THROWS_AS(model.probability(std::vector<int64_t>{-1}, 0), ConfigError);
}

}  // namespace
}  // namespace xlstm::data
