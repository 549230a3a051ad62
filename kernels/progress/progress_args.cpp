#include "kernels/common/alignment.h"
#include "kernels/progress/progress.h"

xlstm_status xlstm_progress_check(const xlstm_progress_args* a) {
  if (a == nullptr || a->counter == nullptr || a->shown == nullptr) return XLSTM_NULL_POINTER;
  using xlstm::kernels::misaligned;
  return misaligned(a->counter) || misaligned(a->shown) ? XLSTM_MISALIGNED : XLSTM_OK;
}
