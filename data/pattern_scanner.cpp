#include "data/pattern_scanner.h"

#include "data/utf8.h"

namespace xlstm::data {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// The length of 's, 't, 're, 've, 'm, 'll or 'd at `begin`, where an apostrophe stands; or 0.
// `fold` is or-ed to each letter: 0x20 makes capitals small.
size_t contraction(std::string_view text, size_t begin, int fold) {
  if (begin + 1 >= text.size()) return 0;
  const int a = text[begin + 1] | fold;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (begin + 2 >= text.size()) return 0;
  const int b = text[begin + 2] | fold;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

size_t contraction_in_any_case(std::string_view text, size_t begin) {
  // The long s, U+017F, is an s in another case.
  return text.substr(begin + 1, 2) == "\xC5\xBF" ? 3 : contraction(text, begin, 0x20);
}

bool is_newline(char c) {
  return c == '\r' || c == '\n';
}

}  // namespace

std::optional<BuiltinPattern> builtin_pattern(std::string_view regex) {
  if (regex == kGpt2) return BuiltinPattern::gpt2;
  if (regex == kLlama3) return BuiltinPattern::llama3;
  if (regex == kQwen) return BuiltinPattern::qwen;
  return std::nullopt;
}

inline PatternScanner::Character PatternScanner::character_at(std::string_view text,
                                                              size_t at) const {
  const uint8_t lead = static_cast<uint8_t>(text[at]);
  if (lead < 0x80) return {classes_[lead], 1};
  const Utf8Step step = utf8_step(text.substr(at, 4));
  if (step.status != Utf8Status::valid) return {CodeClass::other, 1};
  return {classes_[step.code], static_cast<size_t>(step.bytes)};
}

inline size_t PatternScanner::end_of_run(std::string_view text, size_t begin,
                                         CodeClass wanted) const {
  size_t at = begin;
  while (at < text.size()) {
    const Character next = character_at(text, at);
    if (next.kind != wanted) break;
    at += next.bytes;
  }
  return at;
}

size_t PatternScanner::end_of_numbers(std::string_view text, size_t begin, int at_most) const {
  size_t at = begin;
  for (int n = 0; n < at_most && at < text.size(); ++n) {
    const Character next = character_at(text, at);
    if (next.kind != CodeClass::number) break;
    at += next.bytes;
  }
  return at;
}

// \s+(?!\S)|\s+ : a run of white space that text follows leaves its last character to that text,
// unless it is the only one. With `newlines_end_it`, \s*[\r\n]+ comes first: a run with a newline
// ends after its last one.
size_t PatternScanner::end_of_space(std::string_view text, size_t begin,
                                    bool newlines_end_it) const {
  size_t at = begin, last = begin, after_newline = begin;
  while (at < text.size()) {
    const Character next = character_at(text, at);
    if (next.kind != CodeClass::space) break;
    last = at;
    at += next.bytes;
    if (is_newline(text[last])) after_newline = at;
  }
  if (newlines_end_it && after_newline > begin) return after_newline;
  return at == text.size() || last == begin ? at : last;
}

size_t PatternScanner::gpt2_end(std::string_view text, size_t begin) const {
  const char first = text[begin];
  if (first == '\'') {
    const size_t length = contraction(text, begin, 0);
    if (length > 0) return begin + length;
  }
  Character one = character_at(text, begin);
  size_t at = begin;
  if (first == ' ' && begin + 1 < text.size()) {
    const Character next = character_at(text, begin + 1);
    if (next.kind != CodeClass::space) {
      one = next;
      at = begin + 1;
    }
  }
  if (one.kind == CodeClass::space) return end_of_space(text, begin, false);
  return end_of_run(text, at + one.bytes, one.kind);
}

size_t PatternScanner::llama3_end(std::string_view text, size_t begin) const {
  const char first = text[begin];
  if (first == '\'') {
    const size_t length = contraction_in_any_case(text, begin);
    if (length > 0) return begin + length;
  }
  const Character one = character_at(text, begin);
  size_t at = begin + one.bytes;
  if (one.kind == CodeClass::letter) return end_of_run(text, at, CodeClass::letter);
  if (one.kind == CodeClass::number)
    return end_of_numbers(text, begin, pattern_ == BuiltinPattern::qwen ? 1 : 3);
  CodeClass next = CodeClass::space;
  if (at < text.size()) next = character_at(text, at).kind;
  if (next == CodeClass::letter && !is_newline(first))
    return end_of_run(text, at, CodeClass::letter);
  if (one.kind == CodeClass::space && (first != ' ' || next != CodeClass::other))
    return end_of_space(text, begin, true);
  at = end_of_run(text, at, CodeClass::other);
  while (at < text.size() && is_newline(text[at])) ++at;
  return at;
}

}  // namespace xlstm::data
