// A smoothed n-gram model over tokens: the bar that a neural model has to beat.
//
// Interpolated modified Kneser-Ney smoothing (S. F. Chen, J. Goodman, "An empirical study of
// smoothing techniques for language modeling", 1998), up to order 4. With c(h w) the number of
// times that w follows the context h (for shorter contexts than the longest: the number of
// different tokens seen before h w), D the discount for counts 1, 2 and 3 or more, and h' the
// context h without its first token,
//
//   p(w | h) = max(c(h w) - D(c(h w)), 0) / sum_v c(h v) + weight(h) p(w | h'),
//   weight(h) = (D_1 n_1(h) + D_2 n_2(h) + D_3 n_3+(h)) / sum_v c(h v),
//
// where n_k(h) tokens follow h with count k; the shortest context is mixed with 1 / n_vocab.
//
// What stands before an end of text is not looked at: the context begins with the end of text, as
// often as needed to fill it. A model that reads on across documents sees more, but documents do
// not depend on one another, and this choice gives the n-gram model the lower loss.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/token_file.h"

namespace xlstm::data {

class NgramBaseline {
 public:
  static constexpr int64_t kMaxOrder = 4;

  // Counts the whole stream; about 30 bytes per token. ConfigError for an order outside 1 to 4,
  // more than 65536 tokens in the vocabulary, or a stream of less than two tokens.
  explicit NgramBaseline(const TokenStream& train, int64_t order = kMaxOrder);

  // Probability of `token` after `context` (its last order - 1 tokens matter). ConfigError for ids
  // outside the vocabulary.
  double probability(std::span<const int64_t> context, int64_t token) const;

  // Mean of -log p, in nats per token, over all tokens of the stream but the first: those that a
  // language model predicts. ConfigError if the vocabularies differ.
  double mean_nll(const TokenStream& stream) const;

 private:
  // The n-grams of one length, packed 16 bits a token with the last token lowest, sorted; so those
  // of one context stand together.
  struct Order {
    struct Context {
      uint64_t key;
      double total;   // sum of the counts
      double weight;  // left for shorter contexts
    };
    std::vector<uint64_t> grams;
    std::vector<int64_t> counts;
    std::vector<Context> contexts;
    double discount[4] = {0, 0, 0, 0};  // by count, 3 for 3 and more
  };
  static Order count(std::vector<uint64_t> grams);
  static void set_discounts(Order& order);
  static void set_contexts(Order& order);
  double probability_of_key(uint64_t key) const;

  int64_t n_vocab_;
  int64_t end_of_text_;
  std::vector<Order> orders_;  // [n - 1] for n-grams of length n
};

}  // namespace xlstm::data
