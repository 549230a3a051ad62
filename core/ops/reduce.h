// Sums and maxima over dimensions, in an order that does not depend on the number of threads. Sums
// of float32 are accumulated in double. Errors: ShapeError.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

Tensor sum(const Tensor& x);  // scalar
Tensor mean(const Tensor& x);
// Negative dimensions count from the end. The dimension goes, or stays with size 1 (keep_dim).
Tensor sum(const Tensor& x, int64_t dim, bool keep_dim = false);
Tensor mean(const Tensor& x, int64_t dim, bool keep_dim = false);
Tensor max(const Tensor& x, int64_t dim, bool keep_dim = false);  // gradient to the first maximum
// Running sums: y[i] = x[0] + ... + x[i].
Tensor cumsum(const Tensor& x, int64_t dim);
// Undoes broadcasting: sums x over the dimensions in which `shape` was repeated to give x's shape.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace xlstm::ops
