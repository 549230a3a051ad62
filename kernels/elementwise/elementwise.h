/* Elementwise functions of one or two arrays, with broadcasting by strides.
 *
 * Every array is described over the same row-major shape sizes[0..n_dims), n_dims <=
 * XLSTM_ELEMENTWISE_MAX_DIMS, with a stride per dimension in elements (0 repeats; negative is
 * allowed). Results are dense and row-major, and may be the same memory as an input only where that
 * input is dense too. All arrays share one element type; the CPU computes in float32 and float64.
 * float32 functions are accurate to about 2 units in the last place. NaN propagates.
 *
 * CUDA: float32, bfloat16, float16, computed in float32 (e^x, sigmoid and tanh with 16-bit results
 * by the fast e^x). One launch; dimensions that all arrays walk alike are merged. A thread takes
 * two or four times 16 bytes of every array where the last merged dimension is dense (or repeats)
 * and aligned in all of them, else one element. The gradients of both arguments of a binary
 * function come from one pass.
 *
 * Work per element: one function; memory: each array once. No workspace.
 * Status: NULL_POINTER, BAD_SIZE (n_dims, negative sizes), BAD_DTYPE, BAD_VALUE (unknown op,
 * softcap with parameter <= 0).
 */
#ifndef XLSTM_KERNELS_ELEMENTWISE_ELEMENTWISE_H_
#define XLSTM_KERNELS_ELEMENTWISE_ELEMENTWISE_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define XLSTM_ELEMENTWISE_MAX_DIMS 8

typedef enum xlstm_unary_op {
  XLSTM_UNARY_SCALE = 0,       /* y = parameter * x */
  XLSTM_UNARY_ADD = 1,         /* y = x + parameter */
  XLSTM_UNARY_EXP = 2,         /* y = e^x */
  XLSTM_UNARY_LOG = 3,         /* natural logarithm */
  XLSTM_UNARY_SQRT = 4,        /* y = x^(1/2) */
  XLSTM_UNARY_SQUARE = 5,      /* y = x^2 */
  XLSTM_UNARY_ABS = 6,         /* y = |x|, slope 0 at 0 */
  XLSTM_UNARY_TANH = 7,        /* y = tanh x */
  XLSTM_UNARY_SIGMOID = 8,     /* y = 1 / (1 + e^-x) */
  XLSTM_UNARY_LOG_SIGMOID = 9, /* y = -(max(-x, 0) + log1p(e^-|x|)) */
  XLSTM_UNARY_SOFTCAP = 10     /* y = parameter * tanh(x / parameter) */
} xlstm_unary_op;

typedef enum xlstm_binary_op {
  XLSTM_BINARY_ADD = 0,
  XLSTM_BINARY_SUB = 1,
  XLSTM_BINARY_MUL = 2,
  XLSTM_BINARY_DIV = 3,
  XLSTM_BINARY_MAXIMUM = 4 /* a where a >= b; a tie's gradient goes to a */
} xlstm_binary_op;

typedef struct xlstm_unary_fwd_args {
  xlstm_unary_op op;
  xlstm_dtype dtype;
  int32_t n_dims;
  int64_t sizes[XLSTM_ELEMENTWISE_MAX_DIMS];
  double parameter;
  const void* x;
  int64_t x_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  void* y; /* dense; may be x */
} xlstm_unary_fwd_args;

/* dx = dy * y'(x). Which of x and y is read: xlstm_unary_bwd_reads. */
typedef struct xlstm_unary_bwd_args {
  xlstm_unary_op op;
  xlstm_dtype dtype;
  int32_t n_dims;
  int64_t sizes[XLSTM_ELEMENTWISE_MAX_DIMS];
  double parameter;
  const void* saved; /* x or y; null where neither is read */
  int64_t saved_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  const void* dy;
  int64_t dy_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  void* dx; /* dense; may be dy */
} xlstm_unary_bwd_args;

typedef enum xlstm_unary_saved {
  XLSTM_SAVED_NOTHING = 0,
  XLSTM_SAVED_INPUT = 1, /* x */
  XLSTM_SAVED_OUTPUT = 2 /* y */
} xlstm_unary_saved;

typedef struct xlstm_binary_fwd_args {
  xlstm_binary_op op;
  xlstm_dtype dtype;
  int32_t n_dims;
  int64_t sizes[XLSTM_ELEMENTWISE_MAX_DIMS];
  const void* a;
  int64_t a_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  const void* b;
  int64_t b_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  void* y; /* dense; may be a or b if that one is dense */
} xlstm_binary_fwd_args;

/* da = dy * dy/da and db likewise, over the broadcast shape: sums over repeated elements are the
 * caller's. ADD and SUB are not taken (their gradients are dy and -dy): BAD_VALUE. */
typedef struct xlstm_binary_bwd_args {
  xlstm_binary_op op;
  xlstm_dtype dtype;
  int32_t n_dims;
  int64_t sizes[XLSTM_ELEMENTWISE_MAX_DIMS];
  const void* a; /* MUL reads it for db only, DIV for db only, MAXIMUM always; else may be null */
  int64_t a_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  const void* b; /* MUL reads it for da only, DIV and MAXIMUM always; else may be null */
  int64_t b_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  const void* dy;
  int64_t dy_strides[XLSTM_ELEMENTWISE_MAX_DIMS];
  void* da; /* dense, or null if not wanted */
  void* db; /* dense, or null if not wanted */
} xlstm_binary_bwd_args;

/* What the gradient of a unary function reads. */
xlstm_unary_saved xlstm_unary_bwd_reads(xlstm_unary_op op);

xlstm_status xlstm_unary_fwd_check(const xlstm_unary_fwd_args* args);
xlstm_status xlstm_unary_bwd_check(const xlstm_unary_bwd_args* args);
xlstm_status xlstm_binary_fwd_check(const xlstm_binary_fwd_args* args);
xlstm_status xlstm_binary_bwd_check(const xlstm_binary_bwd_args* args);

/* The CPU: blocks of 16384 elements are spread over the threads. */
xlstm_status xlstm_unary_fwd_cpu(const xlstm_unary_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_unary_fwd_cuda(const xlstm_unary_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_unary_bwd_cpu(const xlstm_unary_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_unary_bwd_cuda(const xlstm_unary_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_binary_fwd_cpu(const xlstm_binary_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_binary_fwd_cuda(const xlstm_binary_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_binary_bwd_cpu(const xlstm_binary_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_binary_bwd_cuda(const xlstm_binary_bwd_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_ELEMENTWISE_ELEMENTWISE_H_ */
