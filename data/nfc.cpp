#include "data/nfc.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "data/unicode_classes.h"
#include "data/unicode_tables.h"
#include "data/utf8.h"

namespace xlstm::data {
namespace {

// Hangul syllables are composed by arithmetic (The Unicode Standard, 3.12).
constexpr uint32_t kSyllable = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr uint32_t kLeads = 19, kVowels = 21, kTails = 28, kSyllables = kLeads * kVowels * kTails;

// What the quick check asks of a code point.
struct Traits {
  uint8_t combining_class = 0;
  bool is_doubtful = false;  // not in NFC, or it may compose with what stands before it
};

class Tables {
 public:
  Tables() : traits_(kCodePoints) {
    for (size_t i = 0; i + 1 < kCombiningRunsSize; ++i)
      for (uint32_t code = kCombiningRuns[i].first; code < kCombiningRuns[i + 1].first; ++code)
        traits_[code].combining_class = kCombiningRuns[i].value;
    for (size_t i = 0; i < kDecompositionsSize; ++i) {
      const Decomposition& entry = kDecompositions[i];
      if (!entry.composes) {
        traits_[entry.code].is_doubtful = true;
        continue;
      }
      compositions_.emplace(pair_key(entry.first, entry.second), entry.code);
      traits_[entry.second].is_doubtful = true;
    }
    for (uint32_t i = 0; i < kVowels; ++i) traits_[kVowel + i].is_doubtful = true;
    for (uint32_t i = 1; i < kTails; ++i) traits_[kTail + i].is_doubtful = true;
  }

  const Traits& operator[](uint32_t code) const { return traits_[code]; }

  // The composition of two characters, or 0.
  uint32_t composed(uint32_t first, uint32_t second) const {
    if (first - kLead < kLeads && second - kVowel < kVowels)
      return kSyllable + ((first - kLead) * kVowels + (second - kVowel)) * kTails;
    if (first - kSyllable < kSyllables && (first - kSyllable) % kTails == 0 &&
        second - kTail - 1 < kTails - 1)
      return first + (second - kTail);
    const auto found = compositions_.find(pair_key(first, second));
    return found == compositions_.end() ? 0 : found->second;
  }

  // Appends the full canonical decomposition.
  void decompose(uint32_t code, std::vector<uint32_t>& out) const {
    if (const uint32_t index = code - kSyllable; index < kSyllables) {
      out.push_back(kLead + index / (kVowels * kTails));
      out.push_back(kVowel + index / kTails % kVowels);
      if (index % kTails != 0) out.push_back(kTail + index % kTails);
      return;
    }
    const Decomposition* end = kDecompositions + kDecompositionsSize;
    const Decomposition* found = std::lower_bound(
        kDecompositions, end, code,
        [](const Decomposition& entry, uint32_t value) { return entry.code < value; });
    if (found == end || found->code != code) {
      out.push_back(code);
      return;
    }
    decompose(found->first, out);
    if (found->second != 0) decompose(found->second, out);
  }

 private:
  static uint64_t pair_key(uint32_t first, uint32_t second) {
    return uint64_t{first} << 32 | second;
  }

