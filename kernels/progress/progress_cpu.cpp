#include "kernels/progress/progress.h"

xlstm_status xlstm_progress_cpu(const xlstm_progress_args* args, xlstm_exec) {
  const xlstm_status status = xlstm_progress_check(args);
  if (status != XLSTM_OK) return status;
  *args->shown = ++*args->counter;
  return XLSTM_OK;
}
