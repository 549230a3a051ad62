// A curve in the report: SVG stretched to the width of the page, with its labels as HTML beside it,
// so that they are as large on a telephone as on a desk. Colours are classes of the page's style.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace xlstm::train {

struct ReportCurve {
  std::string label;
  int colour = 1;                                 // class s1 or s2
  std::vector<std::pair<double, double>> points;  // (step, value); not finite: left out
  bool dots = false;                              // mark every point, where there are few
};

// Of many points, the mean of each of `buckets` stretches of steps is drawn, over a band from the
// least to the largest value there. So a chart has a size that does not grow with the run.
std::string report_chart(const std::string& title, const std::vector<ReportCurve>& curves,
                         bool from_zero, int buckets = 400);

// 0.00123, 12.3, 45.6k, 7.8M: four characters or so.
std::string short_number(double value);

}  // namespace xlstm::train
