// What a model knows after a text, and reading on from there.
#pragma once

#include <cstdint>
#include <vector>

#include "data/bpe_tokenizer.h"
#include "layers/language_model.h"

namespace xlstm::train {

// Has the same size after any text. The empty one stands before the first token.
struct TextState {
  layers::ModelState state;   // one row
  Tensor logits;              // [1, n_vocab], of the next token
  std::vector<uint8_t> seen;  // [n_vocab], 1 for tokens of the text
  int64_t n_read = 0;         // tokens of the text
  int64_t n_drawn = 0;        // random numbers used for it: generation goes on with the next

  bool empty() const { return n_read == 0; }
};

using TokenIds = std::vector<int32_t>;

// The tokens of a text that begins: an end of text stands before them if `with_end_of_text` and the
// tokenizer has one, and in any case if there are none.
TokenIds beginning(const data::Tokenizer& tokenizer, TokenIds ids, bool with_end_of_text);

// ConfigError, beginning with the command's name, if the tokenizer has tokens that the model lacks.
// The other way round is fine: vocabularies are often padded.
void require_tokens_fit(const layers::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const char* command);

// Texts are read in pieces of so many tokens that carry the state.
inline constexpr int64_t kReadTokens = 1024;

struct ReadTexts {
  Tensor logits;             // [texts, n_vocab], of the next token
  Tensor hidden;             // [texts, D], that they were made of
  layers::ModelState state;  // a row for each text
};

// Reads texts of one length side by side, each after `before`. hidden is undefined if the texts are
// empty, which they only may be if `before` is not.
ReadTexts read_texts(const layers::LanguageModel& model, const TextState& before,
                     const std::vector<const TokenIds*>& texts);

// The state after one more text.
TextState read_on(const layers::LanguageModel& model, const TextState& before, const TokenIds& ids);

// Marks the tokens in `seen`, which is made as long as the vocabulary.
void mark_seen(std::vector<uint8_t>& seen, const TokenIds& ids, int64_t n_vocab);

}  // namespace xlstm::train
