/* Causal depthwise convolution over time, with an optional SiLU on top.
 *
 *   pre_t[c] = bias[c] + sum_{j < KS} weight[c, j] x_{t-KS+1+j}[c]
 *   y_t[c]   = pre_t[c], or pre_t[c] sigmoid(pre_t[c]) with `silu`
 * The last tap is the current token. Inputs before t = 0 come from the initial state, which holds
 * the KS-1 inputs before the first (zeros if null). A reset at t starts a document: no tap at t or
 * later sees anything before t, and the final state has zeros in place of inputs before the
 * document of the last step.
 *
 * Types: x, y, states and their gradients of `dtype`; weight, bias and their gradients of
 * `weight_dtype`, the same or float32 beside bfloat16 and float16. On the CPU XLSTM_F32 or
 * XLSTM_F64, and sums in that type; on CUDA float32, bfloat16, float16, and sums in float32.
 * Strides are in elements; channels are dense. Outputs must not overlap each other or any input.
 * Any B, T, C >= 0, KS >= 1. The backward computes the pre-activation again instead of reading a
 * stored one. Status: a negative size, KS < 1 or an overflowing product: XLSTM_BAD_SIZE; an output
 * whose rows overlap: XLSTM_BAD_STRIDE; a null required pointer of an array with elements:
 * XLSTM_NULL_POINTER; a flag other than 0 or 1: XLSTM_BAD_VALUE.
 *
 * Forward: 2 B T C KS FLOP, reads x and writes y once. On the CPU a task owns a block of steps of
 * one row and a block of channels, over which the loops are vectorised; the sums over the batch and
 * time (dweight, dbias) are taken block after block.
 * CUDA, 4 taps: a warp walks over a run of up to 256 steps, eight bytes of channels a lane, with
 * the weights, sums and last inputs in registers and the next 16 steps on their way to shared
 * memory. That is by asynchronous copies if C and all strides are multiples of 16 bytes and all
 * arrays aligned to them, else by loads of single elements, which are waited for. A step near a
 * start of a document, and the ends of a run, take slower code. The backward computes the three
 * steps after its run again; a block adds the sums of its four runs and a second launch those of
 * the blocks (workspace: 5 C floats a run). Other numbers of taps, weights that are not aligned to
 * 16 bytes and sizes beyond 2^30 take a plain path that reads every tap from memory.
 */
#ifndef XLSTM_KERNELS_CAUSAL_CONV1D_CAUSAL_CONV1D_H_
#define XLSTM_KERNELS_CAUSAL_CONV1D_CAUSAL_CONV1D_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_causal_conv1d_fwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t B, T, C, KS;
  const void* x; /* [B, T, C] by these strides */
  int64_t x_stride_b, x_stride_t;
  const void* weight;     /* [C, 1, KS] contiguous */
  const void* bias;       /* [C] or null: zeros */
  const void* state_init; /* [B, KS-1, C] contiguous, or null: zeros */
  const uint8_t* reset;   /* [B, T] contiguous or null; not 0: a document starts */
  int silu;               /* 1: SiLU on top, 0: none */
  void* y;                /* [B, T, C] by these strides */
  int64_t y_stride_b, y_stride_t;
  void* state_final; /* [B, KS-1, C] contiguous: the last KS-1 inputs; null: not wanted */
} xlstm_causal_conv1d_fwd_args;

typedef struct xlstm_causal_conv1d_bwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t B, T, C, KS;
  /* As in the forward. */
  const void* x;
  int64_t x_stride_b, x_stride_t;
  const void *weight, *bias, *state_init;
  const uint8_t* reset;
  int silu;
  /* Gradients of the outputs; each may be null: zeros. */
  const void* dy; /* [B, T, C] by these strides */
  int64_t dy_stride_b, dy_stride_t;
  const void* dstate_final; /* [B, KS-1, C] contiguous */
  /* Gradients of the inputs, overwritten; each may be null: not wanted. */
  void* dx; /* [B, T, C] by these strides */
  int64_t dx_stride_b, dx_stride_t;
  void *dweight, *dbias, *dstate_init; /* as weight, bias, state_init */
} xlstm_causal_conv1d_bwd_args;

/* 0 for arguments that the call itself would refuse. */
int64_t xlstm_causal_conv1d_fwd_workspace_cpu(const xlstm_causal_conv1d_fwd_args* args);
int64_t xlstm_causal_conv1d_fwd_workspace_cuda(const xlstm_causal_conv1d_fwd_args* args);
int64_t xlstm_causal_conv1d_bwd_workspace_cpu(const xlstm_causal_conv1d_bwd_args* args);
int64_t xlstm_causal_conv1d_bwd_workspace_cuda(const xlstm_causal_conv1d_bwd_args* args);

xlstm_status xlstm_causal_conv1d_fwd_cpu(const xlstm_causal_conv1d_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_causal_conv1d_fwd_cuda(const xlstm_causal_conv1d_fwd_args* args,
                                          xlstm_exec exec);
xlstm_status xlstm_causal_conv1d_bwd_cpu(const xlstm_causal_conv1d_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_causal_conv1d_bwd_cuda(const xlstm_causal_conv1d_bwd_args* args,
                                          xlstm_exec exec);

/* The checks every backend makes first: all of the above except the element type. */
xlstm_status xlstm_causal_conv1d_fwd_check(const xlstm_causal_conv1d_fwd_args* args);
xlstm_status xlstm_causal_conv1d_bwd_check(const xlstm_causal_conv1d_bwd_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_CAUSAL_CONV1D_CAUSAL_CONV1D_H_ */