  std::vector<Traits> traits_;
  std::unordered_map<uint64_t, uint32_t> compositions_;
};

const Tables& tables() {
  static const Tables made;
  return made;
}

// The first byte at or after `at` that is not ASCII, or the end.
size_t skip_ascii(std::string_view text, size_t at) {
  for (uint64_t eight = 0; at + 8 <= text.size(); at += 8) {
    std::memcpy(&eight, text.data() + at, 8);
    if (eight & 0x8080808080808080u) break;
  }
  while (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80) ++at;
  return at;
}

// Sorts the marks after each starter by their class, keeping the order of equals.
void reorder(std::vector<uint32_t>& codes, const Tables& t) {
  const auto is_starter = [&t](uint32_t code) { return t[code].combining_class == 0; };
  for (auto begin = codes.begin(); begin != codes.end();) {
    begin = std::find_if_not(begin, codes.end(), is_starter);
    const auto end = std::find_if(begin, codes.end(), is_starter);
    std::stable_sort(begin, end, [&t](uint32_t a, uint32_t b) {
      return t[a].combining_class < t[b].combining_class;
    });
    begin = end;
  }
}

// Puts each character together with the last starter if nothing between them forbids it.
void compose(std::vector<uint32_t>& codes, const Tables& t) {
  size_t n = 0;
  size_t starter = codes.size();  // none yet
  uint8_t last_class = 0;         // of the character before, if it stayed
  for (const uint32_t code : codes) {
    const uint8_t own_class = t[code].combining_class;
    if (starter < n && (starter + 1 == n || (last_class < own_class && last_class != 0))) {
      if (const uint32_t whole = t.composed(codes[starter], code); whole != 0) {
        codes[starter] = whole;
        continue;
      }
    }
    if (own_class == 0) starter = n;
    last_class = own_class;
    codes[n++] = code;
  }
  codes.resize(n);
}

// Walks through the text in stretches that normalize independently: a stretch begins with a
// character that is in NFC and composes with nothing before it.
class Normalizer {
 public:
  Normalizer(std::string_view text, std::string& storage)
      : text_(text), storage_(storage), tables_(tables()) {}

  std::string_view run() {
    for (size_t at = skip_ascii(text_, 0); at < text_.size();) {
      const Utf8Step step = utf8_step(text_.substr(at));
      const bool is_valid = step.status == Utf8Status::valid;
      const Traits traits = is_valid ? tables_[step.code] : Traits{};
      if (traits.combining_class == 0 && !traits.is_doubtful) {
        at += static_cast<size_t>(step.bytes);
        begin_ = is_valid ? at - static_cast<size_t>(step.bytes) : at;
        class_ = 0;
      } else if (traits.is_doubtful ||
                 (traits.combining_class != 0 && traits.combining_class < class_)) {
        at = normalize_stretch(at);
      } else {
        class_ = traits.combining_class;
        at += static_cast<size_t>(step.bytes);
      }
      const size_t ascii_end = skip_ascii(text_, at);
      if (ascii_end > at) {
        begin_ = ascii_end - 1;
        class_ = 0;
        at = ascii_end;
      }
    }
    if (copied_ == 0 && !changed_) return text_;
    storage_.append(text_.substr(copied_));
    return storage_;
  }

 private:
  // Normalizes the stretch from begin_ on, which reaches beyond `at`; returns its end.
  size_t normalize_stretch(size_t at) {
    codes_.clear();
    size_t end = begin_;
    while (end < text_.size()) {
      const Utf8Step step = utf8_step(text_.substr(end));
      if (step.status != Utf8Status::valid) break;
      const Traits& traits = tables_[step.code];
      if (end > at && traits.combining_class == 0 && !traits.is_doubtful) break;
      tables_.decompose(step.code, codes_);
      end += static_cast<size_t>(step.bytes);
    }
    reorder(codes_, tables_);
    compose(codes_, tables_);
    if (!changed_) storage_.clear();
    changed_ = true;
    storage_.append(text_.substr(copied_, begin_ - copied_));
    for (const uint32_t code : codes_) append_utf8(storage_, code);
    copied_ = begin_ = end;
    class_ = 0;
    return end;
  }

  std::string_view text_;
  std::string& storage_;
  const Tables& tables_;
  std::vector<uint32_t> codes_;
  size_t begin_ = 0;   // of the present stretch
  size_t copied_ = 0;  // what stands before is in storage_
  uint8_t class_ = 0;  // the combining class of the character before
  bool changed_ = false;
};

}  // namespace

std::string_view to_nfc(std::string_view text, std::string& storage) {
  return Normalizer(text, storage).run();
}

}  // namespace xlstm::data
