// Dropout.
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace xlstm::ops {

// y = x * keep / (1 - p), keep drawn with probability 1 - p from the generator. 0 <= p < 1; p == 0
// returns x and draws nothing. The mask is drawn again in backward, not stored. x: any shape and
// strides, float32 or float64 (CUDA: float32, bfloat16, float16). Errors: ConfigError for p,
// ShapeError for the element type.
Tensor dropout(const Tensor& x, double p, Generator& generator);

}  // namespace xlstm::ops
