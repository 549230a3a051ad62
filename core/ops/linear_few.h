// Linear maps of the few rows of a decoding step on CUDA, for matmul.cpp. Outside the tape.
#pragma once

#include "core/ops/matmul.h"

namespace xlstm::ops {

// Variants of `linear` on CUDA, as its row of the op table names them.
inline constexpr int32_t kLinearCublaslt = 1, kLinearFewRows = 2;

// Whether linear_few computes these: x [..., K] in 16 bits on CUDA with 1 to 16 rows, weights that
// are or have copies in that type, nothing to record. If the variant few_rows was asked for, a
// VariantError says why it does not.
bool takes_few(const Tensor& x, const std::vector<LinearPart>& parts);
Tensors linear_few(const Tensor& x, const std::vector<LinearPart>& parts);

}  // namespace xlstm::ops
