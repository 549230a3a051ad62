#include <cmath>

#include "kernels/common/alignment.h"
#include "kernels/sampling/sampling.h"

using xlstm::kernels::misaligned;

namespace {

bool is_share(double x) {
  return x >= 0 && x <= 1;  // false for NaN
}

}  // namespace

xlstm_status xlstm_sampling_check(const xlstm_sampling_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  int64_t elements = 0;
  if (a->rows < 0 || a->n_vocab < 0 || (a->rows > 0 && a->n_vocab == 0) || a->n_valid < 0 ||
      a->n_valid > a->n_vocab || __builtin_mul_overflow(a->rows, a->n_vocab, &elements))
    return XLSTM_BAD_SIZE;
  if (!(a->temperature >= 0) || !std::isfinite(a->temperature) || a->top_k < 0)
    return XLSTM_BAD_VALUE;
  if (!is_share(a->top_p) || !is_share(a->min_p) || !(a->repetition_penalty > 0) ||
      !std::isfinite(a->repetition_penalty))
    return XLSTM_BAD_VALUE;
  if (a->rows == 0) return XLSTM_OK;
  if (a->logits == nullptr || a->tokens == nullptr) return XLSTM_NULL_POINTER;
  if (a->logits_stride_row < 0) return XLSTM_BAD_STRIDE;
  // Rows that are written must not overlap.
  if (a->seen != nullptr && a->rows > 1 && a->seen_stride_row < a->n_vocab) return XLSTM_BAD_STRIDE;
  if (misaligned(a->dtype, {a->logits}) || misaligned(a->streams) || misaligned(a->position_base) ||
      misaligned(a->tokens))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
