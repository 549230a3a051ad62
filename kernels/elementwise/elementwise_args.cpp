#include "kernels/common/alignment.h"
#include "kernels/elementwise/elementwise.h"

namespace {

using xlstm::kernels::misaligned;

xlstm_status check_shape(int32_t n_dims, const int64_t* sizes, bool* empty) {
  if (n_dims < 0 || n_dims > XLSTM_ELEMENTWISE_MAX_DIMS) return XLSTM_BAD_SIZE;
  *empty = false;
  for (int32_t d = 0; d < n_dims; ++d) {
    if (sizes[d] < 0) return XLSTM_BAD_SIZE;
    if (sizes[d] == 0) *empty = true;
  }
  return XLSTM_OK;
}

xlstm_status check_unary(xlstm_unary_op op, double parameter) {
  if (op < XLSTM_UNARY_SCALE || op > XLSTM_UNARY_SOFTCAP) return XLSTM_BAD_VALUE;
  if (op == XLSTM_UNARY_SOFTCAP && !(parameter > 0)) return XLSTM_BAD_VALUE;
  return XLSTM_OK;
}

}  // namespace

xlstm_unary_saved xlstm_unary_bwd_reads(xlstm_unary_op op) {
  switch (op) {
    case XLSTM_UNARY_SCALE:
    case XLSTM_UNARY_ADD:
      return XLSTM_SAVED_NOTHING;
    case XLSTM_UNARY_EXP:
    case XLSTM_UNARY_SQRT:
      return XLSTM_SAVED_OUTPUT;
    case XLSTM_UNARY_LOG:
    case XLSTM_UNARY_SQUARE:
    case XLSTM_UNARY_ABS:
    // Near their limits these outputs, rounded, no longer tell the slope.
    case XLSTM_UNARY_TANH:
    case XLSTM_UNARY_SIGMOID:
    case XLSTM_UNARY_LOG_SIGMOID:
    case XLSTM_UNARY_SOFTCAP:
      break;
  }
  return XLSTM_SAVED_INPUT;
}

xlstm_status xlstm_unary_fwd_check(const xlstm_unary_fwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  bool empty = false;
  if (const auto s = check_shape(args->n_dims, args->sizes, &empty); s != XLSTM_OK) return s;
  if (const auto s = check_unary(args->op, args->parameter); s != XLSTM_OK) return s;
  if (!empty && (args->x == nullptr || args->y == nullptr)) return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->x, args->y}) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_unary_bwd_check(const xlstm_unary_bwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  bool empty = false;
  if (const auto s = check_shape(args->n_dims, args->sizes, &empty); s != XLSTM_OK) return s;
  if (const auto s = check_unary(args->op, args->parameter); s != XLSTM_OK) return s;
  const bool reads = xlstm_unary_bwd_reads(args->op) != XLSTM_SAVED_NOTHING;
  if (!empty && (args->dy == nullptr || args->dx == nullptr || (reads && args->saved == nullptr)))
    return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->saved, args->dy, args->dx}) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_binary_fwd_check(const xlstm_binary_fwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  bool empty = false;
  if (const auto s = check_shape(args->n_dims, args->sizes, &empty); s != XLSTM_OK) return s;
  if (args->op < XLSTM_BINARY_ADD || args->op > XLSTM_BINARY_MAXIMUM) return XLSTM_BAD_VALUE;
  if (!empty && (args->a == nullptr || args->b == nullptr || args->y == nullptr))
    return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->a, args->b, args->y}) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_binary_bwd_check(const xlstm_binary_bwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  bool empty = false;
  if (const auto s = check_shape(args->n_dims, args->sizes, &empty); s != XLSTM_OK) return s;
  if (args->op < XLSTM_BINARY_MUL || args->op > XLSTM_BINARY_MAXIMUM) return XLSTM_BAD_VALUE;
  if (empty) return XLSTM_OK;
  const bool mul = args->op == XLSTM_BINARY_MUL, maximum = args->op == XLSTM_BINARY_MAXIMUM;
  const bool reads_a = maximum || args->db != nullptr;
  const bool reads_b = !mul || args->da != nullptr;
  if (args->dy == nullptr || (reads_a && args->a == nullptr) || (reads_b && args->b == nullptr))
    return XLSTM_NULL_POINTER;
  return misaligned(args->dtype, {args->a, args->b, args->dy, args->da, args->db})
             ? XLSTM_MISALIGNED
             : XLSTM_OK;
}
