// Notices values that leap out of the ones before them: a loss or gradient norm that spikes.
#pragma once

#include <cstdint>
#include <vector>

namespace xlstm::optim {

// Tells how many standard deviations a value lies above the mean of the kWindow values before it
// (its z-score). A value that lies more than `threshold` above counts in the window as one that
// lies just there: a spike then hides no later one, and a loss that stays high becomes the usual
// one.
class SpikeDetector {
 public:
  static constexpr int64_t kWindow = 128;
  // threshold: standard deviations, > 0.
  explicit SpikeDetector(double threshold) : threshold_(threshold) {}

  // The z-score of the next value; 0 until the window is full and for values that are not finite,
  // which it leaves out.
  double add(double value);
  bool is_spike(double z) const { return z > threshold_; }
  // The window, oldest first: with it another detector goes on as this one would.
  const std::vector<double>& recent() const { return recent_; }
  void restore(std::vector<double> recent);

 private:
  double threshold_;
  std::vector<double> recent_;
};

}  // namespace xlstm::optim
