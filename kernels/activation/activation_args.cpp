#include "kernels/activation/activation.h"
#include "kernels/common/alignment.h"

namespace {

using xlstm::kernels::misaligned;

template <class Args>
xlstm_status check_common(const Args& g) {
  if (g.rows < 0 || g.cols < 0) return XLSTM_BAD_SIZE;
  if (g.activation < XLSTM_SILU || g.activation > XLSTM_SELU) return XLSTM_BAD_VALUE;
  return XLSTM_OK;
}

// The stride of a single row is never used.
template <class Args>
bool fits(const Args& g, int64_t row_stride) {
  return g.rows <= 1 || row_stride >= g.cols;
}

}  // namespace

xlstm_status xlstm_activation_fwd_check(const xlstm_activation_fwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const auto& g = *args;
  if (const auto s = check_common(g); s != XLSTM_OK) return s;
  if (g.rows == 0 || g.cols == 0) return XLSTM_OK;
  if (g.x == nullptr || g.y == nullptr) return XLSTM_NULL_POINTER;
  if (!fits(g, g.x_row_stride) || !fits(g, g.y_row_stride)) return XLSTM_BAD_STRIDE;
  if (g.up != nullptr && !fits(g, g.up_row_stride)) return XLSTM_BAD_STRIDE;
  return misaligned(g.dtype, {g.x, g.up, g.y}) ? XLSTM_MISALIGNED : XLSTM_OK;
}

xlstm_status xlstm_activation_bwd_check(const xlstm_activation_bwd_args* args) {
  if (args == nullptr) return XLSTM_NULL_POINTER;
  const auto& g = *args;
  if (const auto s = check_common(g); s != XLSTM_OK) return s;
  if (g.rows == 0 || g.cols == 0) return XLSTM_OK;
  if (g.x == nullptr || g.dy == nullptr || g.dx == nullptr) return XLSTM_NULL_POINTER;
  if ((g.up == nullptr) != (g.dup == nullptr)) return XLSTM_NULL_POINTER;
  if (!fits(g, g.x_row_stride) || !fits(g, g.dy_row_stride) || !fits(g, g.dx_row_stride))
    return XLSTM_BAD_STRIDE;
  if (g.up != nullptr && (!fits(g, g.up_row_stride) || !fits(g, g.dup_row_stride)))
    return XLSTM_BAD_STRIDE;
  return misaligned(g.dtype, {g.x, g.up, g.dy, g.dx, g.dup}) ? XLSTM_MISALIGNED : XLSTM_OK;
}
