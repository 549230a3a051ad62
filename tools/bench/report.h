// Reports as text: lines for the terminal, a table in Markdown, a comparison, a roofline.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/result.h"

namespace xlstm::bench {

// One line for the terminal.
std::string line_of(const Row& row, const Ceilings& ceilings);
std::string heading();
std::string markdown(const Report& report);

struct Comparison {
  std::string text;  // a line per row that both reports have
  int64_t n_compared = 0, n_slower = 0;
};
// A row is slower if its low time is above the base's high one and its median 2 % above the base's.
Comparison compare(const Report& report, const Report& base);

// Rate against operations per byte, both logarithmic, under the measured ceilings.
std::string roofline_svg(const Report& report);

}  // namespace xlstm::bench
