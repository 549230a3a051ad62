#include "kernels/common/alignment.h"
#include "kernels/linear/linear.h"

namespace {

using xlstm::kernels::misaligned;

bool is_type_beside(xlstm_dtype dtype, xlstm_dtype activations) {
  return dtype == activations || dtype == XLSTM_F32;
}

xlstm_status check_part(const xlstm_linear_part& p, const xlstm_linear_few_args& a) {
  int64_t elements = 0;
  if (p.N < 0 || __builtin_mul_overflow(p.N, a.K, &elements)) return XLSTM_BAD_SIZE;
  if (!is_type_beside(p.y_dtype, a.dtype) ||
      (p.bias != nullptr && !is_type_beside(p.bias_dtype, a.dtype)))
    return XLSTM_BAD_DTYPE;
  if (p.N == 0) return XLSTM_OK;
  if (p.y == nullptr || (a.K > 0 && p.weight == nullptr)) return XLSTM_NULL_POINTER;
  if (p.weight_stride_row < 0 || p.y_stride_row < 0) return XLSTM_BAD_STRIDE;
  if (misaligned(a.dtype, {p.weight}) || misaligned(p.bias_dtype, {p.bias}) ||
      misaligned(p.y_dtype, {p.y}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

}  // namespace

xlstm_status xlstm_linear_few_check(const xlstm_linear_few_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (a->M < 1 || a->M > XLSTM_LINEAR_FEW_ROWS || a->K < 0 || a->n_parts < 0 ||
      a->n_parts > XLSTM_LINEAR_FEW_PARTS)
    return XLSTM_BAD_SIZE;
  if (a->dtype != XLSTM_BF16 && a->dtype != XLSTM_F16) return XLSTM_BAD_DTYPE;
  if (a->x == nullptr && a->K > 0) return XLSTM_NULL_POINTER;
  if (a->x_stride_row < 0) return XLSTM_BAD_STRIDE;
  if (misaligned(a->dtype, {a->x})) return XLSTM_MISALIGNED;
  for (int32_t p = 0; p < a->n_parts; ++p)
    if (const xlstm_status status = check_part(a->parts[p], *a); status != XLSTM_OK) return status;
  return XLSTM_OK;
}
