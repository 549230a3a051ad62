/* Updates of flat parameters by AdamW and SGD, the sum of squares for clipping, clipping by value.
 *
 * AdamW (Loshchilov and Hutter 2019), with g = grad_scale * grad and step t counted from 1:
 *   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 *   p = p (1 - lr wd) - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
 * SGD, with g = grad_scale * grad + wd * p:
 *   u = momentum u + g,  p = p - lr * (nesterov ? g + momentum u : u)
 *
 * Layout: all arrays dense, n elements, none overlapping. Types: float32 or float64 on the CPU. On
 * CUDA parameters and moments are float32, gradients of `grad_dtype` float32, bfloat16 or float16,
 * and weights_copy, if given, receives the new parameters in float32, bfloat16 or float16; the sum
 * of squares and the clip take float32, bfloat16 and float16. Scalars that depend
 * on t are taken in double. Elements are independent; the sum of squares is taken in double over
 * fixed blocks that are added in order, so threads change no bit.
 * Limits: n >= 0; lr, eps, weight_decay, beta and momentum finite, betas and momentum in [0, 1),
 * step >= 1, else XLSTM_BAD_VALUE. Gradients are not checked for NaN and infinity: that is what the
 * sum of squares is for.
 * CUDA: a step need not wait for the host: the scalars of `on_device` are read on the device in
 * place of the values beside them, which are then not checked either. A thread updates 16 bytes of
 * every array at a time, one launch. The sum of squares takes two launches and one double a block
 * (at most 1024) of workspace. The CPU refuses weights_copy and on_device with XLSTM_BAD_VALUE and
 * a grad_dtype other than dtype with XLSTM_BAD_DTYPE.
 */
#ifndef XLSTM_KERNELS_ADAMW_ADAMW_H_
#define XLSTM_KERNELS_ADAMW_ADAMW_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scalars in device memory; each may be null: the value in the arguments holds. CUDA alone. */
typedef struct xlstm_update_scalars {
  const float* lr;
  const float* grad_scale; /* for example of clipping by the norm */
  const int64_t* step;     /* AdamW alone */
  const int32_t* skip;     /* not 0: nothing is changed */
} xlstm_update_scalars;

/* Reads 4 arrays and writes 3, 28 bytes an element in float32. */
typedef struct xlstm_adamw_args {
  xlstm_dtype dtype;
  int64_t n;
  void* parameter;
  const void* grad;
  void* moment1;
  void* moment2;
  double lr, beta1, beta2, eps, weight_decay, grad_scale;
  int64_t step;
  xlstm_dtype grad_dtype;
  xlstm_dtype weights_copy_dtype;
  void* weights_copy; /* may be null */
  xlstm_update_scalars on_device;
} xlstm_adamw_args;

typedef struct xlstm_sgd_args {
  xlstm_dtype dtype;
  int64_t n;
  void* parameter;
  const void* grad;
  void* velocity; /* may be null if momentum == 0 */
  double lr, momentum, weight_decay, grad_scale;
  int32_t nesterov;
  xlstm_dtype grad_dtype;
  xlstm_dtype weights_copy_dtype;
  void* weights_copy; /* may be null */
  xlstm_update_scalars on_device;
} xlstm_sgd_args;

typedef struct xlstm_sum_of_squares_args {
  xlstm_dtype dtype;
  int64_t n;
  const void* x;
  double* sum; /* one element; NaN or infinite if any element is */
} xlstm_sum_of_squares_args;

/* x = min(max(x, -limit), limit) in place; NaN stays NaN. limit > 0. */
typedef struct xlstm_clip_args {
  xlstm_dtype dtype;
  int64_t n;
  void* x;
  double limit;
} xlstm_clip_args;

xlstm_status xlstm_adamw_check(const xlstm_adamw_args* args);
xlstm_status xlstm_sgd_check(const xlstm_sgd_args* args);
xlstm_status xlstm_sum_of_squares_check(const xlstm_sum_of_squares_args* args);
xlstm_status xlstm_clip_check(const xlstm_clip_args* args);

xlstm_status xlstm_adamw_cpu(const xlstm_adamw_args* args, xlstm_exec exec);
xlstm_status xlstm_adamw_cuda(const xlstm_adamw_args* args, xlstm_exec exec);
xlstm_status xlstm_sgd_cpu(const xlstm_sgd_args* args, xlstm_exec exec);
xlstm_status xlstm_sgd_cuda(const xlstm_sgd_args* args, xlstm_exec exec);
xlstm_status xlstm_sum_of_squares_cpu(const xlstm_sum_of_squares_args* args, xlstm_exec exec);
xlstm_status xlstm_sum_of_squares_cuda(const xlstm_sum_of_squares_args* args, xlstm_exec exec);
int64_t xlstm_sum_of_squares_workspace_cpu(const xlstm_sum_of_squares_args* args);
int64_t xlstm_sum_of_squares_workspace_cuda(const xlstm_sum_of_squares_args* args);
xlstm_status xlstm_clip_cpu(const xlstm_clip_args* args, xlstm_exec exec);
xlstm_status xlstm_clip_cuda(const xlstm_clip_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_ADAMW_ADAMW_H_ */
