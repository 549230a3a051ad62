#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/alignment.h"
#include "kernels/common/sizes.h"
#include "kernels/common/weight_dtype.h"

namespace {

using xlstm::kernels::misaligned;

bool bad_sizes(int64_t B, int64_t T, int64_t C, int64_t KS) {
  int64_t inputs = 0;
  return T < 0 || KS < 1 || __builtin_add_overflow(T, KS, &inputs) ||
         xlstm::kernels::bad_sizes({inputs, B, C});
}

bool rows_overlap(int64_t C, int64_t B, int64_t stride_b, int64_t T, int64_t stride_t) {
  const auto length = [](int64_t stride) { return stride < 0 ? -stride : stride; };
  if (B == 0 || T == 0) return false;
  return (B > 1 && length(stride_b) < C) || (T > 1 && length(stride_t) < C);
}

}  // namespace

xlstm_status xlstm_causal_conv1d_fwd_check(const xlstm_causal_conv1d_fwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_sizes(a->B, a->T, a->C, a->KS)) return XLSTM_BAD_SIZE;
  if (!xlstm::kernels::weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (rows_overlap(a->C, a->B, a->y_stride_b, a->T, a->y_stride_t)) return XLSTM_BAD_STRIDE;
  if (a->silu != 0 && a->silu != 1) return XLSTM_BAD_VALUE;
  if (a->C > 0 && a->weight == nullptr) return XLSTM_NULL_POINTER;
  if (a->B * a->T * a->C > 0 && (a->x == nullptr || a->y == nullptr)) return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->x, a->state_init, a->y, a->state_final}) ||
      misaligned(a->weight_dtype, {a->weight, a->bias}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_causal_conv1d_bwd_check(const xlstm_causal_conv1d_bwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_sizes(a->B, a->T, a->C, a->KS)) return XLSTM_BAD_SIZE;
  if (!xlstm::kernels::weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (a->dx != nullptr && rows_overlap(a->C, a->B, a->dx_stride_b, a->T, a->dx_stride_t))
    return XLSTM_BAD_STRIDE;
  if (a->silu != 0 && a->silu != 1) return XLSTM_BAD_VALUE;
  if (a->C > 0 && a->weight == nullptr) return XLSTM_NULL_POINTER;
  if (a->B * a->T * a->C > 0 && a->x == nullptr) return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->x, a->state_init, a->dy, a->dstate_final, a->dx, a->dstate_init}) ||
      misaligned(a->weight_dtype, {a->weight, a->bias, a->dweight, a->dbias}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
