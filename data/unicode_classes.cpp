#include "data/unicode_classes.h"

#include <algorithm>

#include "data/unicode_tables.h"

namespace xlstm::data {
namespace {

constexpr std::string_view kCategoryNames =
    "CnCcCfCoCsLlLmLoLtLuMcMeMnNdNlNoPcPdPePfPiPoPsScSkSmSoZlZpZs";
// The property White_Space, which `unicodedata` does not carry.
constexpr CodeRange kWhiteSpace[] = {
    {0x9, 0xD},       {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
// The circled letters: symbols that have the property Alphabetic.
constexpr CodeRange kAlphabeticSymbols[] = {
    {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
constexpr CodeRange kSurrogates = {0xD800, 0xDFFF};

template <class Ranges>
bool holds(const Ranges& ranges, uint32_t code) {
  return std::any_of(std::begin(ranges), std::end(ranges), [code](const CodeRange& range) {
    return code >= range.first && code <= range.last;
  });
}

void add(CodeSet& set, uint32_t first, uint32_t last) {
  if (!set.empty() && set.back().last + 1 == first) {
    set.back().last = last;
  } else {
    set.push_back({first, last});
  }
}

template <class Wanted>
CodeSet set_of(const Wanted& wanted) {
  CodeSet set;
  for (uint32_t code = 0; code < kCodePoints; ++code)
    if (!holds(std::initializer_list<CodeRange>{kSurrogates}, code) && wanted(code))
      add(set, code, code);
  return set;
}

// From the runs, without looking at each code point.
template <class Wanted>
CodeSet set_of_categories(const Wanted& wanted) {
  CodeSet set;
  for (size_t i = 0; i < kCategoryRunsSize; ++i) {
    const auto category = static_cast<Category>(kCategoryRuns[i].value);
    const uint32_t end = i + 1 < kCategoryRunsSize ? kCategoryRuns[i + 1].first : kCodePoints;
    if (category != Category::Cs && wanted(category)) add(set, kCategoryRuns[i].first, end - 1);
  }
  return set;
}

char group_of(Category category) {
  return kCategoryNames[2 * static_cast<size_t>(category)];
}

bool is_word(uint32_t code) {
  const Category category = category_of(code);
  return group_of(category) == 'L' || group_of(category) == 'M' || category == Category::Nd ||
         category == Category::Nl || category == Category::Pc || holds(kAlphabeticSymbols, code);
}

std::vector<CodeClass> make_classes() {
  std::vector<CodeClass> classes(kCodePoints, CodeClass::other);
  const auto fill = [&classes](const auto& ranges, CodeClass value) {
    for (const CodeRange& range : ranges)
      std::fill(classes.begin() + range.first, classes.begin() + range.last + 1, value);
  };
  fill(*category_set("L"), CodeClass::letter);
  fill(*category_set("N"), CodeClass::number);
  fill(kWhiteSpace, CodeClass::space);
  return classes;
}

}  // namespace

const CodeClass* code_classes() {
  static const std::vector<CodeClass> classes = make_classes();
  return classes.data();
}

Category category_of(uint32_t code) {
  const CodeRun* next =
      std::upper_bound(kCategoryRuns, kCategoryRuns + kCategoryRunsSize, code,
                       [](uint32_t value, const CodeRun& run) { return value < run.first; });
  return static_cast<Category>((next - 1)->value);
}

std::optional<CodeSet> category_set(std::string_view name) {
  if (name.size() != 1 && name.size() != 2) return std::nullopt;
  bool known = false;
  CodeSet set = set_of_categories([&](Category category) {
    const bool wanted =
        kCategoryNames.substr(2 * static_cast<size_t>(category), 2).starts_with(name);
    known = known || wanted;
    return wanted;
  });
  if (!known) return std::nullopt;
  return set;
}

const CodeSet& space_set() {
  static const CodeSet set(std::begin(kWhiteSpace), std::end(kWhiteSpace));
  return set;
}

const CodeSet& digit_set() {
  static const CodeSet set = *category_set("Nd");
  return set;
}

const CodeSet& word_set(bool is_in_class) {
  static const CodeSet words = set_of(is_word);
  static const CodeSet words_and_numbers = set_of([](uint32_t code) {
    return is_word(code) || (code < 0x100 && category_of(code) == Category::No);
  });
  return is_in_class ? words : words_and_numbers;
}

CodeSet complement(const CodeSet& set) {
  CodeSet out;
  uint32_t next = 0;
  const auto add_gap = [&out](uint32_t first, uint32_t end) {
    if (first < std::min(end, kSurrogates.first))
      out.push_back({first, std::min(end, kSurrogates.first) - 1});
    first = std::max(first, kSurrogates.last + 1);
    if (first < end) out.push_back({first, end - 1});
  };
  for (const CodeRange& range : set) {
    add_gap(next, range.first);
    next = range.last + 1;
  }
  add_gap(next, kCodePoints);
  return out;
}

CodeSet without(const CodeSet& set, const CodeSet& removed) {
  CodeSet out;
  for (const CodeRange& kept : complement(removed))
    for (const CodeRange& range : set) {
      const uint32_t first = std::max(kept.first, range.first);
      const uint32_t last = std::min(kept.last, range.last);
      if (first <= last) out.push_back({first, last});
    }
  return out;
}

bool is_word_for_added_token(uint32_t code) {
  return is_word(code) || code == 0x200C || code == 0x200D;
}

bool is_numeric(uint32_t code) {
  constexpr CodeRange kNewInUnicode17[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};
  return code_classes()[code] == CodeClass::number || holds(kNewInUnicode17, code);
}

}  // namespace xlstm::data
