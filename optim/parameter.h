// What an optimizer works on: named tensors, and which of them decay.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace xlstm::optim {

struct Parameter {
  std::string name;
  Tensor value;  // the gradient is value.grad()
  bool decay = false;
};
using Parameters = std::vector<Parameter>;

// The rule of the official training code, for the names of both architectures: a parameter decays
// if its own name (after the last dot) contains "weight" and the full name does not contain "norm".
// So biases, recurrent kernels, learnable skips and norm weights never do. The token embedding
// (token_embedding, embedding or embeddings) decays only if asked for; a head tied to it appears
// under the embedding's name and goes with it.
bool decays(const std::string& name, bool decay_embedding = false);

// Names and tensors with the rule applied. Errors: ConfigError for an empty or repeated name or for
// one memory under two names; ShapeError for a tensor that is not contiguous float32 or float64.
Parameters make_parameters(const NamedTensors& named, bool decay_embedding = false);

// The checks of make_parameters.
void check_parameters(const Parameters& parameters);

}  // namespace xlstm::optim
