#include "optim/update.h"

#include "optim/clip.h"

namespace xlstm::optim {

void UpdateConfig::validate() const {
  require<ConfigError>(max_norm >= 0 && max_value >= 0,
                       "update: limits must not be negative, got norm ", max_norm, " and value ",
                       max_value);
  require<ConfigError>(max_norm == 0 || max_value == 0,
                       "update: clip by norm or by value, not both, got norm ", max_norm,
                       " and value ", max_value);
  require<ConfigError>(n_accumulated >= 1, "update: at least one batch is needed, got ",
                       n_accumulated);
}

UpdateResult update(Optimizer& optimizer, StepGuard& guard, double loss, double lr,
                    const UpdateConfig& config) {
  config.validate();
  const double n = static_cast<double>(config.n_accumulated);
  UpdateResult result;
  const double norm =
      config.norm_of_sum ? *config.norm_of_sum : gradient_norm(optimizer.parameters());
  result.gradient_norm = norm / n;
  if (!guard.allows(loss, result.gradient_norm, optimizer.parameters())) return result;
  if (config.max_value > 0) clip_gradient_values(optimizer.parameters(), config.max_value * n);
  result.grad_scale = clip_scale(result.gradient_norm, config.max_norm) / n;
  optimizer.step(lr, result.grad_scale);
  result.updated = true;
  return result;
}

}  // namespace xlstm::optim
