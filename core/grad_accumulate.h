// Sums of gradients, outside the tape.
#pragma once

#include "core/tensor.h"

namespace xlstm::autograd {

// leaf.grad += grad, into the leaf's existing gradient memory if it has some.
void accumulate_into_leaf(Tensor& leaf, const Tensor& grad);

// a + b. Reuses a's memory if nobody else holds it.
Tensor sum_of_gradients(Tensor a, const Tensor& b);

}  // namespace xlstm::autograd
