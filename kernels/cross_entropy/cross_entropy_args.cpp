#include <cmath>

#include "kernels/cross_entropy/cross_entropy.h"

namespace {

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
  return a.logits_stride_row < 0 ? XLSTM_BAD_STRIDE : XLSTM_OK;
}

}  // namespace

xlstm_status xlstm_cross_entropy_fwd_check(const xlstm_cross_entropy_fwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status common = check_common(*a);
  if (common != XLSTM_OK) return common;
  return a->loss == nullptr || a->n_targets == nullptr ? XLSTM_NULL_POINTER : XLSTM_OK;
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
  return a->rows > 1 && a->dlogits_stride_row < a->n_vocab ? XLSTM_BAD_STRIDE : XLSTM_OK;
}
