#include "data/pretokenizer.h"

#include "data/utf8.h"

namespace xlstm::data {
namespace {

// The length of 's, 't, 're, 've, 'm, 'll or 'd at `begin`, where an apostrophe stands; or 0.
size_t contraction(std::string_view text, size_t begin) {
  if (begin + 1 >= text.size()) return 0;
  const char a = text[begin + 1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (begin + 2 >= text.size()) return 0;
  const char b = text[begin + 2];
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

}  // namespace

inline CodeClass Pretokenizer::class_at(std::string_view text, size_t at, size_t& bytes) const {
  const uint8_t lead = static_cast<uint8_t>(text[at]);
  bytes = 1;
  if (lead < 0x80) return classes_[lead];
  const Utf8Step step = utf8_step(text.substr(at, 4));
  if (step.status != Utf8Status::valid) return CodeClass::other;
  bytes = static_cast<size_t>(step.bytes);
  return classes_[step.code];
}

inline size_t Pretokenizer::end_of_run(std::string_view text, size_t begin,
                                       CodeClass wanted) const {
  size_t at = begin, bytes = 0;
  while (at < text.size() && class_at(text, at, bytes) == wanted) at += bytes;
  return at;
}

// \s+(?!\S)|\s+ : a run of white space that text follows leaves its last character to that text,
// unless it is the only one.
size_t Pretokenizer::end_of_space(std::string_view text, size_t begin) const {
  size_t at = begin, last = begin, bytes = 0;
  while (at < text.size() && class_at(text, at, bytes) == CodeClass::space) {
    last = at;
    at += bytes;
  }
  return at == text.size() || last == begin ? at : last;
}

size_t Pretokenizer::end_of(std::string_view text, size_t begin) const {
  const char first = text[begin];
  if (first == '\'') {
    const size_t length = contraction(text, begin);
    if (length > 0) return begin + length;
  }
  size_t bytes = 0;
  CodeClass kind = class_at(text, begin, bytes);
  size_t at = begin;
  if (first == ' ' && begin + 1 < text.size()) {
    const CodeClass next = class_at(text, begin + 1, bytes);
    if (next != CodeClass::space) {
      kind = next;
      at = begin + 1;
    }
  }
  if (kind == CodeClass::space) return end_of_space(text, begin);
  return end_of_run(text, at + bytes, kind);
}

}  // namespace xlstm::data
