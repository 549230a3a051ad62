#include "optim/spike_detector.h"

#include <algorithm>
#include <cmath>

namespace xlstm::optim {

double SpikeDetector::add(double value) {
  if (!std::isfinite(value)) return 0;
  double z = 0;
  if (n_ >= kWindow) {
    double mean = 0, square = 0;
    for (const double x : window_) mean += x / kWindow;
    for (const double x : window_) square += (x - mean) * (x - mean) / kWindow;
    // Values that do not vary have no spikes of the size of their rounding.
    const double deviation = std::max(std::sqrt(square), 1e-6 * std::abs(mean));
    if (deviation > 0) z = (value - mean) / deviation;
    if (is_spike(z)) value = mean + threshold_ * deviation;
  }
  window_[static_cast<size_t>(n_++ % kWindow)] = value;
  return z;
}

}  // namespace xlstm::optim
