#include "optim/clip.h"

#include <cmath>

#include "core/ops/adamw.h"

namespace xlstm::optim {

double gradient_norm(const Parameters& parameters) {
  double sum = 0;
  for (const Parameter& parameter : parameters) {
    const Tensor grad = parameter.value.grad();
    if (grad.defined()) sum += ops::sum_of_squares(grad);
  }
  return std::sqrt(sum);
}

double clip_scale(double norm, double max_norm) {
  require<ConfigError>(max_norm >= 0, "clip: the largest norm must not be negative, got ",
                       max_norm);
  return max_norm == 0 || norm <= max_norm ? 1.0 : max_norm / norm;
}

void clip_gradient_values(const Parameters& parameters, double limit) {
  require<ConfigError>(limit > 0, "clip: the limit must be positive, got ", limit);
  for (const Parameter& parameter : parameters) {
    const Tensor grad = parameter.value.grad();
    if (!grad.defined()) continue;
    if (grad.is_contiguous()) {
      ops::clip_by_value(grad, limit);
    } else {
      const Tensor limited = grad.clone();
      ops::clip_by_value(limited, limit);
      Tensor target = grad;
      target.copy_from(limited);
    }
  }
}

}  // namespace xlstm::optim
