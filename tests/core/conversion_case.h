// Values at the edges of conversions to booleans and integers.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor.h"

namespace xlstm::testing {

inline const std::vector<double>& edge_values() {
  static const std::vector<double> values = {
      0.0,    -0.0,    0.25,  -0.75,    1.0,       1.999,        -1.999,
      2.0,    127.0,   128.0, -129.0,   255.9,     256.0,        300.0,
      -300.0, 65536.0, 1e10,  -1e10,    1e30,      -1e30,        1e-30,
      6e-8,   NAN,     -NAN,  HUGE_VAL, -HUGE_VAL, 2147483648.0, 9223372036854775808.0};
  return values;
}

inline Tensor converted(const Tensor& x, DType dtype) {
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  y.copy_from(x);
  return y;
}

// The edge values in a type, as it holds them.
inline Tensor edges_in(DType dtype) {
  const auto n = static_cast<int64_t>(edge_values().size());
  return converted(Tensor::from<double>(edge_values(), {n}), dtype);
}

}  // namespace xlstm::testing
