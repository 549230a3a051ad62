// Cuts text into pretokens, as the field `pre_tokenizer` of a tokenizer.json says: steps that cut
// one after the other, then ByteLevel, which may put a space in front and cut once more. Every byte
// belongs to one pretoken.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/pattern_scanner.h"
#include "data/pcre2_pattern.h"

namespace xlstm::data {

// One step before ByteLevel. What matches is a piece, and so is what stands between matches.
struct CutStep {
  enum class Kind : uint8_t {
    regex,      // Split with a Regex, Isolated
    literal,    // Split with a String, Isolated
    digits,     // Digits, each alone
    digit_runs  // Digits, those that follow on one another together
  };
  Kind kind = Kind::regex;
  std::string pattern;  // of regex and literal
  bool operator==(const CutStep&) const = default;
};

struct PretokenizerDefinition {
  std::vector<CutStep> steps;
  bool add_prefix_space = false;  // put a space before a piece that does not begin with one
  bool use_regex = true;          // cut by the GPT-2 pattern; else a piece is one pretoken
};

class Pretokenizer {
 public:
  Pretokenizer() = default;
  // FormatError, beginning with `source`, for a pattern that is not implemented.
  Pretokenizer(const PretokenizerDefinition& definition, const std::string& source);

  // Calls use(pretoken) for each pretoken of `text`, in order. Bytes that are not UTF-8 are
  // characters that are neither letter, number nor space; where a pattern of the user's own cuts,
  // they are pieces of their own.
  template <class Use>
  void cut(std::string_view text, const Use& use) const {
    if (wants_utf8_ && !is_utf8_text(text)) {
      for (size_t begin = 0; begin < text.size();) {
        const Span span = span_at(text, begin);
        run(span.is_utf8 ? 0 : steps_.size(), text.substr(begin, span.end - begin), use);
        begin = span.end;
      }
    } else {
      run(0, text, use);
    }
  }

  // Whether there is a cut before every space that follows a printable ASCII character, whatever
  // stands around: then a long text can be cut there first.
  bool cuts_before_spaces() const;

 private:
  // A pattern that PCRE2 runs.
  struct Search {
    Pcre2Pattern pattern;
    size_t end_of(std::string_view text, size_t begin) const;
  };
  struct Digits {
    bool is_each_alone;
    size_t end_of(std::string_view text, size_t begin) const;
  };
  using Step = std::variant<PatternScanner, Search, Digits>;
  struct Span {
    size_t end;
    bool is_utf8;
  };
  static bool is_utf8_text(std::string_view text);
  static Span span_at(std::string_view text, size_t begin);

  template <class Cutter, class Use>
  static void each(const Cutter& cutter, std::string_view text, const Use& use) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = cutter.end_of(text, begin);
      use(text.substr(begin, end - begin));
      begin = end;
    }
  }

  template <class Use>
  void run(size_t step, std::string_view text, const Use& use) const {
    if (step == steps_.size()) return byte_level(text, use);
    const auto next = [&](std::string_view piece) { run(step + 1, piece, use); };
    std::visit([&](const auto& cutter) { each(cutter, text, next); }, steps_[step]);
  }

  template <class Use>
  void byte_level(std::string_view piece, const Use& use) const {
    if (add_prefix_space_ && !piece.starts_with(' '))
      return cut_last(" " + std::string(piece), use);
    cut_last(piece, use);
  }

  template <class Use>
  void cut_last(std::string_view piece, const Use& use) const {
    if (use_regex_) return each(gpt2_, piece, use);
    use(piece);
  }

  std::vector<Step> steps_;
  PatternScanner gpt2_{BuiltinPattern::gpt2};
  bool add_prefix_space_ = false;
  bool use_regex_ = true;
  bool wants_utf8_ = false;
};

}  // namespace xlstm::data
