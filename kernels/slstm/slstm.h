/* The sLSTM recurrence, forward and backward. Equations: slstm_cell.h; algorithm: README.md.
 *
 * Per step t and head h, with the gates in the order i = 0, f = 1, z = 2, o = 3:
 *   g     = wx_t + h_{t-1} R_h + bias_h         (h R)[g, j] = sum_k h[k] R[h, k, g, j]
 *   l     = m_{t-1} + log sigmoid(g_f)
 *   m_t   = g_i if n_{t-1} == 0 else max(g_i, l)               (per element)
 *   i', f' = exp(g_i - m_t), min(1, exp(l - m_t));  z = tanh(g_z);  o = sigmoid(g_o)
 *   c_t   = f' c_{t-1} + i' z;   n_t = f' n_{t-1} + i';   h_t = o c_t / n_t
 * (Beck et al., "xLSTM: Extended Long Short-Term Memory", 2024, with the forget gate sigmoid.)
 *
 * Types: `dtype` is that of wx, h, dh and dwx: XLSTM_F32 or XLSTM_F64 on the CPU; XLSTM_F32,
 * XLSTM_BF16 or XLSTM_F16 on CUDA. `weight_dtype` is that of R, bias and their gradients: dtype, or
 * XLSTM_F32 beside the two short types. Every state and its gradient is XLSTM_F32, or XLSTM_F64
 * where dtype is, and so is every gate and sum. With a short dtype the product takes R, h_{t-1} and
 * (backward) dg rounded to it; nothing else is rounded inside the recurrence.
 * Strides are in elements; the last dimension, of D units, is dense. Outputs must not overlap each
 * other or any input. Any B, T, H, D >= 0.
 * Limits and their status: a negative size, or one whose product overflows: XLSTM_BAD_SIZE; an
 * output whose rows overlap by its strides: XLSTM_BAD_STRIDE; a null required pointer of an array
 * with elements: XLSTM_NULL_POINTER; a negative or NaN clip: XLSTM_BAD_VALUE; a weight_dtype that
 * does not go with dtype: XLSTM_BAD_DTYPE; a `saved` that is no multiple of 16 bytes:
 * XLSTM_MISALIGNED.
 *
 * Cost of the forward: 8 B T H D^2 FLOP; of the backward 16 B T H D^2 with dR. On the CPU a task
 * owns one head and a tile of batch rows over all of time: R stays in its cache and no task waits
 * for another.
 *
 * On CUDA (README.md) one of four kernels runs, chosen by `variant`, or if that is 0 by dtype, D
 * and the card, the first that fits:
 *  - clusters (Hopper, short dtype, D a multiple of 8 up to 768, rows 16 bytes apart): a cluster of
 *    1 to 16 blocks owns a head and 4 or 8 rows of the batch over all of time; R lies in registers
 *    and shared memory, and h (backward: parts of dh) goes from block to block through it;
 *  - small heads (short dtype, D <= 128): a block owns a head and 8 rows of the batch over all of
 *    time, a warp 16 units of it; R lies in registers and h goes through shared memory;
 *  - spread heads (larger D, and float32): several blocks own the units of a head between them, R
 *    lies in their registers (float32: shared memory), and they exchange h (backward: dg) through
 *    the L2 cache. A cooperative launch guarantees that all of them are resident;
 *  - step by step: one launch per step, where neither fits.
 * dR and dbias follow in one product over all rows and a sum of its parts in a fixed order.
 * Launches: 2 to 3 forward, 2 to 5 backward, T more step by step. Memory traffic per row, step and
 * unit with s bytes per element: forward 5 s and 24 to save; backward 24 + 5 s, and 5 s for dR.
 */
#ifndef XLSTM_KERNELS_SLSTM_SLSTM_H_
#define XLSTM_KERNELS_SLSTM_SLSTM_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Forward and backward of one call may differ. Another number is XLSTM_BAD_VALUE; one that does not
 * compute these sizes and types on the current device is XLSTM_BAD_VARIANT; the CPU has AUTO
 * alone. */
typedef enum xlstm_slstm_variant {
  XLSTM_SLSTM_AUTO = 0,
  XLSTM_SLSTM_SMALL = 1,
  XLSTM_SLSTM_SPREAD = 2,
  XLSTM_SLSTM_STEP = 3,
  XLSTM_SLSTM_CLUSTER = 4
} xlstm_slstm_variant;

