// Table look-up.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// tokens int64 [...], weight [n_vocab, D] -> [..., D]. ShapeError names a token outside the table.
Tensor embedding(const Tensor& tokens, const Tensor& weight);

}  // namespace xlstm::ops
