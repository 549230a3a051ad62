// The kernel calls of a gated norm, for the ops that contain it. Outside the tape.
#pragma once

#include "core/autograd.h"
#include "core/ops/norm.h"

namespace xlstm::ops {

// The inputs in the order of the tape.
enum GatedNormInput : size_t { kX, kGate, kWeight, kBias, kSkip, kSkipWeight, kGatedNormInputs };

struct GatedNormConfig {
  int64_t n_heads;
  double eps;
  NormScale scale;
  Activation activation;
};

// The inputs, checked (errors name `op`), weights cast to one type that kernels read; the cast is
// on the tape.
Tensors gated_norm_inputs(const char* op, const Tensor& x, const NormGate& gate,
                          const Tensor& weight, const Tensor& bias, const GatedNormConfig& config);

// What the backward pass reads.
struct SavedGatedNorm {
  std::vector<autograd::Saved> inputs;
  std::vector<bool> wanted;  // gradients
  Tensor mean, rstd;
  GatedNormConfig config;
};

// `saved`: null if there will be no backward pass.
Tensor gated_norm_forward(const Tensors& inputs, const GatedNormConfig& config,
                          SavedGatedNorm* saved);

// Gradients of the inputs. x_dx [..., n_heads] of the wide type, or undefined: takes <x, dx> of
// each head's features.
Tensors gated_norm_backward(const SavedGatedNorm& saved, const Tensor& grad, const Tensor& x_dx);

}  // namespace xlstm::ops
