// A block-diagonal linear map: every head has its own small weight.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// y[..., h*O + o] = sum_i weight[h, o, i] x[..., h*I + i] + bias[h*O + o].
// x [..., H*I], weight [H, O, I], bias [H*O] or undefined -> [..., H*O].  (spec: xLSTM
// sections 1.1, 2.6)
Tensor headwise_linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// The same, made of small ops.
Tensor headwise_linear_composed(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace xlstm::ops
