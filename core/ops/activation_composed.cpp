// Gates made of small ops: what `gated` means.
#include "core/ops/activation_composed.h"

#include "core/ops/elementwise.h"

namespace xlstm::ops {

Tensor gated_composed(const Tensor& gate, const Tensor& up, Activation activation) {
  return mul(activate(gate, activation), up);
}

}  // namespace xlstm::ops
