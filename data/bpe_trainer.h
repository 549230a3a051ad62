// Learns the merges of byte-level BPE from text, choosing as Hugging Face's trainer does: the pair
// with the highest count, among equals the one with the smallest ids. Ids: special tokens first,
// then the 256 bytes in the order of their characters, then the merges.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/bpe_tokenizer.h"

namespace xlstm::data {

struct BpeTrainerConfig {
  int64_t n_vocab = 4096;     // special tokens, bytes and merges together
  int64_t min_frequency = 0;  // pairs that are rarer are not merged
  std::vector<std::string> special_tokens = {std::string(kEndOfText)};
};

class BpeTrainer {
 public:
  // ConfigError for an n_vocab below 256 + special tokens (or above 2^24) and for special tokens
  // that are empty, equal, or single characters of the byte alphabet.
  explicit BpeTrainer(BpeTrainerConfig config);

  // Counts the pretokens of one document. The order of documents does not matter.
  void add_text(std::string_view text);

  // The tokenizer. It is smaller than n_vocab when the text has too few pairs.
  Tokenizer train() const;

 private:
  BpeTrainerConfig config_;
  PatternScanner scanner_{BuiltinPattern::gpt2};
  std::unordered_map<std::string, int64_t> counts_;
};

}  // namespace xlstm::data
