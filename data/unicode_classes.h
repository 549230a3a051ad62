// Sets of code points that patterns and added tokens ask for, those of Unicode 16.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace xlstm::data {

constexpr uint32_t kCodePoints = 0x110000;

// The classes that the built-in patterns tell apart: \p{L}, \p{N}, \s (White_Space), none of them.
enum class CodeClass : uint8_t { other, letter, number, space };

// kCodePoints entries, indexed by code point.
const CodeClass* code_classes();

// In the alphabet's order, as the tables have them.
enum class Category : uint8_t {
  // clang-format off
  Cn, Cc, Cf, Co, Cs, Ll, Lm, Lo, Lt, Lu, Mc, Me, Mn, Nd, Nl, No, Pc, Pd, Pe, Pf, Pi, Po, Ps,
  Sc, Sk, Sm, So, Zl, Zp, Zs
  // clang-format on
};

Category category_of(uint32_t code);

// A set of code points in ascending ranges that do not touch; never a surrogate.
struct CodeRange {
  uint32_t first, last;
  bool operator==(const CodeRange&) const = default;
};
using CodeSet = std::vector<CodeRange>;

// \p{name} for a general category ("Lu") or a group of them ("L"); nothing for other names.
std::optional<CodeSet> category_set(std::string_view name);
// \s, \d and \w as the patterns of tokenizer.json mean them. Outside [...] the last also has the
// numbers of Latin-1, a quirk of Oniguruma.
const CodeSet& space_set();
const CodeSet& digit_set();
const CodeSet& word_set(bool is_in_class);

CodeSet complement(const CodeSet& set);
CodeSet without(const CodeSet& set, const CodeSet& removed);

// \w for the `single_word` of added tokens: it also has the joiners, and no superscripts.
bool is_word_for_added_token(uint32_t code);
// What the pre-tokenizer Digits takes for a digit: \p{N} of Unicode 17.
bool is_numeric(uint32_t code);

}  // namespace xlstm::data
