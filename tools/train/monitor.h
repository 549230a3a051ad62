// A value that is watched: which checkpoint is the best, and whether training still gets anywhere.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

namespace xlstm::train {

// What can be watched, as far as it is known at a step.
struct Monitored {
  double train_loss = std::nan("");
  double val_loss = std::nan("");  // of a validation at this very step, else NaN
  double val_perplexity() const { return std::exp(val_loss); }
  // `name` is val_loss, val_perplexity or train_loss.
  double of(const std::string& name) const {
    return name == "train_loss" ? train_loss : name == "val_loss" ? val_loss : val_perplexity();
  }
};

// Whether `value` is better than `best`. What is not finite is never better, and anything finite is
// better than it.
inline bool is_better(double value, double best, const std::string& mode, double min_delta = 0) {
  if (!std::isfinite(value)) return false;
  if (!std::isfinite(best)) return true;
  return mode == "max" ? value > best + min_delta : value < best - min_delta;
}

// Counts validations without improvement.
struct Patience {
  double best = std::nan("");
  int64_t n_waited = 0;

  // Whether the run should end; `patience` 0: never.
  bool exhausted(double value, const std::string& mode, double min_delta, int64_t patience) {
    if (patience == 0) return false;
    if (is_better(value, best, mode, min_delta)) {
      best = value;
      n_waited = 0;
      return false;
    }
    return ++n_waited >= patience;
  }
  bool operator==(const Patience& other) const {
    return n_waited == other.n_waited &&
           (best == other.best || (std::isnan(best) && std::isnan(other.best)));
  }
};

}  // namespace xlstm::train
