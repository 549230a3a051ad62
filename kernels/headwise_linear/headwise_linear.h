/* A block-diagonal linear map: every head has its own weight.
 *
 *   y[n, h, o] = bias[h, o] + sum_i W[h, o, i] x[n, h, i]
 *
 * Types: x, y, dy, dx of `dtype`; W, bias and their gradients of `weight_dtype`, the same or
 * float32 beside bfloat16 and float16. On the CPU XLSTM_F32 or XLSTM_F64, and sums in that type; on
 * CUDA float32, bfloat16, float16, and sums in float32. Rows of x hold H I dense elements, rows of
 * y H O; the strides between rows are in elements. Outputs must not overlap each other or any
 * input. Any N, H, I, O >= 0. Status: a negative size or overflowing product: XLSTM_BAD_SIZE; a
 * stride shorter than its row: XLSTM_BAD_STRIDE; a null required pointer of an array with elements:
 * XLSTM_NULL_POINTER.
 *
 * Forward: 2 N H O I FLOP, reads x and writes y once. On the CPU blocks with I == O of 2, 4 or 8
 * run over channels in registers (bound by memory); others are matrix products per head and block
 * of rows. dW and dbias are summed over fixed blocks of rows, block after block.
 * CUDA: with I == O of 2, 4 or 8 and aligned rows a thread owns 16 bytes of channels (8
 * in the backward pass), their blocks of W and the sums of dW over a run of rows, all in registers.
 * Other blocks are products by tiles of 64 x 64, a block of threads each: on tensor cores for
 * bfloat16 and float16 (a float32 W is rounded to the activations' type as it is read), by float32
 * FMA for float32. Partial sums of dW and dbias lie in the workspace ([blocks][H O (I + 1)] floats,
 * at most 512 blocks) and are added by a second launch.
 */
#ifndef XLSTM_KERNELS_HEADWISE_LINEAR_HEADWISE_LINEAR_H_
#define XLSTM_KERNELS_HEADWISE_LINEAR_HEADWISE_LINEAR_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_headwise_linear_fwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t N, H, I, O;
  const void* x; /* [N, H, I] */
  int64_t x_stride_n;
  const void* W;    /* [H, O, I] contiguous */
  const void* bias; /* [H, O] contiguous, or null: zeros */
  void* y;          /* [N, H, O] */
  int64_t y_stride_n;
} xlstm_headwise_linear_fwd_args;

typedef struct xlstm_headwise_linear_bwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t N, H, I, O;
  const void* x; /* as in the forward; may be null if dW is */
  int64_t x_stride_n;
  const void* W;  /* as in the forward; may be null if dx is */
  const void* dy; /* [N, H, O] */
  int64_t dy_stride_n;
  /* Overwritten; each may be null: not wanted. */
  void* dx; /* [N, H, I] */
  int64_t dx_stride_n;
  void* dW;    /* [H, O, I] contiguous */
  void* dbias; /* [H, O] contiguous */
} xlstm_headwise_linear_bwd_args;

/* 0 for arguments that the call itself would refuse. */
int64_t xlstm_headwise_linear_fwd_workspace_cpu(const xlstm_headwise_linear_fwd_args* args);
int64_t xlstm_headwise_linear_fwd_workspace_cuda(const xlstm_headwise_linear_fwd_args* args);
int64_t xlstm_headwise_linear_bwd_workspace_cpu(const xlstm_headwise_linear_bwd_args* args);
int64_t xlstm_headwise_linear_bwd_workspace_cuda(const xlstm_headwise_linear_bwd_args* args);

xlstm_status xlstm_headwise_linear_fwd_cpu(const xlstm_headwise_linear_fwd_args* args,
                                           xlstm_exec exec);
xlstm_status xlstm_headwise_linear_fwd_cuda(const xlstm_headwise_linear_fwd_args* args,
                                            xlstm_exec exec);
xlstm_status xlstm_headwise_linear_bwd_cpu(const xlstm_headwise_linear_bwd_args* args,
                                           xlstm_exec exec);
xlstm_status xlstm_headwise_linear_bwd_cuda(const xlstm_headwise_linear_bwd_args* args,
                                            xlstm_exec exec);

/* The checks every backend makes first: all of the above except the element type. */
xlstm_status xlstm_headwise_linear_fwd_check(const xlstm_headwise_linear_fwd_args* args);
xlstm_status xlstm_headwise_linear_bwd_check(const xlstm_headwise_linear_bwd_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_HEADWISE_LINEAR_HEADWISE_LINEAR_H_ */
