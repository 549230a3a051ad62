#include <cmath>

#include "kernels/common/alignment.h"
#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm.h"

namespace {

using xlstm::kernels::misaligned;
using xlstm::kernels::wide_dtype;

xlstm_status check_sizes(int64_t rows, int64_t groups, int64_t width) {
  if (rows < 0 || groups < 0 || width < 0) return XLSTM_BAD_SIZE;
  int64_t row_elements = 0, elements = 0;
  if (__builtin_mul_overflow(groups, width, &row_elements) ||
      __builtin_mul_overflow(row_elements, rows, &elements))
    return XLSTM_BAD_SIZE;
  return XLSTM_OK;
}

bool row_stride_ok(int64_t stride, int64_t rows, int64_t row_elements) {
  return rows <= 1 || stride >= row_elements;
}

}  // namespace

xlstm_status xlstm_norm_fwd_check(const xlstm_norm_fwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status sizes = check_sizes(a->rows, a->groups, a->width);
  if (sizes != XLSTM_OK) return sizes;
  if (!xlstm::kernels::weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (!(a->eps >= 0) || !std::isfinite(a->eps)) return XLSTM_BAD_VALUE;
  const int64_t row_elements = a->groups * a->width;
  if (a->rows == 0 || row_elements == 0) return XLSTM_OK;
  if (a->x == nullptr || a->weight == nullptr || a->y == nullptr) return XLSTM_NULL_POINTER;
  // x may repeat one row (stride 0); y may not.
  if (a->x_stride_row < 0 || !row_stride_ok(a->y_stride_row, a->rows, row_elements))
    return XLSTM_BAD_STRIDE;
  if ((a->residual == nullptr) != (a->sum == nullptr)) return XLSTM_NULL_POINTER;
  if (a->residual != nullptr &&
      (a->residual_stride_row < 0 || !row_stride_ok(a->sum_stride_row, a->rows, row_elements)))
    return XLSTM_BAD_STRIDE;
  if (misaligned(a->dtype, {a->x, a->residual, a->sum, a->y}) ||
      misaligned(a->weight_dtype, {a->weight, a->bias}) ||
      misaligned(wide_dtype(a->dtype), {a->mean, a->rstd}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_norm_bwd_check(const xlstm_norm_bwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status sizes = check_sizes(a->rows, a->groups, a->width);
  if (sizes != XLSTM_OK) return sizes;
  if (!xlstm::kernels::weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  const int64_t row_elements = a->groups * a->width;
  if (a->rows == 0 || row_elements == 0) return XLSTM_OK;
  if (a->x == nullptr || a->weight == nullptr || a->rstd == nullptr || a->dy == nullptr ||
      (a->subtract_mean && a->mean == nullptr))
    return XLSTM_NULL_POINTER;
  if (a->x_stride_row < 0 || a->dy_stride_row < 0 ||
      (a->dx != nullptr && !row_stride_ok(a->dx_stride_row, a->rows, row_elements)) ||
      (a->dsum != nullptr && a->dsum_stride_row < 0))
    return XLSTM_BAD_STRIDE;
  if (misaligned(a->dtype, {a->x, a->dy, a->dsum, a->dx}) ||
      misaligned(a->weight_dtype, {a->weight, a->dweight, a->dbias}) ||
      misaligned(wide_dtype(a->dtype), {a->mean, a->rstd}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
