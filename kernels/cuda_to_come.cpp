// Part of a CUDA build: the entry points whose kernels are not written yet say so.
#include "kernels/activation/activation.h"
#include "kernels/adamw/adamw.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/copy/copy.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding.h"
#include "kernels/headwise_linear/headwise_linear.h"
#include "kernels/mlstm/mlstm.h"
#include "kernels/norm/norm.h"
#include "kernels/reduce/reduce.h"
#include "kernels/sampling/sampling.h"
#include "kernels/slstm/slstm.h"

#define XLSTM_ABSENT(op)                                                 \
  xlstm_status xlstm_##op##_cuda(const xlstm_##op##_args*, xlstm_exec) { \
    return XLSTM_NOT_COMPILED;                                           \
  }
#define XLSTM_NO_WORKSPACE(op)                                    \
  int64_t xlstm_##op##_workspace_cuda(const xlstm_##op##_args*) { \
    return 0;                                                     \
  }
// clang-format off
XLSTM_ABSENT(slstm_bwd)
XLSTM_ABSENT(slstm_fwd)

XLSTM_NO_WORKSPACE(slstm_bwd)
XLSTM_NO_WORKSPACE(slstm_fwd)

int64_t xlstm_slstm_saved_bytes_cuda(xlstm_dtype, int64_t, int64_t, int64_t, int64_t) {
  return 0;
}
