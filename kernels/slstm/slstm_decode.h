/* One decoding step of an sLSTM layer up to its norm: convolution, gates, recurrence, in one pass.
 *
 *   u = SiLU(conv_bias + sum_{j < KS} conv_weight[j] x_{t-KS+1+j})   per channel
 *   g_i, g_f = W_i u, W_f u;   g_z, g_o = W_z x_t, W_o x_t            per head
 *   g = (g_i, g_f, g_z, g_o) + h_{t-1} R + bias;   then the cell of slstm.h
 *
 * and without a convolution (KS = 0) u = x_t. (Beck et al., "xLSTM: Extended Long Short-Term
 * Memory", 2024; the convolution as in causal_conv1d.h, the gates as in headwise_linear.h, the
 * recurrence as in slstm.h.)
 *
 * Layout: everything is contiguous. Channel h D + j of x is unit j of head h.
 * Types: `dtype` is that of x, h and the state of the convolution, `weight_dtype` that of all
 * parameters: dtype, or XLSTM_F32 beside bfloat16 and float16. The state of the cell is XLSTM_F32,
 * and so is every sum, gate and pre-activation. With a short dtype the products take u, h_{t-1},
 * W and R rounded to it; nothing else is rounded but h and the state of the convolution, so results
 * agree within that rounding with those of the ops one by one, which also round the gates. A row's
 * bits depend neither on B nor on the other rows.
 * Aliasing: c_final, n_final and m_final may be c_init, n_init and m_init, for only the thread that
 * replaces an element reads it. No other output may overlap anything: all blocks of a head read all
 * of its h_init and conv_init. Any B, H, D, KS >= 0.
 * Limits and their status: a negative size, or one whose product overflows: XLSTM_BAD_SIZE; a null
 * required pointer of an array with elements: XLSTM_NULL_POINTER; a negative or NaN clip:
 * XLSTM_BAD_VALUE; a weight_dtype that does not go with dtype: XLSTM_BAD_DTYPE.
 *
 * This entry point exists for CUDA alone: a CPU has the ops one by one for it.
 * CUDA (README.md, "Decode"): one launch, no workspace. 16 B H D^2 FLOP; reads 8 H D^2 weights
 * once per 8 rows (up to B = 8) or 16 rows. Accesses are of 16 bytes (R in 16 bits: 8) if D is a
 * multiple of 8 and arrays are aligned to 16, else of single elements: slower, and the same bits.
 */
#ifndef XLSTM_KERNELS_SLSTM_SLSTM_DECODE_H_
#define XLSTM_KERNELS_SLSTM_SLSTM_DECODE_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_slstm_decode_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t B, H, D, KS; /* KS: taps of the convolution, the last one x; 0: none */
  const void* x;       /* [B, H, D] */
  /* Without a convolution none of these is looked at. */
  const void* conv_weight; /* [H D, 1, KS] */
  const void* conv_bias;   /* [H D], or null: zeros */
  const void* conv_init;   /* [B, KS-1, H D], the inputs before x, or null: zeros */
  const void* W[4];        /* of the gates i, f, z, o: [H, D_out, D_in] each */
  const void* R;           /* [H, D_in, 4, D_out] */
  const void* bias;        /* [H, 4, D], or null: zeros */
  /* The state before the step, [B, H, D]; each may be null: zeros. */
  const void *h_init, *c_init, *n_init, *m_init;
  double forward_clip; /* > 0: h is clamped to +- this; 0: not */
  void* h;             /* [B, H, D] */
  /* The states after the step; each may be null: not wanted. */
  void* conv_final;                            /* as conv_init */
  void *h_final, *c_final, *n_final, *m_final; /* [B, H, D] */
} xlstm_slstm_decode_args;

xlstm_status xlstm_slstm_decode_cuda(const xlstm_slstm_decode_args* args, xlstm_exec exec);

/* The checks that are made first: all of the above except the element type. */
xlstm_status xlstm_slstm_decode_check(const xlstm_slstm_decode_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_SLSTM_SLSTM_DECODE_H_ */
