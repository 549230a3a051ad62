#include "kernels/common/alignment.h"
#include "kernels/common/sizes.h"
#include "kernels/common/weight_dtype.h"
#include "kernels/slstm/slstm_decode.h"

namespace {

using namespace xlstm::kernels;

bool lacks_parameters(const xlstm_slstm_decode_args& a) {
  for (const void* W : a.W)
    if (W == nullptr) return true;
  return a.R == nullptr || (a.KS > 0 && a.conv_weight == nullptr);
}

xlstm_status check_convolution(const xlstm_slstm_decode_args& a) {
  if (a.KS == 0) return XLSTM_OK;
  if (misaligned(a.dtype, {a.conv_init, a.conv_final}) ||
      misaligned(a.weight_dtype, {a.conv_weight, a.conv_bias}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

}  // namespace

xlstm_status xlstm_slstm_decode_check(const xlstm_slstm_decode_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (!weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (bad_sizes({a->H, a->D, a->D}) || bad_sizes({a->B, a->H, a->D}) ||
      bad_sizes({a->B, a->H, a->D, a->KS}))
    return XLSTM_BAD_SIZE;
  if (!(a->forward_clip >= 0)) return XLSTM_BAD_VALUE;
  if (a->H * a->D > 0 && lacks_parameters(*a)) return XLSTM_NULL_POINTER;
  if (a->B * a->H * a->D > 0 && (a->x == nullptr || a->h == nullptr)) return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->x, a->h}) ||
      misaligned(a->weight_dtype, {a->W[0], a->W[1], a->W[2], a->W[3], a->R, a->bias}) ||
      misaligned(wide_dtype(a->dtype), {a->h_init, a->c_init, a->n_init, a->m_init, a->h_final,
                                        a->c_final, a->n_final, a->m_final}))
    return XLSTM_MISALIGNED;
  return check_convolution(*a);
}
