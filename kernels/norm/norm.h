/* Normalisation over the last dimension, by groups: LayerNorm, RMSNorm and multi-head LayerNorm.
 *
 * A row of D = groups * width elements is cut into `groups` runs of `width`; each run has its own
 * statistics. One group gives LayerNorm or RMSNorm, one group a head gives the multi-head norm.
 *   LayerNorm  mean = sum x / width, var = sum (x - mean)^2 / width, rstd = (var + eps)^(-1/2)
 *              (Ba, Kiros and Hinton 2016; biased variance)
 *   RMSNorm    mean = 0,             rstd = (sum x^2 / width + eps)^(-1/2)
 *              (Zhang and Sennrich 2019)
 *   xhat = (x - mean) * rstd,  y = xhat * scale + bias,  scale = weight, or 1 + weight if one_plus
 * Backward, with g = dy * scale and means over the group:
 *   dx = rstd * (g - mean(g) - xhat * mean(g * xhat))      (RMSNorm: without mean(g))
 *   dweight = sum over rows of dy * xhat,  dbias = sum over rows of dy
 * A residual stream: if `residual` is given, s = x + residual, rounded to the element type, takes
 * the place of x above, and is written to `sum` for what comes after. Backward is then given that
 * sum as x; dsum, what reaches the sum from elsewhere, is added: dx = ... + dsum, the gradient of
 * x and of residual alike.
 *
 * Layout: x, residual, sum, y, dy, dsum, dx are [rows, D] with a dense last dimension and a row
 * stride in elements;
 * weight, bias, dweight, dbias are [D]; mean and rstd are dense [rows, groups].
 * Types: these matrices of `dtype`; weight, bias and their gradients of `weight_dtype`, the same or
 * float32 beside bfloat16 and float16. On the CPU float32 or float64, statistics of `dtype`, sums
 * and dx in double, the latter of float32 with statistics taken from x again (and eps). On CUDA
 * float32, bfloat16, float16; statistics and sums are float32.
 * Aliasing, at equal row strides: y or sum may be x or residual, dx may be dy, x or dsum; nothing
 * else may overlap.
 * Limits: sizes >= 0, width >= 1 if D > 0 is meant, eps >= 0 and finite.
 * Work: forward 8 D rows operations, reads D, writes D a row; backward 12, reads 2 D, writes D.
 * A residual adds one operation, D read and D written; dsum adds one operation and D read.
 * Order: rows are cut into a number of blocks that depends on `rows` alone; the blocks' sums of
 * dweight and dbias are added in order, so threads change no bit.
 * CUDA: a warp or a part of it owns runs of up to 512 packs of 16 bytes, several if they are short,
 * a block longer ones; x stays in registers as memory holds it. Backward: a team of threads walks
 * over its rows, two at a time, with the sums of its columns in registers and the next four rows on
 * their way to shared memory; a second launch adds the blocks' sums (workspace: one or two rows of
 * D floats for each of at most 528 blocks). Runs that are too wide for this or not aligned to 16
 * bytes are read again from memory, element by element. float32 squares overflow beyond |x| = 1e18.
 * dx of runs of at most four elements is computed in double, for it is what cancellation leaves.
 */
#ifndef XLSTM_KERNELS_NORM_NORM_H_
#define XLSTM_KERNELS_NORM_NORM_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_norm_fwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t rows, groups, width;
  int32_t subtract_mean; /* 1: LayerNorm, 0: RMSNorm */
  int32_t one_plus;      /* 1: scale = 1 + weight, 0: scale = weight */
  double eps;
  const void* x;
  int64_t x_stride_row;
  const void* weight;
  const void* bias; /* may be null */
  void* y;
  int64_t y_stride_row;
  void* mean;           /* may be null; not written by RMSNorm */
  void* rstd;           /* may be null */
  const void* residual; /* may be null: x alone is normalised */
  int64_t residual_stride_row;
  void* sum; /* null if and only if residual is */
  int64_t sum_stride_row;
} xlstm_norm_fwd_args;

typedef struct xlstm_norm_bwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t rows, groups, width;
  int32_t subtract_mean, one_plus;
  double eps; /* of the forward pass */
  const void* x;
  int64_t x_stride_row;
  const void* weight;
  const void* mean; /* of the forward pass; null for RMSNorm */
  const void* rstd;
  const void* dy;
  int64_t dy_stride_row;
  void* dx; /* may be null: not wanted */
  int64_t dx_stride_row;
  void* dweight;    /* may be null */
  void* dbias;      /* may be null */
  const void* dsum; /* may be null; not read where dx is null */
  int64_t dsum_stride_row;
} xlstm_norm_bwd_args;

/* The checks every backend makes first. */
xlstm_status xlstm_norm_fwd_check(const xlstm_norm_fwd_args* args);
xlstm_status xlstm_norm_bwd_check(const xlstm_norm_bwd_args* args);

xlstm_status xlstm_norm_fwd_cpu(const xlstm_norm_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_norm_fwd_cuda(const xlstm_norm_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_norm_bwd_cpu(const xlstm_norm_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_norm_bwd_cuda(const xlstm_norm_bwd_args* args, xlstm_exec exec);
/* Bytes of scratch for the backward pass: the blocks' partial sums. */
int64_t xlstm_norm_bwd_workspace_cpu(const xlstm_norm_bwd_args* args);
int64_t xlstm_norm_bwd_workspace_cuda(const xlstm_norm_bwd_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_NORM_NORM_H_ */
