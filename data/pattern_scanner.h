// The patterns of well-known tokenizers, scanned by hand. The first alternative that matches wins,
// each as long as it can be, and together they match everything. A byte that is not part of
// well-formed UTF-8 counts as a character that is neither letter, number nor space.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "data/unicode_classes.h"

namespace xlstm::data {

enum class BuiltinPattern : uint8_t {
  gpt2,    // GPT-2, GPT-NeoX, and ByteLevel's own
  llama3,  // Llama 3, GPT-4: up to three digits together
  qwen,    // Qwen 2: each digit alone, otherwise as Llama 3
};

// The pattern that is written exactly so in a tokenizer.json.
std::optional<BuiltinPattern> builtin_pattern(std::string_view regex);

class PatternScanner {
 public:
  explicit PatternScanner(BuiltinPattern pattern) : classes_(code_classes()), pattern_(pattern) {}

  // The end of the part that begins at `begin` (< text.size()).
  size_t end_of(std::string_view text, size_t begin) const {
    return pattern_ == BuiltinPattern::gpt2 ? gpt2_end(text, begin) : llama3_end(text, begin);
  }

 private:
  struct Character {
    CodeClass kind;
    size_t bytes;
  };
  size_t gpt2_end(std::string_view text, size_t begin) const;
  size_t llama3_end(std::string_view text, size_t begin) const;
  Character character_at(std::string_view text, size_t at) const;
  size_t end_of_run(std::string_view text, size_t begin, CodeClass wanted) const;
  size_t end_of_numbers(std::string_view text, size_t begin, int at_most) const;
  size_t end_of_space(std::string_view text, size_t begin, bool newlines_end_it) const;

  const CodeClass* classes_;
  BuiltinPattern pattern_;
};

}  // namespace xlstm::data
