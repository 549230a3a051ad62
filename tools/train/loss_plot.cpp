#include "tools/train/loss_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace xlstm::train {
namespace {

constexpr double kWidth = 720, kHeight = 400, kLeft = 64, kRight = 20, kTop = 40, kBottom = 52;

std::string number(double value, const char* pattern = "%g") {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, pattern, value);
  return buffer;
}

struct Range {
  double low = INFINITY, high = -INFINITY;
  void add(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  bool empty() const { return !(low <= high); }
  double span() const { return high > low ? high - low : 1; }
};

std::vector<std::pair<double, double>> finite_points(const Curve& curve) {
  std::vector<std::pair<double, double>> out;
  for (const auto& p : curve.points)
    if (std::isfinite(p.first) && std::isfinite(p.second)) out.push_back(p);
  return out;
}

// 1, 2 or 5 times a power of ten, giving about five ticks.
double tick_step(double span) {
  const double raw = span / 5, power = std::pow(10, std::floor(std::log10(raw))), m = raw / power;
  return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& more = "") {
  return "<text x=\"" + number(x, "%.1f") + "\" y=\"" + number(y, "%.1f") + "\" text-anchor=\"" +
         anchor + "\"" + more + ">" + escape(text) + "</text>\n";
}

std::string line_at(double x1, double y1, double x2, double y2, const std::string& colour) {
  return "<line x1=\"" + number(x1, "%.1f") + "\" y1=\"" + number(y1, "%.1f") + "\" x2=\"" +
         number(x2, "%.1f") + "\" y2=\"" + number(y2, "%.1f") + "\" stroke=\"" + colour + "\"/>\n";
}

}  // namespace

std::string plot_svg(const std::string& title, const std::string& x_label,
                     const std::string& y_label, const std::vector<Curve>& curves) {
  Range xs, ys;
  for (const Curve& curve : curves)
    for (const auto& [x, y] : finite_points(curve)) {
      xs.add(x);
      ys.add(y);
    }
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(kWidth) +
                    " " + number(kHeight) +
                    "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
  svg += text_at(kWidth / 2, 24, "middle", title, " font-size=\"16\"");
  if (xs.empty()) return svg + text_at(kWidth / 2, kHeight / 2, "middle", "no data") + "</svg>\n";

  const auto px = [&](double x) {
    return kLeft + (x - xs.low) / xs.span() * (kWidth - kLeft - kRight);
  };
  const auto py = [&](double y) {
    return kHeight - kBottom - (y - ys.low) / ys.span() * (kHeight - kTop - kBottom);
  };
  const double step_x = tick_step(xs.span()), step_y = tick_step(ys.span());
  for (double x = std::ceil(xs.low / step_x) * step_x; x <= xs.high + 1e-9 * step_x; x += step_x)
    svg += line_at(px(x), kTop, px(x), kHeight - kBottom, "#eee") +
           text_at(px(x), kHeight - kBottom + 18, "middle", number(x));
  for (double y = std::ceil(ys.low / step_y) * step_y; y <= ys.high + 1e-9 * step_y; y += step_y)
    svg += line_at(kLeft, py(y), kWidth - kRight, py(y), "#eee") +
           text_at(kLeft - 8, py(y) + 4, "end", number(y));
  svg += line_at(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "#333") +
         line_at(kLeft, kTop, kLeft, kHeight - kBottom, "#333");
  svg += text_at(kWidth / 2, kHeight - 12, "middle", x_label) +
         text_at(16, kHeight / 2, "middle", y_label,
                 " transform=\"rotate(-90 16 " + number(kHeight / 2) + ")\"");
  double legend_y = kTop + 14;
  for (const Curve& curve : curves) {
    const auto points = finite_points(curve);
    if (points.empty()) continue;
    svg += "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"" + curve.colour + "\" points=\"";
    for (const auto& [x, y] : points)
      svg += number(px(x), "%.1f") + "," + number(py(y), "%.1f") + " ";
    svg += "\"/>\n";
    if (points.size() <= 40)
      for (const auto& [x, y] : points)
        svg += "<circle r=\"2.5\" fill=\"" + curve.colour + "\" cx=\"" + number(px(x), "%.1f") +
               "\" cy=\"" + number(py(y), "%.1f") + "\"/>\n";
    svg += text_at(kWidth - kRight - 10, legend_y, "end", curve.label,
                   " style=\"fill:" + curve.colour + "\"");
    legend_y += 18;
  }
  return svg + "</svg>\n";
}

std::string plot_text(const Curve& curve, int width, int height) {
  const auto points = finite_points(curve);
  if (points.empty()) return "(no data)\n";
  Range xs, ys;
  for (const auto& [x, y] : points) {
    xs.add(x);
    ys.add(y);
  }
  // Several points may share a column: their mean is drawn.
  std::vector<double> sums(static_cast<size_t>(width), 0), counts(static_cast<size_t>(width), 0);
  for (const auto& [x, y] : points) {
    const auto column = static_cast<size_t>((x - xs.low) / xs.span() * (width - 1));
    sums[column] += y;
    counts[column] += 1;
  }
  std::vector<std::string> rows(static_cast<size_t>(height),
                                std::string(static_cast<size_t>(width), ' '));
  for (size_t c = 0; c < sums.size(); ++c) {
    if (counts[c] == 0) continue;
    const double part = (sums[c] / counts[c] - ys.low) / ys.span();
    rows[static_cast<size_t>(std::lround((1 - part) * (height - 1)))][c] = '*';
  }
  std::string out;
  for (int r = 0; r < height; ++r) {
    const double y = ys.high - ys.span() * r / std::max(1, height - 1);
    out += number(y, "%7.3f") + " |" + rows[static_cast<size_t>(r)] + "\n";
  }
  out += std::string(8, ' ') + "+" + std::string(static_cast<size_t>(width), '-') + "\n";
  const std::string left = number(xs.low), right = number(xs.high);
  const int gap = std::max(1, width - static_cast<int>(left.size() + right.size()));
  return out + std::string(9, ' ') + left + std::string(static_cast<size_t>(gap), ' ') + right +
         "\n";
}

}  // namespace xlstm::train
