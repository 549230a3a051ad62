// Linear maps of the few rows of a decoding step on CUDA, for matmul.cpp. Outside the tape.
#pragma once

#include "core/ops/matmul.h"

namespace xlstm::ops {

// Whether linear_few computes these: x [..., K] in 16 bits on CUDA with 1 to 16 rows, weights that
// are or have copies in that type, nothing to record.
bool takes_few(const Tensor& x, const std::vector<LinearPart>& parts);
Tensors linear_few(const Tensor& x, const std::vector<LinearPart>& parts);

}  // namespace xlstm::ops
