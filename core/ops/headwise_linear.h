// A block-diagonal linear map: every head has its own small weight.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace xlstm::ops {

// y[..., h*O + o] = sum_i weight[h, o, i] x[..., h*I + i] + bias[h*O + o].
// x [..., H*I], weight [H, O, I], bias [H*O] or undefined -> [..., H*O].  (spec: xLSTM
// sections 1.1, 2.6)
Tensor headwise_linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// Several such maps of the same rows side by side: [..., sum of H*O], as if concatenated.
struct HeadwiseMap {
  Tensor x, weight, bias;  // bias may be undefined
};
Tensor headwise_linears(const std::vector<HeadwiseMap>& maps);

// headwise_linear made of small ops.
Tensor headwise_linear_composed(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace xlstm::ops
