// How likely a model finds a text (docs/evaluation.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/bpe_tokenizer.h"
#include "layers/language_model.h"

namespace xlstm::train {

struct TextEvalOptions {
  int64_t context = 1024;    // tokens that the model reads at once
  int64_t stride = 0;        // new tokens in each window after the first; 0: context
  bool carry_state = false;  // one pass over the text instead of windows
  // The end-of-text token before the text, so that its first token is scored too.
  bool start_with_end_of_text = true;
  bool allow_special = false;  // the text's own end-of-text tokens are read as such

  void validate() const;  // ConfigError
};

struct TextScore {
  double nll = 0;  // minus the log-likelihood of all tokens that were scored, in nats
  int64_t n_tokens = 0;
  int64_t n_words = 0;  // stretches between white space
  int64_t n_bytes = 0;

  double token_perplexity() const;
  double word_perplexity() const;
  double byte_perplexity() const;
  double bits_per_byte() const;
};

// Every token but the very first is scored once. Windows: each reads `context` tokens up to its
// last one and scores the `stride` that no window before it scored. carry_state: pieces of
// `context` tokens, each with the state of the one before. ConfigError for a text with nothing to
// score or options that make no sense; NonFiniteError.
TextScore score_text(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                     std::string_view text, const TextEvalOptions& options = {});

// Stretches between white space (of ASCII).
int64_t count_words(std::string_view text);

}  // namespace xlstm::train
