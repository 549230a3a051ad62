// Softmax cross-entropy.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

struct CrossEntropyResult {
  Tensor loss;  // scalar: mean over the counted targets (0 if there is none)
  int64_t n_targets = 0;
};

// logits [..., n_vocab] before the soft cap; targets int64 [...] where `ignore_index` is not
// counted. soft_cap > 0 applies cap * tanh(x / cap) first. ShapeError names a target outside the
// vocabulary.
CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& targets, double soft_cap = 0,
                                 int64_t ignore_index = -1);

}  // namespace xlstm::ops
