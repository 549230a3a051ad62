/* Activations, and gates: activation(gate) * up in one pass.
 *
 * Inputs are matrices [rows, cols] with dense rows, a row stride in elements apart (gate and up are
 * usually the two halves of one projection: cols = F, row stride 2F). The CPU computes in float32
 * and float64; float32 is accurate to about 3 units in the last place of max(1, |x|).
 *
 *   silu(x) = x sigmoid(x)               gelu(x) = x (1 + erf(x / sqrt 2)) / 2
 *   relu(x) = max(x, 0)                  relu_squared(x) = max(x, 0)^2
 *   sigmoid(x) = 1 / (1 + e^-x)          selu(x) = s (max(x, 0) + min(0, a (e^x - 1)))
 * with a = 1.6732632423543772, s = 1.0507009873554805 (Klambauer et al. 2017); the slope of relu
 * at 0 is 0. NaN propagates.
 *
 * CUDA: float32, bfloat16, float16, computed in float32 (16-bit results with the fast e^x). One
 * launch; a thread takes two or four times 16 bytes of every array, or elements where a row stride,
 * a pointer or cols is not a multiple of that.
 *
 * Memory: every array once. No workspace. Status: NULL_POINTER, BAD_SIZE, BAD_STRIDE (a row stride
 * shorter than a row), BAD_DTYPE, BAD_VALUE (unknown activation).
 */
#ifndef XLSTM_KERNELS_ACTIVATION_ACTIVATION_H_
#define XLSTM_KERNELS_ACTIVATION_ACTIVATION_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xlstm_activation {
  XLSTM_SILU = 0,
  XLSTM_GELU = 1,
  XLSTM_RELU = 2,
  XLSTM_RELU_SQUARED = 3,
  XLSTM_SIGMOID = 4,
  XLSTM_SELU = 5
} xlstm_activation;

/* y = act(x) * up, or act(x) where up is null. */
typedef struct xlstm_activation_fwd_args {
  xlstm_activation activation;
  xlstm_dtype dtype;
  int64_t rows, cols;
  const void* x;
  int64_t x_row_stride;
  const void* up; /* or null */
  int64_t up_row_stride;
  void* y;
  int64_t y_row_stride; /* y may be x or up, at the same stride */
} xlstm_activation_fwd_args;

/* dx = dy * up * act'(x) (up = 1 where null), dup = dy * act(x). */
typedef struct xlstm_activation_bwd_args {
  xlstm_activation activation;
  xlstm_dtype dtype;
  int64_t rows, cols;
  const void* x;
  int64_t x_row_stride;
  const void* up; /* or null */
  int64_t up_row_stride;
  const void* dy;
  int64_t dy_row_stride;
  void* dx;
  int64_t dx_row_stride;
  void* dup; /* null where up is null */
  int64_t dup_row_stride;
} xlstm_activation_bwd_args;

xlstm_status xlstm_activation_fwd_check(const xlstm_activation_fwd_args* args);
xlstm_status xlstm_activation_bwd_check(const xlstm_activation_bwd_args* args);

/* The CPU: fixed blocks of elements are spread over the threads. */
xlstm_status xlstm_activation_fwd_cpu(const xlstm_activation_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_activation_fwd_cuda(const xlstm_activation_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_activation_bwd_cpu(const xlstm_activation_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_activation_bwd_cuda(const xlstm_activation_bwd_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_ACTIVATION_ACTIVATION_H_ */
