#include <cmath>

#include "kernels/common/alignment.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace {

using xlstm::kernels::misaligned;
using xlstm::kernels::wide_dtype;

template <class Args>
xlstm_status check_common(const Args& a) {
  int64_t elements = 0;
  if (a.rows < 0 || a.n_vocab < 0 || (a.rows > 0 && a.n_vocab == 0) ||
      __builtin_mul_overflow(a.rows, a.n_vocab, &elements))
    return XLSTM_BAD_SIZE;
  if (!(a.soft_cap >= 0) || !std::isfinite(a.soft_cap)) return XLSTM_BAD_VALUE;
  if (a.rows == 0) return XLSTM_OK;
  if (a.logits == nullptr || a.targets == nullptr || a.row_max == nullptr || a.row_sum == nullptr)
    return XLSTM_NULL_POINTER;
  if (a.logits_stride_row < 0) return XLSTM_BAD_STRIDE;
  if (misaligned(a.dtype, {a.logits}) || misaligned(a.targets) ||
      misaligned(wide_dtype(a.dtype), {a.row_max, a.row_sum}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

}  // namespace

xlstm_status xlstm_cross_entropy_fwd_check(const xlstm_cross_entropy_fwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status common = check_common(*a);
  if (common != XLSTM_OK) return common;
  if (a->loss == nullptr || a->n_targets == nullptr) return XLSTM_NULL_POINTER;
  return misaligned(wide_dtype(a->dtype), {a->loss}) || misaligned(a->n_targets) ? XLSTM_MISALIGNED
                                                                                 : XLSTM_OK;
}

xlstm_status xlstm_cross_entropy_bwd_check(const xlstm_cross_entropy_bwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status common = check_common(*a);
  if (common != XLSTM_OK) return common;
  const bool narrower =
      a->dtype == XLSTM_F32 && (a->dlogits_dtype == XLSTM_BF16 || a->dlogits_dtype == XLSTM_F16);
  if (a->dlogits_dtype != a->dtype && !narrower) return XLSTM_BAD_DTYPE;
  if (a->n_targets < 0 || a->n_targets > a->rows) return XLSTM_BAD_SIZE;
  if (a->rows == 0) return XLSTM_OK;
  if (a->dloss == nullptr || a->dlogits == nullptr) return XLSTM_NULL_POINTER;
  if (a->rows > 1 && a->dlogits_stride_row < a->n_vocab) return XLSTM_BAD_STRIDE;
  if (misaligned(wide_dtype(a->dtype), {a->dloss}) || misaligned(a->dlogits_dtype, {a->dlogits}) ||
      misaligned(a->n_targets_device))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
