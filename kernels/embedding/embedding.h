/* Table look-up: y[t] = weight[token[t]], and its gradient.
 *
 * Backward: dweight[w] = sum of dy[t] over the positions t with token[t] == w, in order of t, in
 * double; rows of the table that no token names become 0.
 *
 * Layout: tokens int64 [n_tokens] dense; weight [n_vocab, D] and y, dy [n_tokens, D] with a dense
 * last dimension and a row stride in elements; dweight dense [n_vocab, D].
 * Types: y and dy of `dtype`; weight and dweight of `weight_dtype`, the same or float32 beside
 * bfloat16 and float16. On the CPU float32 or float64; on CUDA float32, bfloat16, float16, and sums
 * in float32. Nothing may overlap.
 * Limits: 0 <= token < n_vocab, else XLSTM_BAD_VALUE; sizes >= 0. CUDA does not look at the tokens
 * beforehand: a token out of range gives a row of NaN, and no gradient. There n_tokens and n_vocab
 * must be below 2^31, else XLSTM_BAD_SIZE.
 * Work: forward reads and writes D elements a token. Backward sorts the positions by token with one
 * counting sort (workspace: n_vocab + 1 + n_tokens int64), then each table row has one writer, so
 * threads change no bit.
 * CUDA: forward, a warp copies a row, eight accesses of 16 bytes a lane at once. Backward: a stable
 * radix sort of the positions by token (9 bits a pass, ranks by counting, so every run gives the
 * same order), then blocks of threads sum windows of 64 sorted positions; a token that crosses
 * windows leaves one partial row a window, which the last launch adds in order. Workspace: 16 bytes
 * a token, one a table row, and two rows of D floats a window.
 */
#ifndef XLSTM_KERNELS_EMBEDDING_EMBEDDING_H_
#define XLSTM_KERNELS_EMBEDDING_EMBEDDING_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_embedding_fwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t n_tokens, n_vocab, D;
  const int64_t* tokens;
  const void* weight;
  int64_t weight_stride_row;
  void* y;
  int64_t y_stride_row;
} xlstm_embedding_fwd_args;

typedef struct xlstm_embedding_bwd_args {
  xlstm_dtype dtype, weight_dtype;
  int64_t n_tokens, n_vocab, D;
  const int64_t* tokens;
  const void* dy;
  int64_t dy_stride_row;
  void* dweight;
} xlstm_embedding_bwd_args;

xlstm_status xlstm_embedding_fwd_check(const xlstm_embedding_fwd_args* args);
xlstm_status xlstm_embedding_bwd_check(const xlstm_embedding_bwd_args* args);

xlstm_status xlstm_embedding_fwd_cpu(const xlstm_embedding_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_embedding_fwd_cuda(const xlstm_embedding_fwd_args* args, xlstm_exec exec);
xlstm_status xlstm_embedding_bwd_cpu(const xlstm_embedding_bwd_args* args, xlstm_exec exec);
xlstm_status xlstm_embedding_bwd_cuda(const xlstm_embedding_bwd_args* args, xlstm_exec exec);
int64_t xlstm_embedding_bwd_workspace_cpu(const xlstm_embedding_bwd_args* args);
int64_t xlstm_embedding_bwd_workspace_cuda(const xlstm_embedding_bwd_args* args);

#ifdef __cplusplus
}
#endif
#endif /* XLSTM_KERNELS_EMBEDDING_EMBEDDING_H_ */
