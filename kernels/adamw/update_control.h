// The decision of xlstm_update_control, for both backends. C++17.
#pragma once

#include <cmath>

#include "kernels/adamw/adamw.h"

#ifdef __CUDACC__
#define XLSTM_BOTH __host__ __device__
#else
#define XLSTM_BOTH
#endif

namespace xlstm::kernels {

XLSTM_BOTH inline bool is_finite(double x) {
  return x - x == 0;
}

XLSTM_BOTH inline void decide_update(const xlstm_update_control_args& a) {
  xlstm_update_state& s = *a.state;
  const double n = static_cast<double>(a.n_accumulated), scale = static_cast<double>(s.loss_scale);
  double sum = 0;
  for (int64_t i = 0; i < a.n_sums; ++i) sum += a.sums[i];
  s.gradient_norm = sqrt(sum) / (n * scale);
  s.loss = static_cast<float>(*a.loss / n);
  s.votes = a.votes != nullptr ? *a.votes : 0;
  s.skip = is_finite(s.gradient_norm) && is_finite(static_cast<double>(s.loss)) ? 0 : 1;
  const double limit =
      a.max_norm == 0 || s.gradient_norm <= a.max_norm ? 1.0 : a.max_norm / s.gradient_norm;
  s.grad_scale = static_cast<float>(limit / (n * scale));
  int64_t at = s.step - a.rates->base;
  at = at < 0 ? 0 : at >= XLSTM_UPDATE_RATES ? XLSTM_UPDATE_RATES - 1 : at;
  s.lr = a.rates->rate[at];
  if (s.skip != 0) {
    ++s.n_skipped;
    // An overflow under a scale that can still fall is how the scale is found, no fault of the run.
    if (a.growth_interval == 0 || scale <= a.min_scale || !is_finite(static_cast<double>(s.loss)))
      ++s.n_in_a_row;
    s.n_good = 0;
  } else {
    ++s.step;
    s.n_in_a_row = 0;
    ++s.n_good;
  }
  if (a.growth_interval == 0) return;
  if (s.skip != 0) {
    const double less = scale * a.backoff;
    s.loss_scale = static_cast<float>(less < a.min_scale ? a.min_scale : less);
  } else if (s.n_good >= a.growth_interval) {
    const double more = scale * a.growth;
    s.loss_scale = static_cast<float>(more > a.max_scale ? a.max_scale : more);
    s.n_good = 0;
  }
}

}  // namespace xlstm::kernels
