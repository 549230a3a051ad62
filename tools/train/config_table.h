// What is known of each configuration key besides its type and its default.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace xlstm::train {

struct KeyRule {
  // "trainer.max_steps"; keys of `model` begin with the architecture: "xlstm.num_blocks".
  std::string_view path;
  std::string_view text;  // one sentence for the documentation
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string_view> choices = {};  // of a string
};

const std::vector<KeyRule>& key_rules();
const KeyRule* find_rule(std::string_view path);  // null if there is none

// The shortest text of a number, whole ones without a point.
std::string number_text(double x);

// Keys that are read and have no effect, or that stand for another key.
struct KeyAlias {
  std::string_view path;
  std::string_view target;  // empty: no effect
  std::string_view why;
};
const std::vector<KeyAlias>& key_aliases();

// Keys of other programs that would change the outcome and are not supported; refused by name.
struct RefusedKey {
  std::string_view path;
  std::string_view why;
};
const std::vector<RefusedKey>& refused_keys();

}  // namespace xlstm::train
