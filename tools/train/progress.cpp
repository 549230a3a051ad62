#include "tools/train/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>

namespace xlstm::train {
namespace {

constexpr double kRedrawSeconds = 0.2;
constexpr int kBarWidth = 10;

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, pattern, args...);
  return buffer;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "--:--";
  const long long s = std::llround(seconds);
  const std::string clock = format("%02lld:%02lld:%02lld", s / 3600 % 24, s / 60 % 60, s % 60);
  return s >= 86400 ? format("%lldd ", s / 86400) + clock : clock;
}

std::string format_count(double value) {
  if (!std::isfinite(value)) return "nan";
  if (value >= 1e9) return format("%.2fG", value / 1e9);
  if (value >= 1e6) return format("%.2fM", value / 1e6);
  if (value >= 1e3) return format("%.1fk", value / 1e3);
  return format("%.0f", value);
}

std::string format_progress(const Progress& p, bool with_bar) {
  std::string line = format("Epoch %lld: ", static_cast<long long>(p.epoch));
  if (p.total_steps > 0) {
    const double part =
        std::min(1.0, static_cast<double>(p.step) / static_cast<double>(p.total_steps));
    line += format("%3.0f%%", 100 * part);
    if (with_bar) {
      const int full = static_cast<int>(part * kBarWidth);
      line += "|" + std::string(static_cast<size_t>(full), '#') +
              std::string(static_cast<size_t>(kBarWidth - full), ' ') + "|";
    }
    line +=
        format(" %lld/%lld", static_cast<long long>(p.step), static_cast<long long>(p.total_steps));
  } else {
    line += format("step %lld", static_cast<long long>(p.step));
  }
  line += p.steps_per_second >= 1 || p.steps_per_second <= 0
              ? format(" [%.2f it/s, ", p.steps_per_second)
              : format(" [%.2f s/it, ", 1 / p.steps_per_second);
  line +=
      format_count(p.tokens_per_second) + " tok/s, ETA " + format_duration(p.seconds_left) + "]";
  return line + format(" loss=%.4f lr=%.2e", p.loss, p.lr);
}

ProgressDisplay::ProgressDisplay(std::ostream& out, bool is_terminal, const Clock& clock,
                                 bool enabled, double plain_interval_seconds)
    : out_(out),
      is_terminal_(is_terminal),
      enabled_(enabled),
      clock_(clock),
      plain_interval_(plain_interval_seconds) {}

void ProgressDisplay::update(const Progress& progress) {
  latest_ = progress;
  pending_ = true;
  if (clock_.seconds() - last_draw_ >= (is_terminal_ ? kRedrawSeconds : plain_interval_))
    draw(progress);
}

void ProgressDisplay::draw(const Progress& progress) {
  pending_ = false;
  last_draw_ = clock_.seconds();
  if (!enabled_) return;
  const std::string line = format_progress(progress, is_terminal_);
  if (is_terminal_) {
    // "\033[K" clears what a longer line left behind.
    out_ << '\r' << line << "\033[K" << std::flush;
    shown_ = line;
  } else {
    out_ << line << '\n' << std::flush;
  }
}

void ProgressDisplay::print(const std::string& line) {
  if (is_terminal_ && !shown_.empty()) out_ << "\r\033[K";
  out_ << line << '\n';
  if (is_terminal_ && !shown_.empty()) out_ << shown_;
  out_ << std::flush;
}

void ProgressDisplay::finish() {
  if (pending_) draw(latest_);
  if (is_terminal_ && !shown_.empty()) out_ << '\n' << std::flush;
  shown_.clear();
}

}  // namespace xlstm::train
