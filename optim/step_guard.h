// NaN and infinity never enter the weights: an update whose loss or gradients are not finite is
// skipped, and a run that does nothing but skip is stopped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "optim/parameter.h"

namespace xlstm::optim {

struct BadGradient {
  std::string name;
  int64_t first_index = 0;  // in row-major order
  double value = 0;         // there
  int64_t count = 0;        // elements that are not finite
};

// The gradients that hold NaN or infinity. Reads everything: for reports, not for every step.
std::vector<BadGradient> find_bad_gradients(const Parameters& parameters);

class StepGuard {
 public:
  // max_in_a_row >= 1 skipped updates in a row end the run; else ConfigError.
  explicit StepGuard(int64_t max_in_a_row = 3);

  // Asked before the update, with the gradients' global norm (finite only if every gradient is).
  // True: go on. False: skip the update; report() tells why. NonFiniteError with the report at the
  // max_in_a_row-th skip in a row.
  bool allows(double loss, double gradient_norm, const Parameters& parameters);

  // The same for an update that a device has decided on alone and told of later: `n_skipped` and
  // `n_in_a_row` are its counters after it. Which gradients were bad is gone by then.
  void learn(bool skipped, double loss, double gradient_norm, int64_t n_skipped,
             int64_t n_in_a_row);

  int64_t n_skipped() const { return n_skipped_; }    // in the whole run
  int64_t n_in_a_row() const { return n_in_a_row_; }  // up to now
  const std::string& report() const { return report_; }
  // The counters of a checkpoint. FormatError for counts that cannot be.
  void restore(int64_t n_skipped, int64_t n_in_a_row);

 private:
  void stop_if_too_many() const;
  int64_t max_in_a_row_;
  int64_t n_skipped_ = 0, n_in_a_row_ = 0;
  std::string report_;
};

}  // namespace xlstm::optim
