// Normalisation over the last dimension. Statistics in double on the CPU, in float32 of shifted
// values on CUDA.
//
// x is float32 or float64 on the CPU; float32, bfloat16 or float16 on CUDA, with parameters of that
// type or of float32.
// Errors: ShapeError if x has no dimension, if a residual, gate or skip differs from x in shape or
// type, if a parameter is not [D] or not of such a type, or if H does not divide D; ConfigError for
// a bad eps or an activation that is no gate of a norm.
#pragma once

#include "core/ops/activation.h"
#include "core/tensor.h"

namespace xlstm::ops {

enum class NormScale {
  plain,    // y = xhat * w        (architecture B, w starts at 1)
  one_plus  // y = xhat * (1 + w)  (architecture A, w starts at 0)
};

// LayerNorm: xhat = (x - mean) / sqrt(var + eps), biased variance. x [..., D], weight [D], bias [D]
// or undefined.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                  NormScale scale);
// RMSNorm: xhat = x / sqrt(mean x^2 + eps).
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps, NormScale scale);
// LayerNorm over each of H equal groups of the last dimension (a head's features), weight [D].
Tensor multi_head_norm(const Tensor& x, const Tensor& weight, int64_t n_heads, double eps,
                       NormScale scale);

// One step of a residual stream: sum = x + residual, rounded to their type, and y, the norm of that
// sum, in one pass. So y is to the bit what the norm of add(x, residual) would be, and the gradient
// of both inputs is the norm's and the sum's added up before it is rounded.
struct AddedNorm {
  Tensor y, sum;
};
AddedNorm add_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& weight,
                         const Tensor& bias, double eps, NormScale scale);
AddedNorm add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& weight, double eps,
                       NormScale scale);

// The norm of each head and the gate on it in one pass: activation(gate) * (xhat * w + bias), or
// with a learnable skip connection activation(gate) * (xhat * w + skip * skip_weight). x, gate and
// skip [..., D] of one type; weight, bias and skip_weight [D].
struct NormGate {
  Tensor gate;
  Activation activation = Activation::sigmoid;  // or silu
  Tensor skip, skip_weight;                     // both undefined: none; not beside a bias
};
Tensor multi_head_norm_gated(const Tensor& x, const NormGate& gate, const Tensor& weight,
                             const Tensor& bias, int64_t n_heads, double eps, NormScale scale);

// The parameters of a multi-head norm, for ops that contain one.
struct HeadNorm {
  Tensor weight, bias;  // [D]; the bias may be undefined
  double eps = 1e-5;
  NormScale scale = NormScale::plain;
};

// The same, made of small ops. subtract_mean false gives RMSNorm; bias may be undefined.
Tensor norm_composed(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t n_heads,
                     double eps, NormScale scale, bool subtract_mean);
Tensor multi_head_norm_gated_composed(const Tensor& x, const NormGate& gate, const Tensor& weight,
                                      const Tensor& bias, int64_t n_heads, double eps,
                                      NormScale scale);

}  // namespace xlstm::ops
