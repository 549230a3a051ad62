#include <cmath>

#include "kernels/sampling/sampling.h"

xlstm_status xlstm_sampling_check(const xlstm_sampling_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  int64_t elements = 0;
  if (a->rows < 0 || a->n_vocab < 0 || (a->rows > 0 && a->n_vocab == 0) || a->n_valid < 0 ||
      a->n_valid > a->n_vocab || __builtin_mul_overflow(a->rows, a->n_vocab, &elements))
    return XLSTM_BAD_SIZE;
  if (!(a->temperature >= 0) || !std::isfinite(a->temperature) || a->top_k < 0)
    return XLSTM_BAD_VALUE;
  if (a->rows == 0) return XLSTM_OK;
  if (a->logits == nullptr || a->tokens == nullptr) return XLSTM_NULL_POINTER;
  return a->logits_stride_row < 0 ? XLSTM_BAD_STRIDE : XLSTM_OK;
}
