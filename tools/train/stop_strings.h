// Ends a text at given strings, wherever the borders of tokens lie.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace xlstm::train {

// Takes a text in pieces and gives it back up to the first stop string, which is left out. The
// first is the one that ends first; of several that end at one place the longest counts. Only the
// text decides, not how it is cut into pieces.
class StopMatcher {
 public:
  // The strings must outlive the matcher; none of them is empty.
  explicit StopMatcher(const std::vector<std::string>& strings) : strings_(&strings) {}

  // What may be shown now. The end of the text is held back as long as it may become a stop string.
  std::string push(std::string_view text);
  // The text ends here: what was held back.
  std::string flush();
  // A stop string has come. Everything after it is dropped.
  bool found() const { return found_; }

 private:
  bool find_end(size_t checked, size_t& begin) const;
  size_t held_length() const;

  const std::vector<std::string>* strings_;
  std::string held_;
  bool found_ = false;
};

}  // namespace xlstm::train
