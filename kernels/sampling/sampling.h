/* Choosing the next token of each row of logits.
 *
 * A token v that was seen (seen[row, v] != 0) has the logit x[v] / repetition_penalty if x[v] > 0,
 * else x[v] * repetition_penalty; x below is what results. seen may be null: none was.
 *
 * temperature == 0: the largest logit, the smallest id among equals. Else token v has the weight
 *   w[v] = exp((x[v] - max x) / temperature)
 * and of the valid ids (v < n_valid) are kept, in the order of falling logits, the smaller id first
 * among equals:
 *   - the first top_k;
 *   - of these the fewest from the first on, one at least, whose weights add up to at least top_p
 *     times the sum of all of these;
 *   - of these again those with w[v] >= min_p.
 * The token is the first v kept, in order of ids, at which the sum of the weights kept up to v
 * exceeds u times the sum of all kept, with u the uniform number in [0, 1) made of 53 bits of
 * philox(seed, position, stream), stream = streams[row], or row if streams is null. To the position
 * given, *position_base is added when the kernel runs, so that a launch that is recorded once and
 * replayed draws at new positions. At the end seen[row, token] becomes 1.
 *
 * Layout: logits [rows, n_vocab] and seen bytes [rows, n_vocab], dense last dimension, row strides
 * in elements; streams and tokens int64 [rows]. Types: float32 or float64 on the CPU; weights are
 * summed in double. Rows of seen must not overlap.
 *
 * Rows are independent: a token depends on its own logits, seen tokens, seed, position and stream
 * alone.
 *
 * Limits: 1 <= n_valid <= n_vocab, or n_valid == 0 for all; top_k >= 0, 0 for all; temperature >= 0
 * and finite; 0 <= top_p <= 1, 1 for all; 0 <= min_p <= 1, 0 for all; repetition_penalty > 0 and
 * finite, 1 for none. XLSTM_BAD_VALUE, with no token written, if a valid logit is NaN or +inf
 * (after the penalty, too) or a row has only -inf. -inf marks a token that is never chosen.
 *
 * Work: 2 passes over the valid logits and one exp each; with top_k, 2 passes without exp and a
 * heap of top_k entries; with top_p alone, 2 passes with exp that leave what may be kept, and a
 * heap of that. Workspace on the CPU: a pair of logit and id a row and entry (of top_k; with top_p
 * alone of all), and with a penalty the logits after it.
 *
 * CUDA: float32, bfloat16, float16; weights in float32, summed in double, for top_p as integers in
 * units of 2^-62 times a power of two above the row's length, whose sum knows no order. So a token
 * differs from the CPU's only where the random number, top_p or min_p falls on a border to within
 * about 1e-7. The call cannot wait for the logits: a row that cannot be sampled from gets the token
 * -1, and the call is OK. n_valid < 2^31. One launch, a block of 1024 threads for a row, no
 * workspace. The last logit of top_k or top_p is found digit by digit of its bits (3 passes each
 * that count, or sum, in shared memory); the token by summing a piece of the row per warp, then of
 * the chosen piece, then by a walk of one warp.
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
  double top_p, min_p;
  double repetition_penalty;
  uint64_t seed, position;
  const int64_t* streams;        /* may be null */
  const uint64_t* position_base; /* may be null; in the memory of the device that runs */
  uint8_t* seen;                 /* may be null; read and written */
  int64_t seen_stride_row;
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
