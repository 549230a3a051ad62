// The loss curve as a picture (SVG) and as text for the terminal.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace xlstm::train {

struct Curve {
  std::string label;
  std::string colour;                             // an SVG colour
  std::vector<std::pair<double, double>> points;  // (step, loss), any order of magnitude
};

// A self-contained SVG with axes, ticks and a legend. Non-finite points are left out; with no point
// at all it says so.
std::string plot_svg(const std::string& title, const std::string& x_label,
                     const std::string& y_label, const std::vector<Curve>& curves);

// The first curve as rows of text, `width` by `height` characters plus axes.
std::string plot_text(const Curve& curve, int width = 60, int height = 12);

}  // namespace xlstm::train
