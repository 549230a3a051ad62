/* Sums, maxima and running sums over one dimension.
 *
 * Arrays are dense [outer, n, inner]; n is the dimension that is reduced or scanned. The CPU
 * computes in float32 and float64; float32 is accumulated in double. Sums go by slices whose size
 * depends on the shape alone and are combined in order.
 *
 * CUDA: float32, bfloat16, float16, accumulated in float32. A group of threads - some neighbouring
 * columns (of 16 bytes for sums of aligned arrays) times up to 256 lines along n - does one outer
 * index; short n puts several groups in a block. Threads take every lines-th element and add in a
 * fixed tree. Sums with few cells cut n into slices, as the shape says, whose sums (workspace: a
 * float per cell and slice) a second launch adds in order. The running sum goes along n in pieces
 * that a group scans. max_bwd is a memset and one store per cell.
 *
 * Work: one operation per element; memory: the array once. Status: NULL_POINTER, BAD_SIZE
 * (negative sizes), BAD_DTYPE, WORKSPACE_TOO_SMALL.
 */
#ifndef XLSTM_KERNELS_REDUCE_REDUCE_H_
#define XLSTM_KERNELS_REDUCE_REDUCE_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y[o, i] = factor * sum_k x[o, k, i]; 0 for n == 0. */
typedef struct xlstm_sum_fwd_args {
  xlstm_dtype dtype;
  int64_t outer, n, inner;
  double factor;
  const void* x;
  void* y; /* [outer, inner] */
} xlstm_sum_fwd_args;

/* y[o, i] = max_k x[o, k, i], index[o, i] = the first k that has it; a NaN counts as the largest.
 * n == 0 with outer * inner > 0 is BAD_SIZE. */
typedef struct xlstm_max_fwd_args {
  xlstm_dtype dtype;
  int64_t outer, n, inner;
  const void* x;
  void* y;        /* [outer, inner] */
  int64_t* index; /* [outer, inner] */
} xlstm_max_fwd_args;

/* dx[o, k, i] = dy[o, i] where k == index[o, i], else 0. */
typedef struct xlstm_max_bwd_args {
  xlstm_dtype dtype;
  int64_t outer, n, inner;
  const int64_t* index;
  const void* dy;
  void* dx;
} xlstm_max_bwd_args;

/* y[o, k, i] = sum over j <= k of x[o, j, i], or over j >= k if `reverse` (which is the gradient).
 * y may be x. */
typedef struct xlstm_cumsum_fwd_args {
  xlstm_dtype dtype;
  int64_t outer, n, inner;
  int32_t reverse;
  const void* x;
  void* y;
} xlstm_cumsum_fwd_args;

xlstm_status xlstm_sum_fwd_check(const xlstm_sum_fwd_args* args);
xlstm_status xlstm_max_fwd_check(const xlstm_max_fwd_args* args);
xlstm_status xlstm_max_bwd_check(const xlstm_max_bwd_args* args);
xlstm_status xlstm_cumsum_fwd_check(const xlstm_cumsum_fwd_args* args);

int64_t xlstm_sum_fwd_workspace_cpu(const xlstm_sum_fwd_args* args); /* bytes */
int64_t xlstm_sum_fwd_workspace_cuda(const xlstm_sum_fwd_args* args);
xlstm_status xlstm_sum_fwd_cpu(const xlstm_sum_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_sum_fwd_cuda(const xlstm_sum_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_max_fwd_cpu(const xlstm_max_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_max_fwd_cuda(const xlstm_max_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_max_bwd_cpu(const xlstm_max_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_max_bwd_cuda(const xlstm_max_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_cumsum_fwd_cpu(const xlstm_cumsum_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_cumsum_fwd_cuda(const xlstm_cumsum_fwd_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_REDUCE_REDUCE_H_ */
