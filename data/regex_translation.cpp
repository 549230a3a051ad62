#include "data/regex_translation.h"

#include <cctype>
#include <map>
#include <mutex>
#include <sstream>

#include "core/error.h"
#include "core/excerpt.h"
#include "core/json.h"
#include "data/pcre2_pattern.h"
#include "data/unicode_classes.h"
#include "data/utf8.h"

namespace xlstm::data {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// What this PCRE2 takes for \p{name}, asked of it once.
CodeSet pcre2_category_set(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, CodeSet> known;
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(name); found != known.end()) return found->second;
  static const std::string all = [] {
    std::string text;
    for (uint32_t code = 0; code < kCodePoints; ++code)
      if (code < 0xD800 || code > 0xDFFF) append_utf8(text, code);
    return text;
  }();
  const Pcre2Pattern run("[\\p{" + name + "}]+", false, "tokenizer");
  CodeSet set;
  const std::string_view text = all;
  for (auto match = run.find(text, 0); match; match = run.find(text, match->end)) {
    size_t last = match->end - 1;
    while ((text[last] & 0xC0) == 0x80) --last;
    set.push_back({utf8_step(text.substr(match->begin)).code, utf8_step(text.substr(last)).code});
  }
  return known[name] = set;
}

// The members of a character class, in PCRE2's words.
std::string ranges_text(const CodeSet& set) {
  std::ostringstream out;
  out << std::hex;
  for (const CodeRange& range : set) {
    out << "\\x{" << range.first << "}";
    if (range.last > range.first) out << "-\\x{" << range.last << "}";
  }
  return out.str();
}

// \p{name} by PCRE2's own table where that lacks nothing but the newest characters: it is shorter
// than all ranges. Latin-1 stands in front as ranges, which are found in a bitmap.
std::string category_text(const std::string& name, const CodeSet& wanted, bool is_negative) {
  const CodeSet native = pcre2_category_set(name);
  const CodeSet missing = without(wanted, native), extra = without(native, wanted);
  const CodeSet latin =
      without(is_negative ? complement(wanted) : wanted, {{0x100, kCodePoints - 1}});
  if (is_negative)
    return missing.empty() && extra.empty() ? ranges_text(latin) + "\\P{" + name + "}"
                                            : ranges_text(complement(wanted));
  return extra.empty() ? ranges_text(latin) + "\\p{" + name + "}" + ranges_text(missing)
                       : ranges_text(wanted);
}

class Translation {
 public:
  Translation(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string run() {
    require<FormatError>(is_utf8(pattern_), where_, ": pattern is not UTF-8");
    alternatives(false);
    if (!done()) refuse("a parenthesis that closes nothing");
    return std::move(out_);
  }

 private:
  bool done() const { return at_ == pattern_.size(); }
  char peek() const { return done() ? '\0' : pattern_[at_]; }
  bool sees(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!sees(text)) return false;
    at_ += text.size();
    return true;
  }
  void copy(size_t n) {
    out_ += pattern_.substr(at_, n);
    at_ += n;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw_error<FormatError>(where_, ": pattern ", excerpt(pattern_, 400), " has ", what,
                             " at byte ", at_, ", which is not implemented");
  }

  // Everything up to the end or a closing parenthesis.
  void alternatives(bool ignores_case) {
    if (++depth_ > 100) refuse("more than 100 groups in one another");
    std::string literals;  // that follow on one another
    while (!done() && peek() != ')') {
      const char c = peek();
      if (c == '|') {
        copy(1);
        literals.clear();
        continue;
      }
      if (ignores_case && is_letter(c)) check_folding(literals += c);
      if (!is_letter(c)) literals.clear();
      atom(c, ignores_case);
      quantifier();
    }
    --depth_;
  }

  // Oniguruma lets some pairs of letters match one character, as ss does U+00DF.
  void check_folding(const std::string& literals) const {
    if (literals.size() < 2) return;
    std::string pair = literals.substr(literals.size() - 2);
    for (char& c : pair) c = static_cast<char>(c | 0x20);
    for (const char* folded : {"ff", "fi", "fl", "ss", "st"})
      if (pair == folded) refuse("\"" + pair + "\" without regard to case");
  }

  void atom(char c, bool ignores_case) {
    if (c == '(') {
      group(ignores_case);
    } else if (c == '[') {
      bracket(ignores_case);
    } else if (c == '\\') {
      escape(false, ignores_case);
    } else if (c == '.') {
      copy(1);
    } else if (c == '^' || c == '$' || c == '{' || c == '*' || c == '+' || c == '?') {
      refuse(std::string("\"") + c + "\"");
    } else if (static_cast<uint8_t>(c) < 0x80) {
      copy(1);
    } else {
      if (ignores_case) refuse("a character outside ASCII without regard to case");
      copy(static_cast<size_t>(utf8_step(pattern_.substr(at_)).bytes));
    }
  }

  void group(bool ignores_case) {
    copy(1);
    if (peek() == '?') {
      bool known = false;
      for (const char* kind : {"?:", "?=", "?!", "?>", "?<=", "?<!", "?i:", "?-i:"})
        if (!known && sees(kind)) {
          known = true;
          if (std::string_view(kind) == "?i:") ignores_case = true;
          if (std::string_view(kind) == "?-i:") ignores_case = false;
          copy(std::string_view(kind).size());
        }
      if (!known) refuse("the group \"(" + std::string(pattern_.substr(at_, 3)) + "\"");
    }
    alternatives(ignores_case);
    if (!sees(")")) refuse("a group without end");
    copy(1);
  }

