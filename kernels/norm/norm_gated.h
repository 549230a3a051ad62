/* A norm by groups and the gate on it in one pass: what follows the cell of an mLSTM layer.
 *
 *   y = act(gate) * u,  u = xhat * scale + shift
 *   act(z) = sigmoid(z), or z sigmoid(z) (SiLU)
 *   shift = bias, or skip_weight * skip (a learnable skip connection), or 0
 * with xhat and scale as in kernels/norm/norm.h: each of `groups` runs of `width` elements of a row
 * has its own statistics, with the mean (LayerNorm) or without (RMSNorm).
 * xLSTM-Large has sigmoid gates and no shift, the xLSTM of the paper SiLU gates and a skip.
 * Backward, with du = dy * act(gate):
 *   dgate = dy * u * act'(gate),  dskip = du * skip_weight,  dx = that of norm.h for dy = du
 *   dweight = sum over rows of du * xhat,  dbias = sum of du,  dskip_weight = sum of du * skip
 * The norm itself is not kept: backward makes it again from x, mean and rstd.
 * <x, dx> is what the gradient of the mLSTM's normaliser needs of its output and that one's
 * gradient (kernels/mlstm/mlstm.h), which are both at hand here.
 *
 * Layout: x, gate, skip, y, dy, dx, dgate, dskip are [rows, D], D = groups * width, with a dense
 * last dimension and a row stride in elements; weight, bias, skip_weight and their gradients are
 * [D]; mean, rstd and x_dx are dense [rows, groups].
 * Types: as in norm.h, the weights and their gradients of `weight_dtype`. NaN propagates.
 * Aliasing, at equal row strides: y may be x, gate or skip; dx may be x, dgate gate and dskip skip,
 * and one of the three dy; nothing else may overlap. Where x_dx is wanted dx is not x.
 * Limits: those of norm.h; bias and skip not both; activation XLSTM_SIGMOID or XLSTM_SILU, else
 * BAD_VALUE.
 * Work: forward 16 D rows operations, reads 2 D, writes D a row; backward 30, reads 3 D, writes
 * 2 D; a skip adds one read forward, a read and a write backward.
 * Order: as in norm.h.
 * CUDA: runs of up to 256 packs of 16 bytes are held as in norm.h, forward by parts of warps,
 * backward by teams of threads that walk over rows (workspace: one or two rows of D floats for each
 * of at most 396 blocks); longer or unaligned ones are read again, element by element.
 */
#ifndef XLSTM_KERNELS_NORM_NORM_GATED_H_
#define XLSTM_KERNELS_NORM_NORM_GATED_H_

#include "kernels/activation/activation.h"
#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_norm_gated_fwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t rows, groups, width;
  int32_t subtract_mean; /* 1: LayerNorm, 0: RMSNorm */
  int32_t one_plus;      /* 1: scale = 1 + weight, 0: scale = weight */
  double eps;
  xlstm_activation activation;
  const void* x;
  int64_t x_stride_row;
  const void* gate;
  int64_t gate_stride_row;
  const void* weight;
  const void* bias;        /* may be null */
  const void* skip_weight; /* may be null */
  const void* skip;        /* null if and only if skip_weight is */
  int64_t skip_stride_row;
  void* y;
  int64_t y_stride_row;
  void* mean; /* may be null; not written by RMSNorm */
  void* rstd; /* may be null */
} xlstm_norm_gated_fwd_args;

typedef struct xlstm_norm_gated_bwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t rows, groups, width;
  int32_t subtract_mean, one_plus;
  double eps; /* of the forward pass */
  xlstm_activation activation;
  const void* x;
  int64_t x_stride_row;
  const void* gate;
  int64_t gate_stride_row;
  const void* weight;
  const void* bias; /* these three as in the forward pass */
  const void* skip_weight;
  const void* skip;
  int64_t skip_stride_row;
  const void* mean; /* of the forward pass; null for RMSNorm */
  const void* rstd;
  const void* dy;
  int64_t dy_stride_row;
  void* dx; /* each gradient may be null: not wanted */
  int64_t dx_stride_row;
  void* dgate;
  int64_t dgate_stride_row;
  void* dskip;
  int64_t dskip_stride_row;
  void* dweight;
  void* dbias;        /* null beside a skip */
  void* dskip_weight; /* null without a skip */
  void* x_dx;         /* <x, dx> of each run, dx as written; null: not wanted; needs dx, beside x */
} xlstm_norm_gated_bwd_args;

/* The checks every backend makes first. */
xlstm_status xlstm_norm_gated_fwd_check(const xlstm_norm_gated_fwd_args* args);
xlstm_status xlstm_norm_gated_bwd_check(const xlstm_norm_gated_bwd_args* args);

xlstm_status xlstm_norm_gated_fwd_cpu(const xlstm_norm_gated_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_norm_gated_fwd_cuda(const xlstm_norm_gated_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_norm_gated_bwd_cpu(const xlstm_norm_gated_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_norm_gated_bwd_cuda(const xlstm_norm_gated_bwd_args* args, xlstm_exec exec);
/* Bytes of scratch for the backward pass: the blocks' partial sums. */
int64_t xlstm_norm_gated_bwd_workspace_cpu(const xlstm_norm_gated_bwd_args* args);
int64_t xlstm_norm_gated_bwd_workspace_cuda(const xlstm_norm_gated_bwd_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_NORM_NORM_GATED_H_ */
