#include "optim/spike_detector.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace xlstm::optim {

double SpikeDetector::add(double value) {
  if (!std::isfinite(value)) return 0;
  double z = 0;
  if (static_cast<int64_t>(recent_.size()) == kWindow) {
    double mean = 0, square = 0;
    for (const double x : recent_) mean += x / kWindow;
    for (const double x : recent_) square += (x - mean) * (x - mean) / kWindow;
    // Values that do not vary have no spikes of the size of their rounding.
    const double deviation = std::max(std::sqrt(square), 1e-6 * std::abs(mean));
    if (deviation > 0) z = (value - mean) / deviation;
    if (is_spike(z)) value = mean + threshold_ * deviation;
    recent_.erase(recent_.begin());
  }
  recent_.push_back(value);
  return z;
}

void SpikeDetector::restore(std::vector<double> recent) {
  recent_ = std::move(recent);
  const int64_t too_many = static_cast<int64_t>(recent_.size()) - kWindow;
  if (too_many > 0) recent_.erase(recent_.begin(), recent_.begin() + too_many);
}

}  // namespace xlstm::optim
