// Elementwise arithmetic on float32 and float64. Two-argument functions broadcast (sizes equal or
// 1, aligned at the right) and want one element type. Results are contiguous. Errors: ShapeError.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);  // ties give the gradient to a
Tensor scale(const Tensor& x, double factor);
Tensor add_scalar(const Tensor& x, double value);
Tensor neg(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor square(const Tensor& x);
Tensor abs(const Tensor& x);  // slope 0 at 0
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor log_sigmoid(const Tensor& x);
Tensor softcap(const Tensor& x, double cap);  // cap * tanh(x / cap); cap 0: x

}  // namespace xlstm::ops
