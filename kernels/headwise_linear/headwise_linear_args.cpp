#include "kernels/common/alignment.h"
#include "kernels/common/sizes.h"
#include "kernels/common/weight_dtype.h"
#include "kernels/headwise_linear/headwise_linear.h"

namespace {

using namespace xlstm::kernels;

bool too_short(int64_t N, int64_t stride, int64_t row) {
  return N > 1 && stride < row;
}

}  // namespace

xlstm_status xlstm_headwise_linear_fwd_check(const xlstm_headwise_linear_fwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_sizes({a->N, a->H, a->I}) || bad_sizes({a->N, a->H, a->O}) ||
      bad_sizes({a->H, a->I, a->O}))
    return XLSTM_BAD_SIZE;
  if (!weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (too_short(a->N, a->x_stride_n, a->H * a->I) || too_short(a->N, a->y_stride_n, a->H * a->O))
    return XLSTM_BAD_STRIDE;
  if (a->N * a->H * a->O == 0) return XLSTM_OK;
  if (a->y == nullptr || (a->I > 0 && (a->x == nullptr || a->W == nullptr)))
    return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->x, a->y}) || misaligned(a->weight_dtype, {a->W, a->bias}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_headwise_linear_bwd_check(const xlstm_headwise_linear_bwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_sizes({a->N, a->H, a->I}) || bad_sizes({a->N, a->H, a->O}) ||
      bad_sizes({a->H, a->I, a->O}))
    return XLSTM_BAD_SIZE;
  if (!weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if ((a->dW != nullptr && too_short(a->N, a->x_stride_n, a->H * a->I)) ||
      (a->dx != nullptr && too_short(a->N, a->dx_stride_n, a->H * a->I)) ||
      too_short(a->N, a->dy_stride_n, a->H * a->O))
    return XLSTM_BAD_STRIDE;
  if (a->N * a->H * a->O * a->I == 0) return XLSTM_OK;
  if (a->dy == nullptr || (a->dW != nullptr && a->x == nullptr) ||
      (a->dx != nullptr && a->W == nullptr))
    return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->x, a->dy, a->dx}) ||
      misaligned(a->weight_dtype, {a->W, a->dW, a->dbias}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
