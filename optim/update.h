// One update in the order that keeps bad numbers out: norm, finite check, clipping, optimizer.
#pragma once

#include <cstdint>
#include <optional>

#include "optim/optimizer.h"
#include "optim/step_guard.h"

namespace xlstm::optim {

struct UpdateConfig {
  double max_norm = 1;        // of the averaged gradient; 0: no limit
  double max_value = 0;       // of each element of the averaged gradient; 0: no limit
  int64_t n_accumulated = 1;  // batches whose gradients were added up; they are averaged
  // The norm of that sum, where other ranks hold parts of it (DataParallel::total); none: computed.
  std::optional<double> norm_of_sum = std::nullopt;
  void validate() const;  // ConfigError; only one of the two limits can be set
};

struct UpdateResult {
  bool updated = false;      // false: skipped by the guard, everything is as before
  double gradient_norm = 0;  // of the averaged gradient, before clipping
  double grad_scale = 0;     // what the gradients were multiplied by
};

// Reads the gradients of the optimizer's parameters (the sum over n_accumulated batches) and
// updates them with learning rate lr, or skips. `loss` is the step's loss, for the finite check.
// Gradients are not cleared. NonFiniteError comes from the guard.
UpdateResult update(Optimizer& optimizer, StepGuard& guard, double loss, double lr,
                    const UpdateConfig& config = {});

}  // namespace xlstm::optim
