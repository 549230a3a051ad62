#include "data/pretokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "data/regex_translation.h"
#include "data/utf8.h"

namespace xlstm::data {

Pretokenizer::Pretokenizer(const PretokenizerDefinition& definition, const std::string& source)
    : add_prefix_space_(definition.add_prefix_space), use_regex_(definition.use_regex) {
  using Kind = CutStep::Kind;
  const std::string where = source + ": pre_tokenizer";
  for (const CutStep& step : definition.steps) {
    if (step.kind == Kind::digits || step.kind == Kind::digit_runs) {
      steps_.emplace_back(Digits{step.kind == Kind::digits});
      continue;
    }
    if (step.kind == Kind::regex) {
      if (const auto builtin = builtin_pattern(step.pattern)) {
        steps_.emplace_back(PatternScanner(*builtin));
        continue;
      }
    }
    const bool is_literal = step.kind == Kind::literal;
    require<FormatError>(!is_literal || !step.pattern.empty(), where,
                         ": got an empty String to split at, expected some text");
    steps_.emplace_back(Search{Pcre2Pattern(
        is_literal ? step.pattern : to_pcre2(step.pattern, where), is_literal, where)});
    wants_utf8_ = true;
  }
}

bool Pretokenizer::cuts_before_spaces() const {
  const auto is = [](const Step& step, auto kind) {
    return std::holds_alternative<decltype(kind)>(step);
  };
  const bool any = use_regex_ || std::any_of(steps_.begin(), steps_.end(), [&](const Step& step) {
                     return is(step, PatternScanner(BuiltinPattern::gpt2));
                   });
  return any && !add_prefix_space_ && !wants_utf8_;
}

// The end of the match at `begin`, or the beginning of the next one. An empty match cuts too, but
// not at `begin`, where the piece before ended: from there the search goes on a character further.
size_t Pretokenizer::Search::end_of(std::string_view text, size_t begin) const {
  size_t from = begin;
  auto match = pattern.find(text, from);
  if (match && match->begin == begin && match->end == begin) {
    from += static_cast<size_t>(utf8_step(text.substr(begin)).bytes);
    match = pattern.find(text, from);
  }
  if (!match) return text.size();
  return match->begin > begin ? match->begin : match->end;
}

size_t Pretokenizer::Digits::end_of(std::string_view text, size_t begin) const {
  size_t at = begin;
  bool is_run_of_digits = false;
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text.substr(at, 4));
    const bool is_digit = step.status == Utf8Status::valid && is_numeric(step.code);
    if (at == begin) is_run_of_digits = is_digit;
    if (is_digit != is_run_of_digits) break;
    at += static_cast<size_t>(step.bytes);
    if (is_digit && is_each_alone) break;
  }
  return at;
}

bool Pretokenizer::is_utf8_text(std::string_view text) {
  return is_utf8(text);
}

Pretokenizer::Span Pretokenizer::span_at(std::string_view text, size_t begin) {
  const auto is_valid_at = [text](size_t at) {
    return utf8_step(text.substr(at, 4)).status == Utf8Status::valid;
  };
  const bool is_valid = is_valid_at(begin);
  size_t at = begin;
  while (at < text.size() && is_valid_at(at) == is_valid)
    at += static_cast<size_t>(utf8_step(text.substr(at, 4)).bytes);
  return {at, is_valid};
}

}  // namespace xlstm::data
