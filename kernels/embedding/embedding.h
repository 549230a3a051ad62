/* Table look-up: y[t] = weight[token[t]], and its gradient.
 *
 * Backward: dweight[w] = sum of dy[t] over the positions t with token[t] == w, in order of t, in
 * double; rows of the table that no token names become 0.
 *
 * Layout: tokens int64 [n_tokens] dense; weight [n_vocab, D] and y, dy [n_tokens, D] with a dense
 * last dimension and a row stride in elements; dweight dense [n_vocab, D].
 * Types: float32 or float64, the same for all tensors. Nothing may overlap.
 * Limits: 0 <= token < n_vocab, else XLSTM_BAD_VALUE; sizes >= 0.
 * Work: forward reads and writes D elements a token. Backward sorts the positions by token with one
 * counting sort (workspace: n_vocab + 1 + n_tokens int64), then each table row has one writer, so
 * threads change no bit.
 */
#ifndef XLSTM_KERNELS_EMBEDDING_EMBEDDING_H_
#define XLSTM_KERNELS_EMBEDDING_EMBEDDING_H_

#include "kernels/common/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xlstm_embedding_fwd_args {
  xlstm_dtype dtype;
  int64_t n_tokens, n_vocab, D;
  const int64_t* tokens;
  const void* weight;
  int64_t weight_stride_row;
  void* y;
  int64_t y_stride_row;
} xlstm_embedding_fwd_args;

typedef struct xlstm_embedding_bwd_args {
  xlstm_dtype dtype;
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
