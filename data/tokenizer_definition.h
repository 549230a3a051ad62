// What a tokenizer.json says, as far as we implement it (docs/tokenizer.md).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/added_tokens.h"
#include "data/pretokenizer.h"

namespace xlstm::data {

// The special tokens that the post-processor puts around a text on request.
struct TextFrame {
  std::vector<int32_t> before, after;
};

// Checked by Tokenizer's constructor.
struct TokenizerDefinition {
  std::vector<std::string> vocab;                   // token texts by id, in the byte-level alphabet
  std::vector<std::pair<int32_t, int32_t>> merges;  // pairs of ids, the lowest rank first
  std::vector<AddedToken> added;  // with ids of the vocabulary (same text) or following on it
  bool nfc = false;               // bring the text into normal form first
  PretokenizerDefinition pretokenizer;
  bool ignore_merges = false;  // a pretoken that is a token as a whole is that one
  TextFrame frame;
  std::string post_processor;  // the field where `frame` is from, JSON, or empty
};

// A hash of everything that can change an id.
uint64_t fingerprint_of(const TokenizerDefinition& definition);

}  // namespace xlstm::data
