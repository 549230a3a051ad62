// Sums of gradients, outside the tape.
#pragma once

#include "core/tensor.h"

namespace xlstm::autograd {

// leaf.grad += grad, into the leaf's existing gradient memory if it has some; else `grad` becomes
// its gradient, itself if nobody else holds it.
void accumulate_into_leaf(Tensor& leaf, Tensor grad);

// a + b. Reuses the memory of one of them if nobody else holds it.
Tensor sum_of_gradients(Tensor a, const Tensor& b);

// Whether this handle is the only one on the tensor and its memory, which is contiguous.
bool owned_alone(const Tensor& t);

}  // namespace xlstm::autograd
