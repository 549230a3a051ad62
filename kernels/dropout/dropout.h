/* Dropout (Srivastava and others 2014), inverted: y = keep ? x / (1 - p) : 0.
 *
 * Element i is kept if number i % 4 of philox(seed, offset + i / 4, 0), as 24 bits in [0, 1), is at
 * least p. The gradient is the same function of dy with the same seed and offset, so no mask is
 * stored.
 *
 * offset_base lies where x does, so a captured launch draws new numbers at every replay.
 *
 * Layout: x and y dense, n elements, float32 or float64 (CUDA: float32, bfloat16, float16); y may
 * be x. Limits: 0 <= p < 1.
 * A dropped element is 0 whatever x holds. Work: one Philox block per 4 elements.
 * CUDA: one launch; a thread takes twice 16 bytes, so whole Philox blocks, and keeps what the CPU
 * keeps.
 */
#ifndef XLSTM_KERNELS_DROPOUT_DROPOUT_H_
#define XLSTM_KERNELS_DROPOUT_DROPOUT_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_dropout_args {
  xlstm_dtype dtype;
  int64_t n;
  const void* x;
  void* y;
  double p;
  uint64_t seed, offset;
  const uint64_t* offset_base; /* added to offset, read when the kernel runs; may be null */
} xlstm_dropout_args;

xlstm_status xlstm_dropout_check(const xlstm_dropout_args* args);
/* Forward (x to y) and backward (dy to dx) alike. */
xlstm_status xlstm_dropout_cpu(const xlstm_dropout_args* args, xlstm_exec exec);
xlstm_status xlstm_dropout_cuda(const xlstm_dropout_args* args, xlstm_exec exec);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_DROPOUT_DROPOUT_H_ */