typedef struct xlstm_slstm_fwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t B, T, H, D;
  const void* wx; /* [B, T, 4, H, D] by these strides */
  int64_t wx_stride_b, wx_stride_t, wx_stride_g, wx_stride_h;
  const void* R;    /* [H, D_in, 4, D_out] contiguous */
  const void* bias; /* [H, 4, D] contiguous, or null: zeros */
  /* Initial states [B, H, D] contiguous; each may be null: zeros. */
  const void *h_init, *c_init, *n_init, *m_init;
  /* [B, T] contiguous or null. Not 0: the state is zero before that step. */
  const uint8_t* reset;
  double forward_clip; /* > 0: h is clamped to +- this; 0: not */
  void* h;             /* [B, T, H, D] by these strides */
  int64_t h_stride_b, h_stride_t, h_stride_h;
  /* Final states [B, H, D] contiguous; each may be null: not wanted. */
  void *h_final, *c_final, *n_final, *m_final;
  /* What the backward of the same backend reads, xlstm_slstm_saved_bytes_<backend> bytes and
   * 16-byte aligned, or null: no backward will follow. CPU: [H, T, B, 7, D'], the seven being c_t,
   * n_t, i', f', z, o, sigmoid(-g_f); D' is D rounded up to whole SIMD registers. CUDA: [H, T, B,
   * groups of 8 units, 6, 8] of float32; i' and f' share one number (slstm_cuda.cuh). Units beyond
   * D hold numbers of no meaning. */
  void* saved;
  int32_t variant; /* xlstm_slstm_variant */
} xlstm_slstm_fwd_args;

typedef struct xlstm_slstm_bwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t B, T, H, D;
  /* As in the forward; h is its output. */
  const void* R;
  const void *h_init, *c_init, *n_init;
  const uint8_t* reset;
  const void* h;
  int64_t h_stride_b, h_stride_t, h_stride_h;
  const void* saved;
  double recurrent_clip; /* > 0: the part of dh that comes from step t+1 (or from dh_final) is
                            clamped to +- this, elementwise; 0: not */
  int recurrent_cut;     /* 1: no gradient through h_{t-1}; R keeps its own. 0: full gradient */
  /* Gradients of the outputs; each may be null: zeros. The final stabiliser takes none: dc and dn
   * are at fixed m. dh [B, T, H, D] by strides, the others [B, H, D] contiguous. */
  const void* dh;
  int64_t dh_stride_b, dh_stride_t, dh_stride_h;
  const void *dh_final, *dc_final, *dn_final;
  /* Gradients of the inputs, overwritten; each may be null: not wanted. dwx [B, T, 4, H, D] by
   * strides, dR and dbias as R and bias, the others [B, H, D] contiguous. dm_init is
   * c_init dc_init + n_init dn_init. */
  void* dwx;
  int64_t dwx_stride_b, dwx_stride_t, dwx_stride_g, dwx_stride_h;
  void *dR, *dbias, *dh_init, *dc_init, *dn_init, *dm_init;
  int32_t variant; /* xlstm_slstm_variant */
} xlstm_slstm_bwd_args;

/* All queries return 0 for arguments that the call itself would refuse. */
int64_t xlstm_slstm_saved_bytes_cpu(xlstm_dtype dtype, int64_t B, int64_t T, int64_t H, int64_t D);
int64_t xlstm_slstm_saved_bytes_cuda(xlstm_dtype dtype, int64_t B, int64_t T, int64_t H, int64_t D);
int64_t xlstm_slstm_fwd_workspace_cpu(const xlstm_slstm_fwd_args* args);
int64_t xlstm_slstm_fwd_workspace_cuda(const xlstm_slstm_fwd_args* args);
int64_t xlstm_slstm_bwd_workspace_cpu(const xlstm_slstm_bwd_args* args);
int64_t xlstm_slstm_bwd_workspace_cuda(const xlstm_slstm_bwd_args* args);

xlstm_status xlstm_slstm_fwd_cpu(const xlstm_slstm_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_slstm_fwd_cuda(const xlstm_slstm_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_slstm_bwd_cpu(const xlstm_slstm_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_slstm_bwd_cuda(const xlstm_slstm_bwd_args* args, xlstm_exec exec);

/* Which kernel a call with these arguments runs on the current device, for reports: "cluster",
 * "small", "spread", "step", "nothing" for a call without elements, or "none" where the variant
 * asked for is refused. Never null, never freed. */
const char* xlstm_slstm_fwd_variant_cuda(const xlstm_slstm_fwd_args* args);
const char* xlstm_slstm_bwd_variant_cuda(const xlstm_slstm_bwd_args* args);

/* The checks every backend makes first: all of the above except the element type. */
xlstm_status xlstm_slstm_fwd_check(const xlstm_slstm_fwd_args* args);
xlstm_status xlstm_slstm_bwd_check(const xlstm_slstm_bwd_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_SLSTM_SLSTM_H_ */
