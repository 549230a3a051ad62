// Chosen by CMake in a build without CUDA: every CUDA entry point says so.
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

#define XLSTM_ABSENT(op) \
  xlstm_status xlstm_##op##_cuda(const xlstm_##op##_args*, xlstm_exec) { return XLSTM_NOT_COMPILED; }
#define XLSTM_NO_WORKSPACE(op) \
  int64_t xlstm_##op##_workspace_cuda(const xlstm_##op##_args*) { return 0; }
