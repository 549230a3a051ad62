#include <cmath>

#include "kernels/common/alignment.h"
#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm_gated.h"

namespace {

using xlstm::kernels::misaligned;
using xlstm::kernels::wide_dtype;

// Everything but pointers and strides.
template <class Args>
xlstm_status check_values(const Args& a) {
  if (a.rows < 0 || a.groups < 0 || a.width < 0) return XLSTM_BAD_SIZE;
  int64_t row_elements = 0, elements = 0;
  if (__builtin_mul_overflow(a.groups, a.width, &row_elements) ||
      __builtin_mul_overflow(row_elements, a.rows, &elements))
    return XLSTM_BAD_SIZE;
  if (!xlstm::kernels::weight_dtype_ok(a.dtype, a.weight_dtype)) return XLSTM_BAD_DTYPE;
  const bool gates = a.activation == XLSTM_SIGMOID || a.activation == XLSTM_SILU;
  if (!gates || !(a.eps >= 0) || !std::isfinite(a.eps)) return XLSTM_BAD_VALUE;
  if (a.bias != nullptr && a.skip_weight != nullptr) return XLSTM_BAD_VALUE;
  return XLSTM_OK;
}

// The inputs of both directions; matrices that are read may repeat one row (stride 0).
template <class Args>
xlstm_status check_inputs(const Args& a) {
  if (a.x == nullptr || a.gate == nullptr || a.weight == nullptr) return XLSTM_NULL_POINTER;
  if ((a.skip == nullptr) != (a.skip_weight == nullptr)) return XLSTM_NULL_POINTER;
  if (a.x_stride_row < 0 || a.gate_stride_row < 0 || (a.skip != nullptr && a.skip_stride_row < 0))
    return XLSTM_BAD_STRIDE;
  if (misaligned(a.dtype, {a.x, a.gate, a.skip}) ||
      misaligned(a.weight_dtype, {a.weight, a.bias, a.skip_weight}) ||
      misaligned(wide_dtype(a.dtype), {a.mean, a.rstd}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

template <class Args>
bool can_write(const Args& a, const void* to, int64_t stride) {
  return to == nullptr || a.rows <= 1 || stride >= a.groups * a.width;
}

}  // namespace

xlstm_status xlstm_norm_gated_fwd_check(const xlstm_norm_gated_fwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const auto& a = *args;
  if (const auto status = check_values(a); status != XLSTM_OK) return status;
  if (a.rows * a.groups * a.width == 0) return XLSTM_OK;
  if (const auto status = check_inputs(a); status != XLSTM_OK) return status;
  if (a.y == nullptr) return XLSTM_NULL_POINTER;
  if (!can_write(a, a.y, a.y_stride_row)) return XLSTM_BAD_STRIDE;
  return misaligned(a.dtype, {a.y}) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_norm_gated_bwd_check(const xlstm_norm_gated_bwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const auto& a = *args;
  if (const auto status = check_values(a); status != XLSTM_OK) return status;
  if ((a.dbias != nullptr && a.skip_weight != nullptr) ||
      ((a.dskip != nullptr || a.dskip_weight != nullptr) && a.skip_weight == nullptr))
    return XLSTM_BAD_VALUE;
  if (a.rows * a.groups * a.width == 0) return XLSTM_OK;
  if (const auto status = check_inputs(a); status != XLSTM_OK) return status;
  if (a.rstd == nullptr || a.dy == nullptr || (a.subtract_mean && a.mean == nullptr))
    return XLSTM_NULL_POINTER;
  if (a.x_dx != nullptr && a.dx == nullptr) return XLSTM_NULL_POINTER;
  if (a.x_dx != nullptr && a.dx == a.x) return XLSTM_BAD_VALUE;
  if (a.dy_stride_row < 0 || !can_write(a, a.dx, a.dx_stride_row) ||
      !can_write(a, a.dgate, a.dgate_stride_row) || !can_write(a, a.dskip, a.dskip_stride_row))
    return XLSTM_BAD_STRIDE;
  const bool aligned = !misaligned(a.dtype, {a.dy, a.dx, a.dgate, a.dskip}) &&
                       !misaligned(a.weight_dtype, {a.dweight, a.dbias, a.dskip_weight}) &&
                       !misaligned(wide_dtype(a.dtype), {a.x_dx});
  return aligned ? XLSTM_OK : XLSTM_MISALIGNED;
}
