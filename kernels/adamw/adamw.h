/* Updates of flat parameters by AdamW and SGD, the sum of squares for clipping, clipping by value,
 * and what decides on an update without the host.
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

/* The learning rates of the next few updates: rate[i] is that of update number base + i, counted
 * from 0. The host cannot know which comes next: a skipped update does not advance the schedule. */
#define XLSTM_UPDATE_RATES 4
typedef struct xlstm_update_rates {
  int64_t base;
  float rate[XLSTM_UPDATE_RATES];
} xlstm_update_rates;

/* What goes from update to update, and what the last one was. Its fields lr, grad_scale, step and
 * skip serve as xlstm_update_scalars. */
typedef struct xlstm_update_state {
  int64_t step;         /* updates done, the one decided on included: 1 for the first */
  int64_t n_skipped;    /* in all */
  int64_t n_in_a_row;   /* skipped up to now, less overflows that a smaller loss scale may end */
  int64_t n_good;       /* updates since the loss scale changed or one was skipped */
  double gradient_norm; /* of the averaged gradient, without the loss scale */
  float loss_scale;     /* for the next backward pass */
  float loss;           /* the mean over the batches of the update */
  float lr, grad_scale;
  int32_t skip;
  double votes; /* what came in votes, for the host */
} xlstm_update_state;

/* Decides on one update from the squares of the gradients and the loss: with n batches added up,
 * S = loss_scale and the state before,
 *   norm = sqrt(sum of sums) / (n S);  skip = norm or loss is not finite
 *   grad_scale = min(1, max_norm / norm) / (n S)  (max_norm 0: no limit);  lr = the table's
 * and afterwards, if growth_interval > 0: S = max(S backoff, min_scale) after a skip,
 * min(S growth, max_scale) after growth_interval good updates in a row. step counts the updates
 * that are not skipped. n_in_a_row leaves out skips with a finite loss at S > min_scale. A step
 * beyond the table takes its last rate. One thread, one launch. */
typedef struct xlstm_update_control_args {
  const double* sums; /* [n_sums] sums of squares */
  int64_t n_sums;
  const double* loss;  /* one element: the sum over the batches of their mean losses, unscaled */
  const double* votes; /* one element, passed on to the state; may be null */
  int64_t n_accumulated;
  double max_norm;
  double growth, backoff, min_scale, max_scale;
  int64_t growth_interval; /* 0: the loss scale stays */
  const xlstm_update_rates* rates;
  xlstm_update_state* state;
} xlstm_update_control_args;

xlstm_status xlstm_adamw_check(const xlstm_adamw_args* args);
xlstm_status xlstm_sgd_check(const xlstm_sgd_args* args);
xlstm_status xlstm_sum_of_squares_check(const xlstm_sum_of_squares_args* args);
xlstm_status xlstm_clip_check(const xlstm_clip_args* args);
xlstm_status xlstm_update_control_check(const xlstm_update_control_args* args);

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
xlstm_status xlstm_update_control_cpu(const xlstm_update_control_args* args, xlstm_exec exec);
xlstm_status xlstm_update_control_cuda(const xlstm_update_control_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_ADAMW_ADAMW_H_ */
