/* Rows of a recurrent state that go from one training step to the next, a row a sequence.
 *
 * Store:    to[r, c] = from[r, c];  usable[r] = 0 where some from[r, c] is NaN or infinite, and
 *           stays as it is elsewhere
 * Restart:  x[r, c] = start where fresh[r] != 0 or usable[r] == 0, and stays as it is elsewhere
 *
 * A state consists of several arrays, which share `usable`: a sequence whose state is not finite in
 * one of them is started anew in all. The two stand apart so that all arrays are stored before the
 * first is started anew, and so that the host may decide on `fresh` in between.
 *
 * Layout: from, to and x dense [rows, columns]; fresh and usable [rows], bytes. Nothing overlaps.
 * Types: float32 or float64 on the CPU; float32, bfloat16 and float16 on CUDA. No workspace.
 * Limits: sizes >= 0; start finite, else XLSTM_BAD_VALUE.
 * Bytes: store reads and writes each element once; restart writes the rows that it changes.
 * CUDA: one launch; blocks go over rows and stretches of columns, 16 bytes a thread where the rows
 * are aligned. Every thread that finds a number that is not finite writes the same 0.
 */
#ifndef XLSTM_KERNELS_CARRY_CARRY_H_
#define XLSTM_KERNELS_CARRY_CARRY_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_carry_store_args {
  xlstm_dtype dtype;
  int64_t rows, columns;
  const void* from;
  void* to;
  uint8_t* usable;
} xlstm_carry_store_args;

typedef struct xlstm_carry_restart_args {
  xlstm_dtype dtype;
  int64_t rows, columns;
  void* x;
  const uint8_t* fresh;
  const uint8_t* usable;
  double start;
} xlstm_carry_restart_args;

xlstm_status xlstm_carry_store_check(const xlstm_carry_store_args* args);
xlstm_status xlstm_carry_restart_check(const xlstm_carry_restart_args* args);

xlstm_status xlstm_carry_store_cpu(const xlstm_carry_store_args* args, xlstm_exec exec);
xlstm_status xlstm_carry_store_cuda(const xlstm_carry_store_args* args, xlstm_exec exec);
xlstm_status xlstm_carry_restart_cpu(const xlstm_carry_restart_args* args, xlstm_exec exec);
xlstm_status xlstm_carry_restart_cuda(const xlstm_carry_restart_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_CARRY_CARRY_H_ */
