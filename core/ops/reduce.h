// Sums over dimensions, in an order that does not depend on the number of threads.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

Tensor sum(const Tensor& x);  // scalar
Tensor mean(const Tensor& x);
Tensor sum(const Tensor& x, int64_t dim, bool keep_dim = false);
Tensor mean(const Tensor& x, int64_t dim, bool keep_dim = false);
Tensor max(const Tensor& x, int64_t dim, bool keep_dim = false);  // gradient to the first maximum
Tensor cumsum(const Tensor& x, int64_t dim);

}  // namespace xlstm::ops
