// Multi-indices for oracles: plain counting, sharing nothing with the kernels' strided loops.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace xlstm::oracles {

// Calls f(index) for every multi-index of the shape in row-major order.
template <class F>
void for_each_index(const Shape& shape, F f) {
  Shape index(shape.size(), 0);
  for (const int64_t size : shape)
    if (size == 0) return;
  for (;;) {
    f(index);
    size_t d = shape.size();
    while (d > 0 && ++index[d - 1] == shape[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

// The element of a contiguous float64 tensor at a multi-index aligned at the right; dimensions of
// size 1 repeat.
inline double& at(const Tensor& t, const Shape& index) {
  int64_t flat = 0;
  const size_t lead = index.size() - t.shape().size();
  for (size_t d = 0; d < t.shape().size(); ++d)
    flat = flat * t.shape()[d] + (t.shape()[d] == 1 ? 0 : index[d + lead]);
  return t.data<double>()[flat];
}

inline size_t wrap(int64_t dim, size_t rank) {
  return static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(rank) : dim);
}

}  // namespace xlstm::oracles
