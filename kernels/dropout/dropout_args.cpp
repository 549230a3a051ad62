#include "kernels/common/alignment.h"
#include "kernels/dropout/dropout.h"

using xlstm::kernels::misaligned;

xlstm_status xlstm_dropout_check(const xlstm_dropout_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (a->n < 0) return XLSTM_BAD_SIZE;
  if (!(a->p >= 0 && a->p < 1)) return XLSTM_BAD_VALUE;
  if (a->n > 0 && (a->x == nullptr || a->y == nullptr)) return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->x, a->y}) || misaligned(a->offset_base)) return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
