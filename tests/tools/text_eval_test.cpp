#include "tools/train/text_eval.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"

namespace xlstm::train {
namespace {

// Log-probabilities of every next token, in double from the logits of one forward pass.
std::vector<double> log_probabilities(const layers::LanguageModel& model,
                                      const std::vector<int64_t>& ids) {
  const auto n = static_cast<int64_t>(ids.size());
  const Tensor logits = model.forward(Tensor::from(ids, {1, n})).logits;
  const std::vector<double> x = logits.to_vector<double>();
  const auto n_vocab = static_cast<size_t>(logits.size(2));
  std::vector<double> out;
  for (size_t t = 0; t + 1 < ids.size(); ++t) {
    const double* row = x.data() + t * n_vocab;
    const double max = *std::max_element(row, row + n_vocab);
    double sum = 0;
    for (size_t v = 0; v < n_vocab; ++v) sum += std::exp(row[v] - max);
    out.push_back(row[ids[t + 1]] - max - std::log(sum));
  }
  return out;
}

struct Scorer {
  Scorer() : trainer(run.config, run.services()) {
    for (int i = 0; i < 5; ++i) trainer.step();
    for (int i = 0; i < 12; ++i) text += "Once upon a time there was a dog.\nIt  ran to the sea. ";
    ids = {trainer.tokenizer().end_of_text()};
    for (const int32_t id : trainer.tokenizer().encode(text)) ids.push_back(id);
  }
  TextScore score(const TextEvalOptions& options) {
    return score_text(trainer.model(), trainer.tokenizer(), text, options);
  }
  // From the definition: each token after all that its window has before it.
  double by_hand(int64_t context, int64_t stride) {
    const auto last = static_cast<int64_t>(ids.size()) - 1;
    double nll = 0;
    for (int64_t before = 0, end = std::min(context, last);;) {
      const std::vector<int64_t> window(ids.begin() + std::max(end - context, int64_t{0}),
                                        ids.begin() + end + 1);
      const std::vector<double> p = log_probabilities(trainer.model(), window);
      for (auto i = p.end() - (end - before); i != p.end(); ++i) nll -= *i;
      if (end == last) return nll;
      before = end;
      end = std::min(end + stride, last);
    }
  }

  TinyRun run;
  Trainer trainer;
  std::string text;
  std::vector<int64_t> ids;
};

TEST_CASE("windows score every token once, after what their context holds") {
  Scorer scorer;
  const auto n = static_cast<int64_t>(scorer.ids.size()) - 1;
  REQUIRE(n > 100);
  for (const auto& [context, stride] : {std::pair<int64_t, int64_t>{16, 16},
                                        {16, 5},
                                        {16, 1},
                                        {37, 30},
                                        {1, 1},
                                        {n, n},
                                        {n - 1, 3},
                                        {5000, 7}}) {
    INFO("context " << context << " stride " << stride);
    const TextScore score = scorer.score({.context = context, .stride = stride});
    CHECK(score.n_tokens == n);
    CHECK(score.nll == Approx(scorer.by_hand(context, stride)).epsilon(1e-5));
  }
  CHECK(scorer.score({.context = 16}).nll == scorer.score({.context = 16, .stride = 16}).nll);
}

TEST_CASE("a carried state scores as one long pass does") {
  Scorer scorer;
  double nll = 0;
  for (const double p : log_probabilities(scorer.trainer.model(), scorer.ids)) nll -= p;
  for (const int64_t context : {1, 13, 64, 5000})
    CHECK(scorer.score({.context = context, .carry_state = true}).nll == Approx(nll).epsilon(1e-5));
}

TEST_CASE("means are per token, word and byte") {
  Scorer scorer;
  const TextScore score = scorer.score({.context = 64});
  CHECK(score.n_bytes == static_cast<int64_t>(scorer.text.size()));
  CHECK(score.n_words == 12 * 13);
  const auto mean = [&](int64_t n) { return score.nll / static_cast<double>(n); };
  CHECK(score.token_perplexity() == Approx(std::exp(mean(score.n_tokens))));
  CHECK(score.word_perplexity() == Approx(std::exp(mean(score.n_words))));
  CHECK(score.byte_perplexity() == Approx(std::exp(mean(score.n_bytes))));
  CHECK(std::exp2(score.bits_per_byte()) == Approx(score.byte_perplexity()));
  CHECK(count_words("") == 0);
  CHECK(count_words(" \n\t") == 0);
  CHECK(count_words("one") == 1);
  CHECK(count_words("  one two\n\nthree,four\v") == 3);
}

TEST_CASE("the token before the text, and end-of-text tokens inside it") {
  Scorer scorer;
  const TextScore without = scorer.score({.context = 5000, .start_with_end_of_text = false});
  CHECK(without.n_tokens == static_cast<int64_t>(scorer.ids.size()) - 2);
  scorer.text = "a<|endoftext|>b";
  const TextScore special = scorer.score({.context = 64, .allow_special = true});
  CHECK(special.n_tokens == 3);
  CHECK(scorer.score({.context = 64}).n_tokens > 3);
}

TEST_CASE("nothing to score and options that make no sense are refused") {
  Scorer scorer;
  for (const TextEvalOptions& options : {TextEvalOptions{.context = 0},
                                         {.context = -1},
                                         {.context = 8, .stride = 9},
                                         {.context = 8, .stride = -1},
                                         {.context = 8, .stride = 4, .carry_state = true}})
    CHECK_THROWS_AS(scorer.score(options), ConfigError);
  scorer.text = "";
  CHECK_THROWS_WITH(scorer.score({}), test::contains("nothing to score, got 1 tokens"));
  scorer.text = "a";
  CHECK(scorer.score({}).n_tokens == 1);
  CHECK_THROWS_AS(scorer.score({.start_with_end_of_text = false}), ConfigError);
  for (Tensor& parameter : scorer.trainer.model().parameters()) parameter.fill(NAN);
  CHECK_THROWS_AS(scorer.score({}), NonFiniteError);
}

}  // namespace
}  // namespace xlstm::train
