// Matrix products into given memory, for the ops that contain them. Outside the tape.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// y = a b + beta y for a [..., M, K] and b [..., K, N] of one type; y [..., M, N] is contiguous. On
// CUDA y may be float32 beside narrower a and b.
void multiply_into(const Tensor& a, const Tensor& b, double beta, const Tensor& y);

// A cast outside the tape.
Tensor in_type(const Tensor& x, DType dtype);

// A view with the last two dimensions exchanged.
Tensor transposed(const Tensor& x);

}  // namespace xlstm::ops
