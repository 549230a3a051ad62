#include "kernels/carry/carry.h"
#include "kernels/common/alignment.h"
#include "kernels/common/sizes.h"

using namespace xlstm::kernels;

xlstm_status xlstm_carry_store_check(const xlstm_carry_store_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_sizes({a->rows, a->columns})) return XLSTM_BAD_SIZE;
  const bool empty = a->rows == 0 || a->columns == 0;
  if (!empty && (a->from == nullptr || a->to == nullptr || a->usable == nullptr))
    return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->from, a->to})) return XLSTM_MISALIGNED;
  return XLSTM_OK;
}

xlstm_status xlstm_carry_restart_check(const xlstm_carry_restart_args* a) {
  if (a == nullptr) return XLSTM_NULL_POINTER;
  if (bad_sizes({a->rows, a->columns})) return XLSTM_BAD_SIZE;
  if (!(a->start - a->start == 0)) return XLSTM_BAD_VALUE;
  const bool empty = a->rows == 0 || a->columns == 0;
  if (!empty && (a->x == nullptr || a->fresh == nullptr || a->usable == nullptr))
    return XLSTM_NULL_POINTER;
  if (misaligned(a->dtype, {a->x})) return XLSTM_MISALIGNED;
  return XLSTM_OK;
}
