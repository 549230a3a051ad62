#pragma once

#include "core/ops/activation.h"

namespace xlstm::ops {

Tensor gated_composed(const Tensor& gate, const Tensor& up, Activation activation);

}  // namespace xlstm::ops
