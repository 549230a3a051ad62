#include "data/added_tokens.h"

#include <algorithm>
#include <unordered_set>

#include "data/unicode_classes.h"
#include "data/utf8.h"

namespace xlstm::data {
namespace {

// The beginning of the character that ends before `at` (> 0); a byte that is no part of one is one.
size_t character_before(std::string_view text, size_t at) {
  for (size_t n = 1; n <= 4 && n <= at; ++n) {
    const Utf8Step step = utf8_step(text.substr(at - n, n));
    if (step.status == Utf8Status::valid && step.bytes == static_cast<int64_t>(n)) return at - n;
  }
  return at - 1;
}

size_t pair_at(std::string_view text, size_t at) {
  return size_t{static_cast<uint8_t>(text[at])} << 8 | static_cast<uint8_t>(text[at + 1]);
}

bool is_word_at(std::string_view text, size_t at) {
  const Utf8Step step = utf8_step(text.substr(at, 4));
  return step.status == Utf8Status::valid && is_word_for_added_token(step.code);
}

bool is_space_at(std::string_view text, size_t at) {
  const Utf8Step step = utf8_step(text.substr(at, 4));
  return step.status == Utf8Status::valid && code_classes()[step.code] == CodeClass::space;
}

}  // namespace

AddedTokenSearch::AddedTokenSearch(const std::vector<const AddedToken*>& tokens,
                                   const std::vector<std::string>& texts) {
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken& token = *tokens[i];
    if (!seen.insert(texts[i]).second) continue;
    entries_.push_back(
        {texts[i], token.id, token.special, token.single_word, token.lstrip, token.rstrip});
    has_plain_ = has_plain_ || !token.special;
  }
  const auto first = [](const Entry& entry) { return static_cast<uint8_t>(entry.text[0]); };
  std::sort(entries_.begin(), entries_.end(), [&first](const Entry& a, const Entry& b) {
    return first(a) != first(b) ? first(a) < first(b) : a.text.size() > b.text.size();
  });
  for (size_t i = 0; i < entries_.size(); ++i) {
    auto& [begin, end] = of_[first(entries_[i])];
    if (end == 0) begin = i;
    end = i + 1;
  }
  pairs_.assign(size_t{1} << 16, false);
  for (const Entry& entry : entries_) {
    const auto any = pairs_.begin() + first(entry) * 256;
    if (entry.text.size() == 1) std::fill(any, any + 256, true);
    if (entry.text.size() > 1) pairs_[pair_at(entry.text, 0)] = true;
  }
  if (!entries_.empty() && first(entries_.front()) == first(entries_.back()))
    only_first_ = first(entries_.front());
}

const AddedTokenSearch::Entry* AddedTokenSearch::next(std::string_view text, size_t& at) const {
  for (; at < text.size(); ++at) {
    if (only_first_ >= 0) at = std::min(text.find(static_cast<char>(only_first_), at), text.size());
    if (at == text.size()) break;
    if (at + 1 < text.size() && !pairs_[pair_at(text, at)]) continue;
    const auto [begin, end] = of_[static_cast<uint8_t>(text[at])];
    for (size_t i = begin; i < end; ++i)
      if (text.substr(at).starts_with(entries_[i].text)) return &entries_[i];
  }
  return nullptr;
}

bool AddedTokenSearch::stands_right(const Entry& entry, std::string_view text, size_t begin,
                                    size_t end) {
  if (!entry.single_word) return true;
  const bool after_word = begin > 0 && is_word_at(text, character_before(text, begin));
  return !after_word && !(end < text.size() && is_word_at(text, end));
}

size_t AddedTokenSearch::before_space(std::string_view text, size_t at) {
  while (at > 0 && is_space_at(text, character_before(text, at))) at = character_before(text, at);
  return at;
}

size_t AddedTokenSearch::after_space(std::string_view text, size_t at) {
  while (at < text.size() && is_space_at(text, at))
    at += static_cast<size_t>(utf8_step(text.substr(at, 4)).bytes);
  return at;
}

}  // namespace xlstm::data
