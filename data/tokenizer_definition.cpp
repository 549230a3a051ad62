#include "data/tokenizer_definition.h"

#include "data/content_hash.h"

namespace xlstm::data {

// What newer versions have added counts only where it is used: token files of older versions stay
// valid.
uint64_t fingerprint_of(const TokenizerDefinition& definition) {
  ContentHash hash;
  hash.add(static_cast<int64_t>(definition.vocab.size()));
  for (const std::string& text : definition.vocab) hash.add(text);
  hash.add(static_cast<int64_t>(definition.merges.size()));
  for (const auto& [left, right] : definition.merges) {
    hash.add(int64_t{left});
    hash.add(int64_t{right});
  }
  for (const AddedToken& token : definition.added) {
    hash.add(token.content);
    hash.add(int64_t{token.id});
    hash.add(int64_t{token.rstrip} * 16 + int64_t{token.lstrip} * 8 +
             int64_t{token.single_word} * 4 + int64_t{token.special} * 2 + token.normalized);
  }
  hash.add(int64_t{definition.ignore_merges} * 8 + int64_t{definition.nfc} * 4 +
           int64_t{definition.pretokenizer.add_prefix_space} * 2 +
           definition.pretokenizer.use_regex);
  for (const CutStep& step : definition.pretokenizer.steps) {
    hash.add(static_cast<int64_t>(step.kind));
    hash.add(step.pattern);
  }
  return hash.value();
}

}  // namespace xlstm::data
