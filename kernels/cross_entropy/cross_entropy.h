/* Softmax cross-entropy over rows of logits, with an optional soft cap.
 *
 *   z = softcap(x) = cap * tanh(x / cap), or x if cap == 0
 *   loss = 1/n * sum over counted rows of  (max z + log sum exp(z - max z)) - z[target]
 * A row is counted if its target is not ignore_index; n is their number; no counted row: loss 0.
 * Backward: dx[v] = dloss / n * (exp(z[v] - max z) / sum - [v == target]) * (1 - (z[v] / cap)^2),
 * and 0 in rows that are not counted. Probabilities are computed again, not stored.
 *
 * Layout: logits and dlogits [rows, n_vocab], dense last dimension, row stride in elements; targets
 * int64 [rows]; row_max, row_sum [rows]; loss and dloss one element.
 * Types: float32 or float64 for all of them on the CPU. On CUDA logits and dlogits are float32,
 * bfloat16 or float16, the others float32, and everything is computed in float32 (the mean of the
 * rows' losses in double). dlogits has the type of logits, or on CUDA a narrower one beside float32
 * logits, so that a matrix product can read it.
 * Aliasing: dlogits may be logits if the types and the row strides are equal.
 * Limits: n_vocab >= 1 if rows > 0; counted targets in [0, n_vocab), else XLSTM_BAD_VALUE;
 * soft_cap >= 0 and finite. -inf logits are allowed (probability 0); NaN or +inf in a counted row,
 * or a row of -inf alone, gives a NaN loss.
 * Stabilisation: the exponent never exceeds 0. The forward pass reads a row once, by pieces that
 * stay in the nearest cache, and rescales the running sum when a piece raises the maximum. Sums of
 * exponentials are taken in double over pieces, losses in double in order of rows.
 * Work: forward 1 exp (and 1 tanh with a cap) per logit; backward the same and one write.
 * CUDA: a block of threads has a row (a warp one of up to 2048 logits), reads it once by 16 bytes
 * and keeps a running maximum and sum in each thread; with a soft cap of 1 to 40 the sum is that of
 * exp(z - cap), and tanh a polynomial wherever |x| <= cap (slower beyond); a second launch of one
 * block adds the rows' losses (workspace: one float a row). All results lie on the device. Targets
 * are not looked at beforehand: one out of range makes the loss, and the row's gradient, NaN.
 */
#ifndef XLSTM_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_H_
#define XLSTM_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_cross_entropy_fwd_args {
  xlstm_dtype dtype;
  int64_t rows, n_vocab;
  const void* logits;
  int64_t logits_stride_row;
  const int64_t* targets;
  int64_t ignore_index;
  double soft_cap;
  void* loss;         /* one element */
  int64_t* n_targets; /* one element: rows counted */
  void* row_max;      /* [rows]; for rows not counted 0 */
  void* row_sum;      /* [rows]; for rows not counted 1 */
} xlstm_cross_entropy_fwd_args;

typedef struct xlstm_cross_entropy_bwd_args {
  xlstm_dtype dtype, dlogits_dtype;
  int64_t rows, n_vocab;
  const void* logits;
  int64_t logits_stride_row;
  const int64_t* targets;
  int64_t ignore_index;
  double soft_cap;
  const void* row_max; /* of the forward pass */
  const void* row_sum;
  int64_t n_targets; /* rows counted in the forward pass */
  const void* dloss; /* one element */
  void* dlogits;
  int64_t dlogits_stride_row;
  const int64_t* n_targets_device; /* CUDA alone: read in place of n_targets unless null */
} xlstm_cross_entropy_bwd_args;

xlstm_status xlstm_cross_entropy_fwd_check(const xlstm_cross_entropy_fwd_args* args);
xlstm_status xlstm_cross_entropy_bwd_check(const xlstm_cross_entropy_bwd_args* args);

xlstm_status xlstm_cross_entropy_fwd_cpu(const xlstm_cross_entropy_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_cross_entropy_fwd_cuda(const xlstm_cross_entropy_fwd_args* args,
                                          xlstm_exec exec);
xlstm_status xlstm_cross_entropy_bwd_cpu(const xlstm_cross_entropy_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_cross_entropy_bwd_cuda(const xlstm_cross_entropy_bwd_args* args,
                                          xlstm_exec exec);
/* Bytes of scratch for the forward pass: the rows' losses in double. */
int64_t xlstm_cross_entropy_fwd_workspace_cpu(const xlstm_cross_entropy_fwd_args* args);
int64_t xlstm_cross_entropy_fwd_workspace_cuda(const xlstm_cross_entropy_fwd_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_H_ */
