#include "tools/train/stop_strings.h"

#include <algorithm>
#include <utility>

namespace xlstm::train {

// Where the first stop string that ends after `checked` bytes begins.
bool StopMatcher::find_end(size_t checked, size_t& begin) const {
  for (size_t end = checked + 1; end <= held_.size(); ++end) {
    const std::string_view text = std::string_view(held_).substr(0, end);
    size_t longest = 0;
    for (const std::string& string : *strings_)
      if (text.ends_with(string)) longest = std::max(longest, string.size());
    if (longest == 0) continue;
    begin = end - longest;
    return true;
  }
  return false;
}

// Bytes at the end that begin a stop string.
size_t StopMatcher::held_length() const {
  const std::string_view text = held_;
  size_t longest = 0;
  for (const std::string& string : *strings_)
    for (size_t n = std::min(string.size() - 1, text.size()); n > longest; --n)
      if (text.ends_with(std::string_view(string).substr(0, n))) longest = n;
  return longest;
}

std::string StopMatcher::push(std::string_view text) {
  if (found_) return {};
  const size_t checked = held_.size();
  held_ += text;
  size_t n_shown = 0;
  if (find_end(checked, n_shown)) {
    found_ = true;
    held_.resize(n_shown);
    return std::exchange(held_, {});
  }
  n_shown = held_.size() - held_length();
  std::string shown = held_.substr(0, n_shown);
  held_.erase(0, n_shown);
  return shown;
}

std::string StopMatcher::flush() {
  return std::exchange(held_, {});
}

}  // namespace xlstm::train
