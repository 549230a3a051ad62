// Recurrent states that go from one training step to the next. Not differentiable: both write into
// their arguments, and what is stored is outside the tape.
//
// Dimension 0 is the sequence. `usable` and `fresh` are uint8 [B] on the device of the states, so
// that a captured step decides by itself. Errors: ShapeError for tensors that do not fit each other
// or, where they are written, are not contiguous; ConfigError for a start that is not finite.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

// to = from, both [B, ...] of one type; usable[b] becomes 0 if a number of from[b] is not finite.
void carry_store(const Tensor& from, Tensor to, Tensor usable);

// x[b] = start where fresh[b] is not 0 or usable[b] is 0. x [B, ...].
void carry_restart(Tensor x, const Tensor& fresh, const Tensor& usable, double start);

}  // namespace xlstm::ops
