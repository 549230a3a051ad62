#include "optim/schedule.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace xlstm::optim {
namespace {

double decayed(const ScheduleConfig& c, double x) {
  switch (c.decay) {
    case Decay::constant:
      return c.lr;
    case Decay::linear:
      return c.lr + x * (c.min_lr - c.lr);
    case Decay::cosine:
      return c.min_lr + 0.5 * (c.lr - c.min_lr) * (1 + std::cos(std::numbers::pi * x));
    case Decay::exponential:
      return c.lr * std::pow(c.min_lr / c.lr, x);
  }
  return c.lr;
}

}  // namespace

Decay parse_decay(const std::string& name) {
  if (name == "constant") return Decay::constant;
  if (name == "linear") return Decay::linear;
  if (name == "cosine") return Decay::cosine;
  if (name == "exponential") return Decay::exponential;
  throw_error<ConfigError>("schedule: unknown decay, got \"", name,
                           "\", expected constant, linear, cosine or exponential");
}

void ScheduleConfig::validate() const {
  require<ConfigError>(std::isfinite(lr) && lr >= 0,
                       "schedule: lr must be finite and not negative, got ", lr);
  require<ConfigError>(min_lr >= 0 && min_lr <= lr, "schedule: min_lr must be in [0, lr], got ",
                       min_lr, " with lr ", lr);
  require<ConfigError>(warmup_steps >= 0 && cooldown_steps >= 0 && total_steps >= 0,
                       "schedule: steps must not be negative, got warm-up ", warmup_steps,
                       ", cool-down ", cooldown_steps, ", total ", total_steps);
  const bool needs_end = decay != Decay::constant || cooldown_steps > 0;
  require<ConfigError>(!needs_end || total_steps > 0,
                       "schedule: total_steps is required for a decay or a cool-down");
  // Subtraction: the sum of two huge numbers of steps could wrap.
  require<ConfigError>(
      !needs_end || (warmup_steps <= total_steps && cooldown_steps <= total_steps - warmup_steps),
      "schedule: warm-up and cool-down do not fit into the run, got ", warmup_steps, " and ",
      cooldown_steps, ", expected together at most ", total_steps);
  require<ConfigError>(decay != Decay::exponential || min_lr > 0,
                       "schedule: an exponential decay needs min_lr above 0, got ", min_lr);
}

double learning_rate(const ScheduleConfig& c, int64_t step) {
  c.validate();
  require<ConfigError>(step >= 0, "schedule: the step must not be negative, got ", step);
  if (step < c.warmup_steps)
    return c.lr * (static_cast<double>(step) + 1) / static_cast<double>(c.warmup_steps);
  const double end_rate = c.decay == Decay::constant ? c.lr : c.min_lr;
  const int64_t end = c.total_steps - c.cooldown_steps;
  if (c.decay == Decay::constant && c.cooldown_steps == 0) return end_rate;
  if (step < end)
    return decayed(
        c, static_cast<double>(step - c.warmup_steps) / static_cast<double>(end - c.warmup_steps));
  if (c.cooldown_steps == 0) return end_rate;
  if (step >= c.total_steps) return 0;
  return end_rate * static_cast<double>(c.total_steps - step) /
         static_cast<double>(c.cooldown_steps);
}

}  // namespace xlstm::optim
