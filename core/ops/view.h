// Views and copies: the same numbers under another shape. All are differentiable, and all take any
// element type (gradients flow through floating ones). Negative dimensions count from the end.
// Errors: ShapeError.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// Same elements in row-major order; one size may be -1. A view where strides allow, else a copy.
Tensor reshape(const Tensor& x, const Shape& shape);
// Views.
Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1);
Tensor permute(const Tensor& x, const std::vector<int64_t>& dims);
Tensor slice(const Tensor& x, int64_t dim, int64_t start, int64_t stop);  // [start, stop)
Tensor select(const Tensor& x, int64_t dim, int64_t index);               // drops the dimension
Tensor unsqueeze(const Tensor& x, int64_t dim);
Tensor squeeze(const Tensor& x, int64_t dim);        // the dimension must have size 1
Tensor expand(const Tensor& x, const Shape& shape);  // broadcasts with stride 0
// One view per size; the sizes add up to the dimension. One node on the tape for all of them, whose
// gradient is written in one pass (or none, if the pieces' gradients already lie side by side).
Tensors split(const Tensor& x, const std::vector<int64_t>& sizes, int64_t dim);
// Copies.
Tensor contiguous(const Tensor& x);  // x itself if it is contiguous
// A view if the tensors are neighbours in memory; else those with a low-precision copy are read
// there.
Tensor concat(const Tensors& xs, int64_t dim);
Tensor stack(const Tensors& xs, int64_t dim);
// x itself if it has the type. Of a tensor with a low-precision copy (tensor.h) the copy is read:
// itself if it has the type. The gradient is cast back.
Tensor cast(const Tensor& x, DType dtype);

}  // namespace xlstm::ops
