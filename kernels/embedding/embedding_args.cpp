#include "kernels/common/alignment.h"
#include "kernels/common/weight_dtype.h"
#include "kernels/embedding/embedding.h"

namespace {

using xlstm::kernels::misaligned;

xlstm_status check_sizes(int64_t n_tokens, int64_t n_vocab, int64_t D) {
  int64_t elements = 0;
  if (n_tokens < 0 || n_vocab < 0 || D < 0 || __builtin_mul_overflow(n_tokens, D, &elements) ||
      __builtin_mul_overflow(n_vocab, D, &elements))
    return XLSTM_BAD_SIZE;
  return XLSTM_OK;
}

}  // namespace

xlstm_status xlstm_embedding_fwd_check(const xlstm_embedding_fwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status sizes = check_sizes(a->n_tokens, a->n_vocab, a->D);
  if (sizes != XLSTM_OK) return sizes;
  if (!xlstm::kernels::weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (a->n_tokens == 0) return XLSTM_OK;
  if (a->tokens == nullptr) return XLSTM_NULL_POINTER;
  if (a->D == 0) return XLSTM_OK;
  if (a->y == nullptr || (a->n_vocab > 0 && a->weight == nullptr)) return XLSTM_NULL_POINTER;
  if (a->weight_stride_row < 0 || (a->n_tokens > 1 && a->y_stride_row < a->D))
    return XLSTM_BAD_STRIDE;
  if (misaligned(a->tokens) || misaligned(a->weight_dtype, {a->weight}) ||
      misaligned(a->dtype, {a->y}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_embedding_bwd_check(const xlstm_embedding_bwd_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  const xlstm_status sizes = check_sizes(a->n_tokens, a->n_vocab, a->D);
  if (sizes != XLSTM_OK) return sizes;
  if (!xlstm::kernels::weight_dtype_ok(a->dtype, a->weight_dtype)) return XLSTM_BAD_DTYPE;
  if (a->n_tokens > 0 && a->tokens == nullptr) return XLSTM_NULL_POINTER;
  if (a->D == 0) return XLSTM_OK;
  if ((a->n_tokens > 0 && a->dy == nullptr) || (a->n_vocab > 0 && a->dweight == nullptr))
    return XLSTM_NULL_POINTER;
  if (a->dy_stride_row < 0) return XLSTM_BAD_STRIDE;
  if (misaligned(a->tokens) || misaligned(a->dtype, {a->dy}) ||
      misaligned(a->weight_dtype, {a->dweight}))
    return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
