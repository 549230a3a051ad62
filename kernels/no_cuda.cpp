// Chosen by CMake in a build without CUDA: every CUDA entry point says so.
#include "kernels/activation/activation.h"
#include "kernels/adamw/adamw.h"
#include "kernels/carry/carry.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/copy/copy.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding.h"
#include "kernels/headwise_linear/headwise_linear.h"
#include "kernels/linear/linear.h"
#include "kernels/mlstm/mlstm.h"
#include "kernels/norm/norm.h"
#include "kernels/norm/norm_gated.h"
#include "kernels/reduce/reduce.h"
#include "kernels/sampling/sampling.h"
#include "kernels/slstm/slstm.h"
#include "kernels/slstm/slstm_decode.h"
#include "kernels/sum_parts/sum_parts.h"

#define XLSTM_ABSENT(op)                                                 \
  xlstm_status xlstm_##op##_cuda(const xlstm_##op##_args*, xlstm_exec) { \
    return XLSTM_NOT_COMPILED;                                           \
  }
#define XLSTM_NO_WORKSPACE(op)                                    \
  int64_t xlstm_##op##_workspace_cuda(const xlstm_##op##_args*) { \
    return 0;                                                     \
  }
// clang-format off
XLSTM_ABSENT(activation_bwd)
XLSTM_ABSENT(activation_fwd)
XLSTM_ABSENT(adamw)
XLSTM_ABSENT(binary_bwd)
XLSTM_ABSENT(binary_fwd)
XLSTM_ABSENT(carry_restart)
XLSTM_ABSENT(carry_store)
XLSTM_ABSENT(causal_conv1d_bwd)
XLSTM_ABSENT(causal_conv1d_fwd)
XLSTM_ABSENT(clip)
XLSTM_ABSENT(copy)
XLSTM_ABSENT(fill)
XLSTM_ABSENT(update_control)
XLSTM_ABSENT(cross_entropy_bwd)
XLSTM_ABSENT(cross_entropy_fwd)
XLSTM_ABSENT(cumsum_fwd)
XLSTM_ABSENT(dropout)
XLSTM_ABSENT(embedding_bwd)
XLSTM_ABSENT(embedding_fwd)
XLSTM_ABSENT(headwise_linear_bwd)
XLSTM_ABSENT(headwise_linear_fwd)
XLSTM_ABSENT(linear_few)
XLSTM_ABSENT(max_bwd)
XLSTM_ABSENT(max_fwd)
XLSTM_ABSENT(mlstm_bwd)
XLSTM_ABSENT(mlstm_fwd)
XLSTM_ABSENT(mlstm_step)
XLSTM_ABSENT(norm_bwd)
XLSTM_ABSENT(norm_fwd)
XLSTM_ABSENT(norm_gated_bwd)
XLSTM_ABSENT(norm_gated_fwd)
XLSTM_ABSENT(sampling)
XLSTM_ABSENT(sgd)
XLSTM_ABSENT(slstm_bwd)
XLSTM_ABSENT(slstm_decode)
XLSTM_ABSENT(slstm_fwd)
XLSTM_ABSENT(sum_fwd)
XLSTM_ABSENT(sum_of_squares)
XLSTM_ABSENT(sum_parts)
XLSTM_ABSENT(unary_bwd)
XLSTM_ABSENT(unary_fwd)

XLSTM_NO_WORKSPACE(causal_conv1d_bwd)
XLSTM_NO_WORKSPACE(causal_conv1d_fwd)
XLSTM_NO_WORKSPACE(cross_entropy_fwd)
XLSTM_NO_WORKSPACE(embedding_bwd)
XLSTM_NO_WORKSPACE(headwise_linear_bwd)
XLSTM_NO_WORKSPACE(headwise_linear_fwd)
XLSTM_NO_WORKSPACE(mlstm_bwd)
XLSTM_NO_WORKSPACE(mlstm_fwd)
XLSTM_NO_WORKSPACE(norm_bwd)
XLSTM_NO_WORKSPACE(norm_gated_bwd)
XLSTM_NO_WORKSPACE(sampling)
XLSTM_NO_WORKSPACE(slstm_bwd)
XLSTM_NO_WORKSPACE(slstm_fwd)
XLSTM_NO_WORKSPACE(sum_fwd)
XLSTM_NO_WORKSPACE(sum_of_squares)
XLSTM_NO_WORKSPACE(sum_parts)

const char* xlstm_take_device_error(void) {
  return "no error";
}
int64_t xlstm_slstm_saved_bytes_cuda(xlstm_dtype, int64_t, int64_t, int64_t, int64_t) {
  return 0;
}
int64_t xlstm_mlstm_states_bytes_cuda(const xlstm_mlstm_fwd_args*) {
  return 0;
}
const char* xlstm_mlstm_fwd_variant_cuda(const xlstm_mlstm_fwd_args*) {
  return "none";
}
const char* xlstm_mlstm_bwd_variant_cuda(const xlstm_mlstm_bwd_args*) {
  return "none";
}
const char* xlstm_slstm_fwd_variant_cuda(const xlstm_slstm_fwd_args*) {
  return "nothing";
}
const char* xlstm_slstm_bwd_variant_cuda(const xlstm_slstm_bwd_args*) {
  return "nothing";
}
