// Tokens that are searched in the text as they are written, before it is cut into pretokens.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xlstm::data {

// The flags mean what they mean in a tokenizer.json.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = true;       // control token: only recognised when the caller allows it
  bool normalized = false;   // searched after the others, in the normalized text
  bool single_word = false;  // not next to a letter, digit or other part of a word
  bool lstrip = false;       // takes the white space before it too
  bool rstrip = false;       // and that after it
};

// Searches tokens in a text: the leftmost first, of those the longest, and after a match, taken or
// not, from its end.
class AddedTokenSearch {
 public:
  AddedTokenSearch() = default;
  // The added tokens that `texts[i]`, not empty, stands for; of equal texts the first counts.
  AddedTokenSearch(const std::vector<const AddedToken*>& tokens,
                   const std::vector<std::string>& texts);

  // Calls on_text(piece) and on_token(id) for what stands in the text, in order. Special tokens
  // are passed over as text unless they are allowed.
  template <class OnText, class OnToken>
  void split(std::string_view text, bool allow_special, const OnText& on_text,
             const OnToken& on_token) const {
    size_t done = 0;  // what stands before has been given away
    if (allow_special ? !entries_.empty() : has_plain_) {
      for (size_t at = 0; at < text.size();) {
        const Entry* entry = next(text, at);
        if (entry == nullptr) break;
        size_t begin = at, end = at + entry->text.size();
        at = end;
        if ((entry->special && !allow_special) || !stands_right(*entry, text, begin, end)) continue;
        // White space that a token before has taken is not taken twice. A token that was found in
        // it counts, but not one with lstrip, of which nothing is left: so does Hugging Face's
        // library.
        if (entry->lstrip) begin = std::max(before_space(text, begin), done);
        if (entry->rstrip) end = after_space(text, end);
        if (done < begin) on_text(text.substr(done, begin - done));
        if (begin < end) on_token(entry->id);
        done = end;
      }
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  struct Entry {
    std::string text;
    int32_t id;
    bool special, single_word, lstrip, rstrip;
  };
  // The first match at or after `at`, which moves there; or null.
  const Entry* next(std::string_view text, size_t& at) const;
  static bool stands_right(const Entry& entry, std::string_view text, size_t begin, size_t end);
  static size_t before_space(std::string_view text, size_t at);
  static size_t after_space(std::string_view text, size_t at);

  std::vector<bool> pairs_;                          // by two bytes: some entry may begin with them
  std::vector<Entry> entries_;                       // by first byte, then the longest first
  std::array<std::pair<size_t, size_t>, 256> of_{};  // the entries that begin with a byte
  int only_first_ = -1;                              // the byte that all begin with, if it is one
  bool has_plain_ = false;                           // some are not special
};

}  // namespace xlstm::data
