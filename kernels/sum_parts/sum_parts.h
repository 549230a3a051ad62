/* The sum of what several ranks have of the same numbers, and the sum of its squares for clipping.
 *
 *   sum[i] = parts[0, i] + parts[1, i] + ... , added in this order and rounded once
 *   squares = sum over i of sum[i]^2, of the rounded sums
 *
 * Layout: parts dense [n_parts, n]; sum [n], which may be a row of parts. Types: float32 and
 * float64 on the CPU, added in double; float32, bfloat16 and float16 on CUDA, added in float32.
 * Squares are added in double. n_parts >= 1; n == 0 has squares 0.
 *
 * Bytes: each part is read once, the sum written once. CUDA: one launch, 16 bytes a load where rows
 * are aligned. Each block leaves its squares in the workspace, and the last block to arrive adds
 * them in the order of the blocks, whose number depends on n alone: the same bits every time. The
 * blocks count themselves in `arrived`, which is 0 before and after: two calls at a time must not
 * share it. Workspace: a double a block, if squares are asked for.
 */
#ifndef XLSTM_KERNELS_SUM_PARTS_SUM_PARTS_H_
#define XLSTM_KERNELS_SUM_PARTS_SUM_PARTS_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_sum_parts_args {
  xlstm_dtype dtype;
  int64_t n_parts, n;
  const void* parts;
  void* sum;
  double* squares;   /* one number; null: not wanted */
  uint32_t* arrived; /* one number, given with squares; the CPU leaves it alone */
} xlstm_sum_parts_args;

xlstm_status xlstm_sum_parts_check(const xlstm_sum_parts_args* args);
int64_t xlstm_sum_parts_workspace_cpu(const xlstm_sum_parts_args* args); /* bytes */
int64_t xlstm_sum_parts_workspace_cuda(const xlstm_sum_parts_args* args);
xlstm_status xlstm_sum_parts_cpu(const xlstm_sum_parts_args* args, xlstm_exec exec);
xlstm_status xlstm_sum_parts_cuda(const xlstm_sum_parts_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_SUM_PARTS_SUM_PARTS_H_ */
