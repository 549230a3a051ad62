// The roofline: what a kernel reaches against what its operations per byte allow.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/bench/report.h"

namespace xlstm::bench {
namespace {

constexpr double kWidth = 760, kHeight = 460, kLeft = 70, kRight = 20, kTop = 40, kBottom = 50;

// Powers of ten that hold all values.
struct Decades {
  double low = 1, high = 1;
  bool empty = true;
  void add(double value) {
    if (!(value > 0)) return;
    const double from = std::floor(std::log10(value)), to = std::ceil(std::log10(value) + 1e-9);
    low = empty ? from : std::min(low, from);
    high = empty ? std::max(to, from + 1) : std::max(high, to);
    empty = false;
  }
  double at(double value) const { return (std::log10(value) - low) / (high - low); }
};

std::string number(double value, const char* pattern = "%.1f") {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, pattern, value);
  return buffer;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\">" +
         escaped(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char* colour, double width) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
         "\" y2=\"" + number(y2) + "\" stroke=\"" + colour + "\" stroke-width=\"" + number(width) +
         "\"/>\n";
}

}  // namespace

std::string roofline_svg(const Report& report) {
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(kWidth) +
                    " " + number(kHeight) +
                    "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" +
                    text_at(kWidth / 2, 22, "middle", report.machine);
  const double copy = report.ceilings.copy_bytes_per_second,
               product = report.ceilings.product_flops_per_second;
  Decades xs, ys;
  std::vector<const Row*> rows;
  for (const Row& row : report.rows)
    if (row.failure.empty() && row.flops > 0 && row.bytes > 0 && row.ms.median > 0) {
      rows.push_back(&row);
      xs.add(row.flops / row.bytes);
      ys.add(row.flops_per_second());
    }
  if (rows.empty() || !(copy > 0) || !(product > 0))
    return svg + text_at(kWidth / 2, kHeight / 2, "middle", "no data") + "</svg>\n";
  xs.add(product / copy);
  ys.add(product);
  const auto px = [&](double v) { return kLeft + xs.at(v) * (kWidth - kLeft - kRight); };
  const auto py = [&](double v) {
    return kHeight - kBottom - ys.at(v) * (kHeight - kTop - kBottom);
  };
  for (double e = xs.low; e <= xs.high; ++e)
    svg += line(px(std::pow(10, e)), kTop, px(std::pow(10, e)), kHeight - kBottom, "#eee", 1) +
           text_at(px(std::pow(10, e)), kHeight - kBottom + 16, "middle",
                   number(std::pow(10, e), "%g"));
  for (double e = ys.low; e <= ys.high; ++e)
    svg += line(kLeft, py(std::pow(10, e)), kWidth - kRight, py(std::pow(10, e)), "#eee", 1) +
           text_at(kLeft - 6, py(std::pow(10, e)) + 4, "end", number(std::pow(10, e - 9), "%g"));
  // The slanted ceiling begins where the picture does: at its left edge or at its bottom.
  const double x0 = std::max(std::pow(10, xs.low), std::pow(10, ys.low) / copy);
  svg += line(px(x0), py(x0 * copy), px(product / copy), py(product), "#c33", 2) +
         line(px(product / copy), py(product), kWidth - kRight, py(product), "#c33", 2);
  for (const Row* row : rows) {
    const bool forward = row->pass == "forward";
    svg += "<circle r=\"4\" fill=\"" + std::string(forward ? "#27c" : "#2a6") +
           "\" fill-opacity=\"0.7\" cx=\"" + number(px(row->flops / row->bytes)) + "\" cy=\"" +
           number(py(row->flops_per_second())) + "\"><title>" + escaped(row->key()) + ", " +
           number(row->ms.median, "%.4g") + " ms</title></circle>\n";
  }
  svg += text_at(kWidth / 2, kHeight - 12, "middle", "operations per byte") +
         "<text x=\"16\" y=\"" + number(kHeight / 2) +
         "\" text-anchor=\"middle\" transform=\"rotate(-90 16 " + number(kHeight / 2) +
         ")\">GFLOP/s</text>\n" +
         text_at(kLeft + 10, kTop + 14, "start",
                 "red: measured copy and matrix product; blue: forward; green: backward");
  return svg + "</svg>\n";
}

}  // namespace xlstm::bench
