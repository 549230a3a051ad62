// Cuts text into pretokens by the GPT-2 pattern, scanned by hand:
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// The first alternative that matches wins, each as long as it can be. Letters, numbers and white
// space are those of Unicode (unicode_tables.h). Every byte belongs to one pretoken; a byte that is
// not part of well-formed UTF-8 counts as a character that is neither letter, number nor space.
#pragma once

#include <string_view>

#include "data/unicode_tables.h"

namespace xlstm::data {

class Pretokenizer {
 public:
  Pretokenizer() : classes_(code_classes()) {}

  // The end of the pretoken that begins at `begin` (< text.size()).
  size_t end_of(std::string_view text, size_t begin) const;

 private:
  size_t end_of_run(std::string_view text, size_t begin, CodeClass wanted) const;
  size_t end_of_space(std::string_view text, size_t begin) const;
  CodeClass class_at(std::string_view text, size_t at, size_t& bytes) const;

  const CodeClass* classes_;
};

}  // namespace xlstm::data
