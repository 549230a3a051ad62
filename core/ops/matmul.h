// Matrix products on float32 and float64. Transposed views are read in place, not copied. Errors:
// ShapeError.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// [..., M, K] x [..., K, N] -> [..., M, N]; leading dimensions broadcast.
Tensor matmul(const Tensor& a, const Tensor& b);

// y = x W^T + bias. x [..., I], weight [O, I], bias [O] or undefined -> [..., O].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace xlstm::ops
