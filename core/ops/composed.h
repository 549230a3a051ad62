// Precision of composed twins. In 16 bits a twin is the measure for the fused kernel's rounding:
// its inputs and every intermediate that goes through memory are in that type; sums, gates and
// recurrent states are in the wide one. So twins compute in the wide type and round where something
// would be stored. In float32 and float64 nothing here does anything.
#pragma once

#include "core/ops/view.h"

namespace xlstm::ops {

// x in the type that twins compute in; undefined stays so.
inline Tensor widened(const Tensor& x) {
  return x.defined() ? cast(x, wide_type(x.dtype())) : x;
}

// Of x in the wide type, what memory of type `dtype` holds; its gradient is rounded likewise.
inline Tensor stored(const Tensor& x, DType dtype) {
  return cast(cast(x, dtype), x.dtype());
}

}  // namespace xlstm::ops
