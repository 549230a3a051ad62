#include "tools/bench/report.h"

#include <cstdio>
#include <map>

namespace xlstm::bench {
namespace {

template <class... Values>
std::string formatted(const char* pattern, Values... values) {
  char buffer[512];
  std::snprintf(buffer, sizeof buffer, pattern, values...);
  return buffer;
}

std::string percent(double part, double whole) {
  return part > 0 && whole > 0 ? formatted("%.0f %%", 100 * part / whole) : "";
}

std::string rate(double per_second, const char* pattern, double unit) {
  return per_second > 0 ? formatted(pattern, per_second / unit) : "";
}

std::string tokens_per_second(const Row& row) {
  return row.tokens > 0 && row.ms.median > 0 ? formatted("%.0f", row.tokens / row.ms.median * 1e3)
                                             : "";
}

std::string megabytes(const Row& row) {
  return row.peak_bytes > 0 ? formatted("%.1f", row.peak_bytes / 1e6) : "";
}

}  // namespace

std::string heading() {
  return formatted("%-18s %-40s %-8s %-8s %-18s %10s %15s %9s %6s %9s %6s %8s %9s\n", "op",
                   "sample", "pass", "dtype", "variant", "ms", "low..high", "GB/s", "copy",
                   "GFLOP/s", "matmul", "peak MB", "tok/s");
}

std::string line_of(const Row& row, const Ceilings& ceilings) {
  std::string line = formatted("%-18s %-40s %-8s %-8s %-18s", row.op.c_str(), row.sample.c_str(),
                               row.pass.c_str(), row.dtype.c_str(), row.variant.c_str());
  if (!row.failure.empty()) return line + " FAILED: " + row.failure + "\n";
  const std::string range = formatted("%.4g..%.4g", row.ms.low, row.ms.high);
  return line +
         formatted(" %10.4f %15s %9s %6s %9s %6s %8s %9s\n", row.ms.median, range.c_str(),
                   rate(row.bytes_per_second(), "%.1f", 1e9).c_str(),
                   percent(row.bytes_per_second(), ceilings.copy_bytes_per_second).c_str(),
                   rate(row.flops_per_second(), "%.1f", 1e9).c_str(),
                   percent(row.flops_per_second(), ceilings.product_flops_per_second).c_str(),
                   megabytes(row).c_str(), tokens_per_second(row).c_str());
}

std::string markdown(const Report& report) {
  std::string text =
      formatted("%s. Measured ceilings: copy %.1f GB/s, matrix product %.2f TFLOP/s.\n\n",
                report.machine.c_str(), report.ceilings.copy_bytes_per_second / 1e9,
                report.ceilings.product_flops_per_second / 1e12);
  text +=
      "| op | sample | pass | dtype | variant | ms | 20 % .. 80 % | GB/s | of copy | TFLOP/s | of "
      "product | peak MB | tok/s | verified |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const Row& row : report.rows) {
    text += "| `" + row.op + "` | " + row.sample + " | " + row.pass + " | " + row.dtype + " | " +
            row.variant + " | ";
    if (!row.failure.empty()) {
      text += "failed | | | | | | | | " + row.failure + " |\n";
      continue;
    }
    text += formatted("%.4g | %.4g .. %.4g | ", row.ms.median, row.ms.low, row.ms.high) +
            rate(row.bytes_per_second(), "%.1f", 1e9) + " | " +
            percent(row.bytes_per_second(), report.ceilings.copy_bytes_per_second) + " | " +
            rate(row.flops_per_second(), "%.3g", 1e12) + " | " +
            percent(row.flops_per_second(), report.ceilings.product_flops_per_second) + " | " +
            megabytes(row) + " | " + tokens_per_second(row) + " | " +
            (row.verified.empty() ? "no" : row.verified) + " |\n";
  }
  return text;
}

Comparison compare(const Report& report, const Report& base) {
  std::map<std::string, const Row*> before;
  for (const Row& row : base.rows)
    if (row.failure.empty()) before[row.key()] = &row;
  Comparison out;
  for (const Row& row : report.rows) {
    const auto found = before.find(row.key());
    if (found == before.end() || !row.failure.empty()) continue;
    const Spread &now = row.ms, &then = found->second->ms;
    const double ratio = then.median > 0 ? now.median / then.median : 1;
    const bool slower = now.low > then.high && ratio > 1.02;
    const bool faster = now.high < then.low && ratio < 0.98;
    ++out.n_compared;
    out.n_slower += slower ? 1 : 0;
    out.text += formatted("%-70s %10.4f ms, base %10.4f ms, ratio %.3f%s\n", row.key().c_str(),
                          now.median, then.median, ratio,
                          slower   ? "  SLOWER"
                          : faster ? "  faster"
                                   : "");
  }
  return out;
}

}  // namespace xlstm::bench
