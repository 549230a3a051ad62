// The size of gradients and its limits.
#pragma once

#include "optim/parameter.h"

namespace xlstm::optim {

// sqrt of the sum of squares over all gradients, in double and in the order of the parameters. NaN
// or infinite if any gradient is. Parameters without a gradient count as 0.
double gradient_norm(const Parameters& parameters);

// min(1, max_norm / norm), to be given to Optimizer::step as grad_scale: clipping costs no pass
// over the gradients. max_norm 0 means no limit. ConfigError for a negative max_norm or NaN.
double clip_scale(double norm, double max_norm);

// Limits every element of every gradient to [-limit, limit], in place. An infinite gradient becomes
// a finite one, so the finite check comes first. ConfigError unless limit > 0.
void clip_gradient_values(const Parameters& parameters, double limit);

}  // namespace xlstm::optim
