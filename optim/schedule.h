// Learning rates: a pure function of the number of completed updates, so a resumed run needs to
// store nothing.
#pragma once

#include <cstdint>
#include <string>

namespace xlstm::optim {

enum class Decay { constant, linear, cosine, exponential };

// "constant", "linear", "cosine", "exponential"; else ConfigError.
Decay parse_decay(const std::string& name);

struct ScheduleConfig {
  Decay decay = Decay::cosine;
  double lr = 1e-3;            // the peak
  double min_lr = 0;           // at the end of the decay; exponential needs it above 0
  int64_t warmup_steps = 0;    // W, linear from lr / W to lr
  int64_t total_steps = 0;     // T, all updates of the run; constant without cool-down needs none
  int64_t cooldown_steps = 0;  // C, linear to 0 over the last updates

  void validate() const;  // ConfigError
};

// The rate of update number `step`, counted from 0: `step` updates are complete before it. With
// E = T - C, the end of the decay, and x = (step - W) / (E - W):
//   step < W           lr (step + 1) / W   (the first update is not wasted on a rate of 0)
//   W <= step < E      constant: lr;  linear: lr + x (min_lr - lr);
//                      cosine: min_lr + (lr - min_lr) (1 + cos(pi x)) / 2;
//                      exponential: lr (min_lr / lr)^x
//   E <= step < T      what the decay ends with (min_lr; constant: lr) times (T - step) / C
//   T <= step          min_lr (constant: lr), or 0 after a cool-down
// A skipped update does not advance the schedule: pass the optimizer's step_count().
double learning_rate(const ScheduleConfig& config, int64_t step);

}  // namespace xlstm::optim
