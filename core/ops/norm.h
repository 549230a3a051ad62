// Normalisation over the last dimension. Statistics in double on the CPU, in float32 of shifted
// values on CUDA.
//
// x is float32 or float64 on the CPU; float32, bfloat16 or float16 on CUDA, with parameters of that
// type or of float32.
// Errors: ShapeError if x has no dimension, if a parameter is not [D] or not of such a type, or if
// H does not divide D; ConfigError for a bad eps.
#pragma once

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

// The same, made of small ops. subtract_mean false gives RMSNorm; bias may be undefined.
Tensor norm_composed(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t n_heads,
                     double eps, NormScale scale, bool subtract_mean);

}  // namespace xlstm::ops
