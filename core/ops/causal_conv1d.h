// Causal depthwise convolution over time.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

struct CausalConv1dResult {
  Tensor y;            // [B, T, C]
  Tensor final_state;  // [B, KS-1, C], the last KS-1 inputs
};

// y_t[c] = bias[c] + sum_j weight[c, 0, j] x_{t-KS+1+j}[c]; then SiLU if `silu`.
// x [B, T, C]; weight [C, 1, KS]; bias [C] or undefined; initial_state [B, KS-1, C] or undefined
// (zeros). reset [B, T] uint8 or undefined: where it is 1, a document starts, and nothing before it
// is seen (nor kept in the final state). Errors: ShapeError for shapes or types that do not fit.
CausalConv1dResult causal_conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                 const Tensor& initial_state, const Tensor& reset, bool silu);

// The same, made of small ops.
CausalConv1dResult causal_conv1d_composed(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                          const Tensor& initial_state, const Tensor& reset,
                                          bool silu);

}  // namespace xlstm::ops
