#include <initializer_list>

#include "kernels/common/alignment.h"
#include "kernels/common/sizes.h"
#include "kernels/slstm/slstm.h"

namespace {

using namespace xlstm::kernels;

struct Dimension {
  int64_t size, stride;
};

// An output's rows of D elements must not overlap; without elements there are none.
bool rows_overlap(int64_t D, std::initializer_list<Dimension> dimensions) {
  for (const Dimension& a : dimensions)
    if (a.size == 0) return false;
  for (const Dimension& a : dimensions) {
    const int64_t step = a.stride < 0 ? -a.stride : a.stride;
    if (a.size > 1 && step < D) return true;
  }
  return false;
}

bool bad_variant(int32_t variant) {
  return variant < XLSTM_SLSTM_AUTO || variant > XLSTM_SLSTM_CLUSTER;
}

bool bad_clip(double clip) {
  return !(clip >= 0);
}

constexpr uintptr_t kSavedAlignment = 16;

bool bad_weights(xlstm_dtype dtype, xlstm_dtype weight_dtype) {
  const bool is_short = dtype == XLSTM_BF16 || dtype == XLSTM_F16;
  return weight_dtype != dtype && !(is_short && weight_dtype == XLSTM_F32);
}

}  // namespace

xlstm_status xlstm_slstm_fwd_check(const xlstm_slstm_fwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_weights(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (bad_sizes({a->B, a->T, a->H, a->D}) || bad_sizes({a->H, a->D, a->D}) ||
      bad_sizes({a->B, a->H, a->D, a->D}))
    return XLSTM_BAD_SIZE;
  if (rows_overlap(a->D, {{a->B, a->h_stride_b}, {a->T, a->h_stride_t}, {a->H, a->h_stride_h}}))
    return XLSTM_BAD_STRIDE;
  if (bad_clip(a->forward_clip) || bad_variant(a->variant)) return XLSTM_BAD_VALUE;
  const int64_t parameters = a->H * a->D, elements = a->B * a->T * parameters;
  if (parameters > 0 && a->R == nullptr) return XLSTM_NULL_POINTER;
  if (elements > 0 && (a->wx == nullptr || a->h == nullptr)) return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->wx, a->h}) || misaligned(a->weight_dtype, {a->R, a->bias}) ||
      misaligned(kSavedAlignment, {a->saved}) ||
      misaligned(wide_dtype(a->dtype), {a->h_init, a->c_init, a->n_init, a->m_init, a->h_final,
                                        a->c_final, a->n_final, a->m_final}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_slstm_bwd_check(const xlstm_slstm_bwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_weights(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (bad_sizes({a->B, a->T, a->H, a->D}) || bad_sizes({a->H, a->D, a->D}) ||
      bad_sizes({a->B, a->H, a->D, a->D}))
    return XLSTM_BAD_SIZE;
  if (a->dwx != nullptr && rows_overlap(a->D, {{a->B, a->dwx_stride_b},
                                               {a->T, a->dwx_stride_t},
                                               {4, a->dwx_stride_g},
                                               {a->H, a->dwx_stride_h}}))
    return XLSTM_BAD_STRIDE;
  if (bad_clip(a->recurrent_clip) || (a->recurrent_cut != 0 && a->recurrent_cut != 1) ||
      bad_variant(a->variant))
    return XLSTM_BAD_VALUE;
  const int64_t parameters = a->H * a->D, elements = a->B * a->T * parameters;
  if (parameters > 0 && a->R == nullptr) return XLSTM_NULL_POINTER;
  if (elements > 0 && (a->h == nullptr || a->saved == nullptr)) return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->h, a->dh, a->dwx}) ||
      misaligned(a->weight_dtype, {a->R, a->dR, a->dbias}) ||
      misaligned(kSavedAlignment, {a->saved}) ||
      misaligned(wide_dtype(a->dtype),
                 {a->h_init, a->c_init, a->n_init, a->dh_final, a->dc_final, a->dn_final,
                  a->dh_init, a->dc_init, a->dn_init, a->dm_init}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
