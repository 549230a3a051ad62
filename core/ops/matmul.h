// Matrix products on float32 and float64. Transposed views are read in place, not copied. Errors:
// ShapeError.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// [..., M, K] x [..., K, N] -> [..., M, N]; leading dimensions broadcast.
Tensor matmul(const Tensor& a, const Tensor& b);

// y = x W^T + bias. x [..., I], weight [O, I], bias [O] or undefined -> [..., O]. Mixed precision:
// weight and bias may be float32 beside a narrower x; the product then reads weight in x's type
// (its low-precision copy if there is one), and their gradients are summed in float32.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
// The same, with the result as the sums have it: float32 for a narrower x. For gates.
Tensor linear_wide(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// One of several maps of the same x: `linear`, or `linear_wide` if wide.
struct LinearPart {
  Tensor weight, bias;
  bool wide = false;
};
// All of them; in one launch where x has the few rows of a decoding step (kernels/linear/linear.h).
Tensors linears(const Tensor& x, const std::vector<LinearPart>& parts);

}  // namespace xlstm::ops
