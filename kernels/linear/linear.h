/* Linear maps of a few rows at once, as decoding reads every weight of a model for each token.
 *
 *   y_p[m][n] = sum over k of x[m][k] weight_p[n][k] (+ bias_p[n])      for each part p
 *
 * Parts share x; a part has its own weight, result and element type of the result. Layout: x [M, K]
 * and weight [N, K], dense last dimension; y [M, N] likewise; bias dense. Row strides in elements.
 * Types: x and weights float16 or bfloat16, both `dtype`; y and bias `dtype` or float32. Sums in
 * float32, in an order that depends on K alone: a row's result does not depend on M, on the other
 * rows or on the other parts. Limits: 1 <= M <= XLSTM_LINEAR_FEW_ROWS, at most
 * XLSTM_LINEAR_FEW_PARTS parts. Aliasing: none. This entry point exists for CUDA alone: more rows,
 * and the CPU, have matrix products for it.
 * CUDA: one launch, no workspace. Bytes: every weight once. A block has 16 or (beyond 8 rows) 32
 * rows of a weight, its 8 warps take turns along K, 32 numbers of each row at a time, straight from
 * memory into the registers of tensor cores: which of the 32 a lane holds is free as long as x
 * agrees, so a lane reads 16 bytes in a row. The warps' sums are added in order in shared memory.
 * Rows that are not 16 bytes apart or aligned are read one number at a time.
 */
#ifndef XLSTM_KERNELS_LINEAR_LINEAR_H_
#define XLSTM_KERNELS_LINEAR_LINEAR_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define XLSTM_LINEAR_FEW_ROWS 16
#define XLSTM_LINEAR_FEW_PARTS 8

typedef struct xlstm_linear_part {
  int64_t N;
  const void* weight;
  int64_t weight_stride_row;
  const void* bias; /* may be null */
  xlstm_dtype bias_dtype;
  void* y;
  int64_t y_stride_row;
  xlstm_dtype y_dtype;
} xlstm_linear_part;

typedef struct xlstm_linear_few_args {
  xlstm_dtype dtype;
  int64_t M, K;
  const void* x;
  int64_t x_stride_row;
  int32_t n_parts;
  xlstm_linear_part parts[XLSTM_LINEAR_FEW_PARTS];
} xlstm_linear_few_args;

xlstm_status xlstm_linear_few_check(const xlstm_linear_few_args* args);
xlstm_status xlstm_linear_few_cuda(const xlstm_linear_few_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_LINEAR_LINEAR_H_ */
