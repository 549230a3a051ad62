/* Choosing the next token of each row of logits.
 *
 * temperature == 0: the largest logit, the smallest id among equals. Else token v has probability
 *   p[v] = exp((x[v] - max x) / temperature) / sum
 * over the valid ids (v < n_valid), or over the top_k largest of them; where logits equal to the
 * k-th largest do not all fit, the smallest ids stay. The token is the first v, in order of ids,
 * whose cumulative probability exceeds the uniform number u in [0, 1) made of 53 bits of
 * philox(seed, position, stream), stream = streams[row], or row if streams is null. To the position
 * given, *position_base is added when the kernel runs, so that a launch that is recorded once and
 * replayed draws at new positions.
 *
 * Layout: logits [rows, n_vocab], dense last dimension, row stride in elements; streams and tokens
 * int64 [rows]. Types: float32 or float64 on the CPU; probabilities are summed in double.
 * Rows are independent: a token depends on its own logits, seed, position and stream alone.
 * Limits: 1 <= n_valid <= n_vocab, or n_valid == 0 for all; top_k >= 0, 0 for all; temperature >= 0
 * and finite. XLSTM_BAD_VALUE, with no token written, if a valid logit is NaN or +inf or a row has
 * only -inf. -inf marks a token that is never chosen.
 * Work: 2 passes over the valid logits and one exp each; with top_k, 2 passes without exp and a
 * heap of top_k entries (workspace: top_k pairs of logit and id a row).
 * CUDA: float32, bfloat16, float16; weights in float32, summed in double, so a token differs from
 * the CPU's only where the random number falls on a border to within about 1e-7. The call cannot
 * wait for the logits: a row that cannot be sampled from gets the token -1, and the call is OK.
 * n_valid < 2^31. One launch, a block of 1024 threads for a row, no workspace. The k-th largest
 * logit is found digit by digit of its bits (3 passes that count in shared memory); the token by
 * summing a piece of the row per warp, then of the chosen piece, then by a walk of one warp.
 */
#ifndef XLSTM_KERNELS_SAMPLING_SAMPLING_H_
#define XLSTM_KERNELS_SAMPLING_SAMPLING_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_sampling_args {
  xlstm_dtype dtype;
  int64_t rows, n_vocab, n_valid;
  const void* logits;
  int64_t logits_stride_row;
  double temperature;
  int64_t top_k;
  uint64_t seed, position;
  const int64_t* streams;        /* may be null */
  const uint64_t* position_base; /* may be null; in the memory of the device that runs */
  int64_t* tokens;
} xlstm_sampling_args;

xlstm_status xlstm_sampling_check(const xlstm_sampling_args* args);
xlstm_status xlstm_sampling_cpu(const xlstm_sampling_args* args, xlstm_exec exec);
xlstm_status xlstm_sampling_cuda(const xlstm_sampling_args* args, xlstm_exec exec);
int64_t xlstm_sampling_workspace_cpu(const xlstm_sampling_args* args);
int64_t xlstm_sampling_workspace_cuda(const xlstm_sampling_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_SAMPLING_SAMPLING_H_ */
