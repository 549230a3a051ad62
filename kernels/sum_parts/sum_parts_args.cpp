#include "kernels/common/alignment.h"
#include "kernels/common/sizes.h"
#include "kernels/sum_parts/sum_parts.h"

using namespace xlstm::kernels;

xlstm_status xlstm_sum_parts_check(const xlstm_sum_parts_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (a->n_parts < 1 || bad_sizes({a->n_parts, a->n})) return XLSTM_BAD_SIZE;
  if (a->n > 0 && (a->parts == nullptr || a->sum == nullptr)) return XLSTM_NULL_POINTER;
  if ((a->squares == nullptr) != (a->arrived == nullptr)) return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->parts, a->sum}) || misaligned(a->squares) || misaligned(a->arrived))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
