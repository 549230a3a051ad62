// Table look-up.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// tokens int64 [...], weight [n_vocab, D] -> [..., D] in the table's type. ShapeError names a token
// outside the table.
Tensor embedding(const Tensor& tokens, const Tensor& weight);
// The same in another type: bfloat16 or float16 from a float32 table.
Tensor embedding(const Tensor& tokens, const Tensor& weight, DType dtype);

}  // namespace xlstm::ops
