#include "tools/train/report_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/train/html.h"

namespace xlstm::train {
namespace {

constexpr double kWidth = 1000, kHeight = 300;  // of the drawing, before it is stretched

struct Range {
  double low = INFINITY, high = -INFINITY;
  void add(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  bool empty() const { return !(low <= high); }
  double share(double v) const { return high > low ? (v - low) / (high - low) : 0.5; }
};

std::string format(const char* pattern, double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, pattern, value);
  return buffer;
}

struct Bucket {
  double x = 0, mean = 0, low = 0, high = 0;
};

// Points in the order of their steps; alike neighbours are put together if there are too many.
std::vector<Bucket> thin_out(const ReportCurve& curve, int buckets) {
  std::vector<std::pair<double, double>> points;
  for (const auto& p : curve.points)
    if (std::isfinite(p.first) && std::isfinite(p.second)) points.push_back(p);
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const size_t n = points.size();
  const size_t most = static_cast<size_t>(buckets), count = std::min(n, most);
  std::vector<Bucket> out;
  for (size_t b = 0; b < count; ++b) {
    const size_t begin = b * n / count, end = (b + 1) * n / count;
    Bucket bucket{0, 0, INFINITY, -INFINITY};
    for (size_t i = begin; i < end; ++i) {
      bucket.x += points[i].first / static_cast<double>(end - begin);
      bucket.mean += points[i].second / static_cast<double>(end - begin);
      bucket.low = std::min(bucket.low, points[i].second);
      bucket.high = std::max(bucket.high, points[i].second);
    }
    out.push_back(bucket);
  }
  return out;
}

// 1, 2 or 5 times a power of ten that gives three to seven ticks.
std::vector<double> ticks(const Range& range) {
  const double span = range.high - range.low;
  if (!(span > 0)) return {range.low};
  const double raw = span / 4, power = std::pow(10, std::floor(std::log10(raw))), m = raw / power;
  const double step = power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
  std::vector<double> out;
  for (double k = std::ceil(range.low / step - 1e-9); k * step <= range.high + 1e-9 * step; ++k)
    out.push_back(k == 0 ? 0 : k * step);
  return out;
}

std::string point(double x, double y) {
  return format("%.1f", x) + " " + format("%.1f", y) + " ";
}

}  // namespace

std::string short_number(double value) {
  const double size = std::abs(value);
  if (!std::isfinite(value)) return "–";
  if (size >= 1e9) return format("%.3g", value / 1e9) + "G";
  if (size >= 1e6) return format("%.3g", value / 1e6) + "M";
  if (size >= 1e4) return format("%.3g", value / 1e3) + "k";
  return format("%.4g", value);
}

std::string report_chart(const std::string& title, const std::vector<ReportCurve>& curves,
                         bool from_zero, int buckets) {
  std::vector<std::vector<Bucket>> drawn;
  Range xs, ys;
  std::string legend, spoken = title;
  bool banded = false;
  for (const ReportCurve& curve : curves) {
    drawn.push_back(thin_out(curve, buckets));
    for (const auto& [x, y] : curve.points)
      if (std::isfinite(x) && std::isfinite(y)) xs.add(x);
    for (const Bucket& b : drawn.back()) {
      banded = banded || b.high > b.low;
      ys.add(b.low);
      ys.add(b.high);
    }
    if (drawn.back().empty()) continue;
    const std::string text = curve.label + ", last " + short_number(drawn.back().back().mean);
    legend += "<span><i class=\"key s" + std::to_string(curve.colour) + "\"></i>" + html(text) +
              "</span>";
    spoken += "; " + text;
  }
  std::string out = "<figure class=\"chart\"><figcaption>" + html(title) + "</figcaption>";
  if (xs.empty()) return out + "<p class=\"none\">No values yet.</p></figure>\n";
  if (banded) legend += "<span>shaded: from the least to the largest</span>";
  if (from_zero) ys.add(0);
  // A run that is there from its first steps begins at 0.
  if (xs.low > 0 && xs.low < 0.1 * xs.high) xs.add(0);
  const double margin = ys.high > ys.low ? 0.04 * (ys.high - ys.low) : std::abs(ys.high) * 0.1 + 1;
  ys.high += margin;
  if (!from_zero || ys.low < 0) ys.low -= margin;
  const auto px = [&](double x) { return kWidth * xs.share(x); };
  const auto py = [&](double y) { return kHeight * (1 - ys.share(y)); };

  out += "<div class=\"legend\">" + legend + "</div><div class=\"frame\"><div class=\"ys\">";
  std::string grid;
  for (const double y : ticks(ys)) {
    out += "<span style=\"bottom:" + format("%.2f", 100 * ys.share(y)) + "%\">" + short_number(y) +
           "</span>";
    grid += "M0 " + format("%.1f", py(y)) + "H" + format("%.0f", kWidth);
  }
  out +=
      "</div><svg viewBox=\"0 0 1000 300\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"" +
      html(spoken) + "\"><path class=\"grid\" d=\"" + grid + "\"/>";
  for (size_t c = 0; c < curves.size(); ++c) {
    const std::vector<Bucket>& points = drawn[c];
    const std::string colour = "s" + std::to_string(curves[c].colour);
    if (std::any_of(points.begin(), points.end(), [](const Bucket& b) { return b.high > b.low; })) {
      std::string band;
      for (const Bucket& b : points) band += point(px(b.x), py(b.high));
      for (size_t i = points.size(); i-- > 0;) band += point(px(points[i].x), py(points[i].low));
      out += "<polygon class=\"band " + colour + "\" points=\"" + band + "\"/>";
    }
    std::string line;
    for (const Bucket& b : points) line += point(px(b.x), py(b.mean));
    out += "<polyline class=\"line " + colour + "\" points=\"" + line + "\"/>";
    // A line of no length with round ends stays a dot however the drawing is stretched.
    if ((curves[c].dots && points.size() <= 40) || points.size() == 1)
      for (const Bucket& b : points)
        out += "<path class=\"dot " + colour + "\" d=\"M" + point(px(b.x), py(b.mean)) +
               "h0\"><title>step " + short_number(b.x) + ": " + format("%.4f", b.mean) +
               "</title></path>";
  }
  out += "</svg><div class=\"xs\">";
  for (const double x : ticks(xs))
    out += "<span style=\"left:" + format("%.2f", 100 * xs.share(x)) + "%\">" + short_number(x) +
           "</span>";
  return out + "</div></div><p class=\"axis\">optimizer step</p></figure>\n";
}

}  // namespace xlstm::train
