#include "kernels/common/alignment.h"
#include "kernels/reduce/reduce.h"

namespace {

using xlstm::kernels::misaligned;

template <class Args>
xlstm_status check(const Args* args, bool needs_an_element) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  if (args->outer < 0 || args->n < 0 || args->inner < 0) return XLSTM_BAD_SIZE;
  if (needs_an_element && args->n == 0 && args->outer * args->inner > 0) return XLSTM_BAD_SIZE;
  return XLSTM_OK;
}

}  // namespace

xlstm_status xlstm_sum_fwd_check(const xlstm_sum_fwd_args* args) {
  if (const auto s = check(args, false); s != XLSTM_OK) return s;
  if (args->outer * args->inner == 0) return XLSTM_OK;
  if (args->y == nullptr || (args->n > 0 && args->x == nullptr)) return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->x, args->y}) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_max_fwd_check(const xlstm_max_fwd_args* args) {
  if (const auto s = check(args, true); s != XLSTM_OK) return s;
  if (args->outer * args->inner == 0) return XLSTM_OK;
  if (args->x == nullptr || args->y == nullptr || args->index == nullptr) return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->x, args->y}) || misaligned(args->index) ? XLSTM_MISALIGNED
                                                                                : XLSTM_OK;
}

xlstm_status xlstm_max_bwd_check(const xlstm_max_bwd_args* args) {
  if (const auto s = check(args, true); s != XLSTM_OK) return s;
  if (args->outer * args->inner == 0) return XLSTM_OK;
  if (args->index == nullptr || args->dy == nullptr || args->dx == nullptr)
    return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->dy, args->dx}) || misaligned(args->index) ? XLSTM_MISALIGNED
                                                                                  : XLSTM_OK;
}

xlstm_status xlstm_cumsum_fwd_check(const xlstm_cumsum_fwd_args* args) {
  if (const auto s = check(args, false); s != XLSTM_OK) return s;
  if (args->outer * args->n * args->inner == 0) return XLSTM_OK;
  if (args->x == nullptr || args->y == nullptr) return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->x, args->y}) ? XLSTM_MISALIGNED : XLSTM_OK;
}
