// The argument checks that every backend makes first.
#include <cmath>
#include <initializer_list>
#include <limits>

#include "kernels/common/alignment.h"
#include "kernels/mlstm/mlstm.h"

namespace {

using xlstm::kernels::misaligned;
using xlstm::kernels::wide_dtype;

// Matrix sides and row strides go to a BLAS with 32-bit integers.
constexpr int64_t kMaxSide = std::numeric_limits<int32_t>::max();

bool product_fits(std::initializer_list<int64_t> factors) {
  int64_t product = 8;  // bytes of the widest element
  for (const int64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product)) return false;
  return true;
}

xlstm_status check_config(const xlstm_mlstm_config& c, int64_t T) {
  if (c.B < 0 || T < 0 || c.H < 0 || c.K < 1 || c.V < 1) return XLSTM_BAD_SIZE;
  if (c.K > kMaxSide || c.V > kMaxSide || T > kMaxSide) return XLSTM_BAD_SIZE;
  if (!product_fits({c.B, c.H, c.K, c.V}) || !product_fits({c.B, T, c.H, c.K + c.V}))
    return XLSTM_BAD_SIZE;
  if (c.input_gate != XLSTM_MLSTM_EXPONENTIAL && c.input_gate != XLSTM_MLSTM_SIGMOID)
    return XLSTM_BAD_VALUE;
  if (!c.normalize && c.input_gate != XLSTM_MLSTM_SIGMOID) return XLSTM_BAD_VALUE;
  if (!(c.soft_cap >= 0) || !std::isfinite(c.soft_cap)) return XLSTM_BAD_VALUE;
  if (!(c.eps >= 0) || !std::isfinite(c.eps)) return XLSTM_BAD_VALUE;
  if (!(c.start_m <= 0 && c.start_m >= -1e30)) return XLSTM_BAD_VALUE;
  return XLSTM_OK;
}

xlstm_status check_sequence_config(const xlstm_mlstm_config& c) {
  if (c.chunk_size < 1) return XLSTM_BAD_SIZE;
  if (c.form != XLSTM_MLSTM_CHUNKWISE && c.form != XLSTM_MLSTM_PARALLEL &&
      c.form != XLSTM_MLSTM_RECURRENT)
    return XLSTM_BAD_VALUE;
  return check_config(c, c.T);
}

// Rows of `width` dense elements, one per time step.
bool good_rows(const xlstm_mlstm_stride& s, int64_t T, int64_t width) {
  return T <= 1 || (s.t >= width && s.t <= kMaxSide);
}

bool is_empty(const xlstm_mlstm_config& c) {
  return c.B == 0 || c.H == 0;
}

// Data, gates and states, each a multiple of its own element's size?
xlstm_status check_addresses(const xlstm_mlstm_config& c, std::initializer_list<const void*> data,
                             std::initializer_list<const void*> gates,
                             std::initializer_list<const void*> states) {
  const bool bad = misaligned(c.dtype, data) || misaligned(c.gate_dtype, gates) ||
                   misaligned(wide_dtype(c.dtype), states);
  return bad ? XLSTM_MISALIGNED : XLSTM_OK;
}

bool any_null(std::initializer_list<const void*> pointers) {
  for (const void* p : pointers)
    if (p == nullptr) return true;
  return false;
}

}  // namespace

extern "C" xlstm_status xlstm_mlstm_fwd_check(const xlstm_mlstm_fwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_mlstm_config& c = args->config;
  if (const xlstm_status status = check_sequence_config(c); status != XLSTM_OK) return status;
  if (!good_rows(args->q_stride, c.T, c.K) || !good_rows(args->k_stride, c.T, c.K) ||
      !good_rows(args->v_stride, c.T, c.V) || !good_rows(args->h_stride, c.T, c.V))
    return XLSTM_BAD_STRIDE;
  if (!is_empty(c) && c.T > 0 && any_null({args->q, args->k, args->v, args->i, args->f, args->h}))
    return XLSTM_NULL_POINTER;
  if (misaligned(16, {args->states})) return XLSTM_MISALIGNED;
  return check_addresses(
      c, {args->q, args->k, args->v, args->h}, {args->i, args->f},
      {args->C0, args->n0, args->m0, args->C, args->n, args->m, args->saved_m, args->saved_l});
}

extern "C" xlstm_status xlstm_mlstm_bwd_check(const xlstm_mlstm_bwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_mlstm_config& c = args->config;
  if (const xlstm_status status = check_sequence_config(c); status != XLSTM_OK) return status;
  if (!good_rows(args->q_stride, c.T, c.K) || !good_rows(args->k_stride, c.T, c.K) ||
      !good_rows(args->v_stride, c.T, c.V) ||
      (args->dh != nullptr && !good_rows(args->dh_stride, c.T, c.V)) ||
      !good_rows(args->dq_stride, c.T, c.K) || !good_rows(args->dk_stride, c.T, c.K) ||
      !good_rows(args->dv_stride, c.T, c.V))
    return XLSTM_BAD_STRIDE;
  const bool has_steps = !is_empty(c) && c.T > 0;
  if (has_steps && any_null({args->q, args->k, args->v, args->i, args->f, args->dq, args->dk,
                             args->dv, args->di, args->df}))
    return XLSTM_NULL_POINTER;
  const bool has_normalizer = has_steps && c.normalize && args->dh != nullptr;
  if (has_normalizer && any_null({args->saved_m, args->saved_l})) return XLSTM_NULL_POINTER;
  if (has_normalizer && !c.detach_normalizer) {
    if (args->h == nullptr) return XLSTM_NULL_POINTER;
    if (!good_rows(args->h_stride, c.T, c.V)) return XLSTM_BAD_STRIDE;
  }
  if (misaligned(16, {args->states})) return XLSTM_MISALIGNED;
  return check_addresses(
      c, {args->q, args->k, args->v, args->h, args->dh, args->dq, args->dk, args->dv},
      {args->i, args->f, args->di, args->df},
      {args->C0, args->n0, args->m0, args->saved_m, args->saved_l, args->h_dh, args->dC, args->dn,
       args->dC0, args->dn0, args->dm0});
}

extern "C" xlstm_status xlstm_mlstm_step_check(const xlstm_mlstm_step_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_mlstm_config& c = args->config;
  if (const xlstm_status status = check_config(c, 1); status != XLSTM_OK) return status;
  if (args->slots != nullptr &&
      (args->n_slots < 0 || !product_fits({args->n_slots, c.H, c.K, c.V})))
    return XLSTM_BAD_SIZE;
  if (is_empty(c)) return XLSTM_OK;
  if (any_null({args->q, args->k, args->v, args->i, args->f, args->h, args->C}))
    return XLSTM_NULL_POINTER;
  if (c.normalize && args->n == nullptr) return XLSTM_NULL_POINTER;
  if (c.input_gate == XLSTM_MLSTM_EXPONENTIAL && args->m == nullptr) return XLSTM_NULL_POINTER;
  if (misaligned(args->slots)) return XLSTM_MISALIGNED;
  return check_addresses(c, {args->q, args->k, args->v, args->h}, {args->i, args->f},
                         {args->C, args->n, args->m});
}
