// Softmax cross-entropy.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

struct CrossEntropyResult {
  Tensor loss;       // scalar: mean over the counted targets (0 if there is none)
  Tensor n_targets;  // int64 scalar beside it: how many were counted
};

// logits [..., n_vocab] before the soft cap; targets int64 [...] where `ignore_index` is not
// counted. soft_cap > 0 applies cap * tanh(x / cap) first. -inf logits have probability 0; a NaN or
// +inf in a counted row makes the loss NaN.
// Errors: ShapeError names a target outside the vocabulary, and shapes or types that do not fit;
// ConfigError for a negative soft cap.
CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& targets, double soft_cap = 0,
                                 int64_t ignore_index = -1);

// The same, made of small ops.
CrossEntropyResult cross_entropy_composed(const Tensor& logits, const Tensor& targets,
                                          double soft_cap, int64_t ignore_index);

}  // namespace xlstm::ops
