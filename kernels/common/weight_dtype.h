// Learned parameters may have another element type than the activations beside them. Plain C++17.
#pragma once

#include "kernels/common/entry.h"

namespace xlstm::kernels {

// Weights are as the activations, or float32 beside bfloat16 and float16 (mixed precision).
inline bool weight_dtype_ok(xlstm_dtype dtype, xlstm_dtype weight_dtype) {
  const bool half = dtype == XLSTM_BF16 || dtype == XLSTM_F16;
  return weight_dtype == dtype || (half && weight_dtype == XLSTM_F32);
}

// body(Element<W>{}) for the type W of weights beside activations of type T, once checked.
template <class T, class Body>
void with_weight_type(xlstm_dtype weight_dtype, Body body) {
  if constexpr (sizeof(T) == 2) {
    if (weight_dtype == XLSTM_F32) return body(Element<float>{});
  }
  body(Element<T>{});
}

}  // namespace xlstm::kernels
