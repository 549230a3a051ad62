// Activations and gates.
#pragma once

#include <string>

#include "core/tensor.h"

namespace xlstm::ops {

enum class Activation { silu, gelu, relu, relu_squared, sigmoid, selu };

// "gelu" (exact, by erf), "silu" or "swish", "relu", "relu^2", "sigmoid", "selu"; else ConfigError.
Activation parse_activation(const std::string& name);

Tensor activate(const Tensor& x, Activation activation);
Tensor silu(const Tensor& x);
Tensor gelu(const Tensor& x);  // x * (1 + erf(x / sqrt 2)) / 2

// act(gate) * up, in one pass. gate and up have one shape (any strides over rows).
Tensor gated(const Tensor& gate, const Tensor& up, Activation activation);

}  // namespace xlstm::ops
