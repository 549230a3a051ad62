// The progress display: one self-updating line on a terminal, plain lines elsewhere.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "tools/train/clock.h"

namespace xlstm::train {

struct Progress {
  int64_t epoch = 0;
  int64_t step = 0;         // optimizer steps done
  int64_t total_steps = 0;  // of the whole run; 0 if unknown
  double steps_per_second = 0;
  double tokens_per_second = 0;
  double loss = 0;
  double lr = 0;
  double seconds_left = -1;  // < 0 if unknown
};

class ProgressDisplay {
 public:
  // On a terminal the line is redrawn at most five times a second; elsewhere a line is printed when
  // `plain_interval_seconds` have passed since the last.
  ProgressDisplay(std::ostream& out, bool is_terminal, const Clock& clock, bool enabled = true,
                  double plain_interval_seconds = 10);
  void update(const Progress& progress);
  // Prints a line that stays, above the display.
  void print(const std::string& line);
  // Shows the last state for good.
  void finish();

 private:
  void draw(const Progress& progress);
  std::ostream& out_;
  bool is_terminal_, enabled_;
  const Clock& clock_;
  double plain_interval_, last_draw_ = -1e300;
  std::string shown_;
  Progress latest_;
  bool pending_ = false;
};

// "00:03:07", "2d 04:00:00"; "--:--" if negative.
std::string format_duration(double seconds);
// 950 -> "950", 12345 -> "12.3k", 4.2e6 -> "4.20M".
std::string format_count(double value);
// The text of one progress line, without colours: "Epoch 0:  42%|####      | 120/285 [...]".
std::string format_progress(const Progress& progress, bool with_bar);

}  // namespace xlstm::train