  // Copies what follows an atom: * + ? {n,m}, each also lazy (?) and, but for {n,m}, possessive.
  void quantifier() {
    const char c = peek();
    if (c == '*' || c == '+' || c == '?') {
      copy(1);
      if (peek() == '?' || peek() == '+') copy(1);
    } else if (c == '{') {
      const size_t end = pattern_.find('}', at_);
      const std::string inside(pattern_.substr(at_ + 1, end == pattern_.npos ? 0 : end - at_ - 1));
      const size_t comma = inside.find(',');
      if (inside.find_first_not_of("0123456789,") != inside.npos || inside.size() < 1 ||
          inside == "," || (comma != inside.npos && inside.find(',', comma + 1) != inside.npos))
        refuse("\"{\" without \\");
      out_ += comma == 0 ? "{0" + inside + "}" : "{" + inside + "}";
      at_ = end + 1;
      // There {n}? means perhaps, and {n,m}+ once or more.
      if (peek() == '+' || (peek() == '?' && comma == inside.npos))
        refuse(std::string("\"}") + peek() + "\"");
      if (peek() == '?') copy(1);
    }
    if (peek() == '*' || peek() == '+' || peek() == '?' || (c == '{' && peek() == '{'))
      refuse("a quantifier of a quantifier");
  }

  void bracket(bool ignores_case) {
    copy(1);
    if (peek() == '^') {
      if (ignores_case) refuse("\"[^\" without regard to case");
      copy(1);
    }
    if (peek() == ']') refuse("\"]\" without \\ at the beginning of a class");
    bool after_set = false;  // a hyphen there stands for itself
    while (!done() && peek() != ']') {
      const char c = peek();
      if (c == '[') refuse("\"[\" without \\ inside a class");
      if (sees("&&")) refuse("\"&&\" inside a class");
      if (c == '\\') {
        after_set = escape(true, ignores_case);
      } else if (c == '-' && after_set) {
        out_ += "\\-";
        ++at_;
        after_set = false;
      } else {
        if (ignores_case && static_cast<uint8_t>(c) >= 0x80)
          refuse("a character outside ASCII without regard to case");
        copy(static_cast<size_t>(utf8_step(pattern_.substr(at_)).bytes));
        after_set = false;
      }
    }
    if (done()) refuse("a class without end");
    copy(1);
  }

  // True for a set of characters, false for one character.
  bool escape(bool in_class, bool ignores_case) {
    const char c = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    if (c == 's' || c == 'd' || c == 'w' || c == 'S' || c == 'D' || c == 'W' || c == 'p' ||
        c == 'P') {
      if (ignores_case) refuse(std::string("\"\\") + c + "\" without regard to case");
      set_escape(c, in_class);
      return true;
    }
    if (c == 'n' || c == 'r' || c == 't' || c == 'f' || c == 'a' || c == 'e') {
      copy(2);
    } else if (c == 'v') {  // there the vertical tab alone
      out_ += "\\x0b";
      at_ += 2;
    } else if (c == 'x' || c == 'u') {
      code_escape(c, ignores_case);
    } else if (static_cast<uint8_t>(c) < 0x80 && std::ispunct(c)) {
      copy(2);
    } else {
      refuse("\"" + std::string(pattern_.substr(at_, 2)) + "\"");
    }
    return false;
  }

  // \s \d \w \p{L} \p{^L} and their opposites.
  void set_escape(char c, bool in_class) {
    bool is_negative = c == 'S' || c == 'D' || c == 'W' || c == 'P';
    std::string text;
    const size_t begin = at_;
    at_ += 2;
    if (c == 'p' || c == 'P') {
      const size_t end = pattern_.find('}', at_);
      if (!take("{") || end == pattern_.npos) at_ = begin, refuse("\"\\p\" without {}");
      if (take("^")) is_negative = !is_negative;
      const std::string name(pattern_.substr(at_, end - at_));
      const auto set = category_set(name);
      at_ = begin;
      if (!set) refuse("\"\\p{" + name + "}\" (only general categories are known)");
      at_ = end + 1;
      text = category_text(name, *set, is_negative && in_class);
    } else {
      const CodeSet& set = c == 's' || c == 'S'   ? space_set()
                           : c == 'd' || c == 'D' ? digit_set()
                                                  : word_set(in_class);
      text = ranges_text(is_negative && in_class ? complement(set) : set);
    }
    out_ += in_class ? text : (is_negative ? "[^" : "[") + text + "]";
  }

  // \xHH, \x{H...}, \uHHHH
  void code_escape(char c, bool ignores_case) {
    const size_t begin = at_;
    at_ += 2;
    const bool braces = c == 'x' && take("{");
    const size_t n_digits = braces ? 8 : c == 'x' ? 2 : 4;
    uint32_t code = 0;
    size_t n = 0;
    for (; n < n_digits && std::isxdigit(static_cast<uint8_t>(peek())); ++n, ++at_)
      code = code << 4 |
             static_cast<uint32_t>(is_digit(peek()) ? peek() - '0' : (peek() | 0x20) - 'a' + 10);
    const bool complete = braces ? n > 0 && take("}") : n == n_digits;
    const bool is_code = code < kCodePoints && (code < 0xD800 || code > 0xDFFF);
    // \xHH is a byte there.
    if (!complete || !is_code || ignores_case || (c == 'x' && !braces && code > 0x7F)) {
      at_ = begin;
      refuse("\"" + std::string(pattern_.substr(at_, 4)) + "\"");
    }
    out_ += "\\x{" + (std::ostringstream() << std::hex << code).str() + "}";
  }

  std::string_view pattern_;
  const std::string& where_;
  size_t at_ = 0;
  int depth_ = 0;
  std::string out_;
};

}  // namespace

std::string to_pcre2(std::string_view pattern, const std::string& where) {
  return Translation(pattern, where).run();
}

}  // namespace xlstm::data
