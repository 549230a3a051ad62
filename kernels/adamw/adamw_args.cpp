#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/common/alignment.h"

namespace {

using xlstm::kernels::misaligned;

bool fraction(double x) {
  return x >= 0 && x < 1;
}

// Values that the device's replace are not looked at.
template <class Args>
bool scalars_ok(const Args& a) {
  return (a.on_device.lr != nullptr || std::isfinite(a.lr)) &&
         (a.on_device.grad_scale != nullptr || std::isfinite(a.grad_scale));
}

// What both updates read and write beside their moments.
template <class Args>
bool update_misaligned(const Args& a) {
  const xlstm_update_scalars& s = a.on_device;
  return misaligned(a.dtype, {a.parameter}) || misaligned(a.grad_dtype, {a.grad}) ||
         misaligned(a.weights_copy_dtype, {a.weights_copy}) || misaligned(s.lr) ||
         misaligned(s.grad_scale) || misaligned(s.step) || misaligned(s.skip);
}

}  // namespace

xlstm_status xlstm_adamw_check(const xlstm_adamw_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (a->n < 0) return XLSTM_BAD_SIZE;
  if (!scalars_ok(*a) || !fraction(a->beta1) || !fraction(a->beta2) || !(a->eps >= 0) ||
      !std::isfinite(a->eps) || !std::isfinite(a->weight_decay) ||
      (a->on_device.step == nullptr && a->step < 1))
    return XLSTM_BAD_VALUE;
  if (a->n > 0 && (a->parameter == nullptr || a->grad == nullptr || a->moment1 == nullptr ||
                   a->moment2 == nullptr))
    return XLSTM_NULL_POINTER;
  if (update_misaligned(*a) || misaligned(a->dtype, {a->moment1, a->moment2}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_sgd_check(const xlstm_sgd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (a->n < 0) return XLSTM_BAD_SIZE;
  if (!scalars_ok(*a) || !fraction(a->momentum) || !std::isfinite(a->weight_decay))
    return XLSTM_BAD_VALUE;
  if (a->n > 0 && (a->parameter == nullptr || a->grad == nullptr ||
                   (a->momentum > 0 && a->velocity == nullptr)))
    return XLSTM_NULL_POINTER;
  if (update_misaligned(*a) || misaligned(a->dtype, {a->velocity})) return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_sum_of_squares_check(const xlstm_sum_of_squares_args* a) {
  if (a == nullptr || a->sum == nullptr) return XLSTM_NULL_POINTER;
  if (a->n < 0) return XLSTM_BAD_SIZE;
  if (a->n > 0 && a->x == nullptr) return XLSTM_NULL_POINTER;
  return misaligned(a->dtype, {a->x}) || misaligned(a->sum) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_clip_check(const xlstm_clip_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (a->n < 0) return XLSTM_BAD_SIZE;
  if (!(a->limit > 0)) return XLSTM_BAD_VALUE;
  if (a->n > 0 && a->x == nullptr) return XLSTM_NULL_POINTER;
  return misaligned(a->dtype, {a->x}) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_update_control_check(const xlstm_update_control_args* a) {
  if (a == nullptr || a->loss == nullptr || a->rates == nullptr || a->state == nullptr)
    return XLSTM_NULL_POINTER;
  if (a->n_sums < 0 || a->n_accumulated < 1 || a->growth_interval < 0) return XLSTM_BAD_SIZE;
  if (a->n_sums > 0 && a->sums == nullptr) return XLSTM_NULL_POINTER;
  if (!(a->max_norm >= 0)) return XLSTM_BAD_VALUE;
  const bool scales_ok = a->growth >= 1 && a->backoff > 0 && a->backoff <= 1 && a->min_scale > 0 &&
                         a->max_scale >= a->min_scale;
  if (a->growth_interval > 0 && !scales_ok) return XLSTM_BAD_VALUE;
  const bool bad_pointer = misaligned(a->sums) || misaligned(a->loss) || misaligned(a->votes) ||
                           misaligned(a->rates) || misaligned(a->state);
  return bad_pointer ? XLSTM_MISALIGNED : XLSTM_OK;
}
