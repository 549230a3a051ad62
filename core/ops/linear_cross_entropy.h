// The head of a language model and its loss in one op, which never holds the logits of all rows.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

struct LinearCrossEntropyOptions {
  double soft_cap = 0;  // > 0: cap * tanh(x / cap) of the logits first
  int64_t ignore_index = -1;
  // Rows whose logits are held at once. 0: a multiple of 128, as many as give 256 MiB of logits (1
  // GiB on CUDA, where a longer sum over rows reads and writes the weight's gradient less often),
  // at least 128.
  int64_t chunk_rows = 0;
};

// cross_entropy(linear(hidden, weight), targets), a scalar of hidden's wide type: the mean over the
// counted targets, 0 if there is none. hidden [..., D]; weight [n_vocab, D] of the same type or
// float32 beside a narrower hidden (as in linear); targets int64 [...].
//
// Logits are computed in the wide type (float32 for bfloat16 and float16), chunk by chunk. If the
// op is recorded, each chunk gives its share of the gradients of the summed loss at once; backward
// multiplies them by dloss / n, on the device. What is kept: both gradients in the wide type.
// Gradients of logits are rounded to hidden's type for the products. Those of a sum are between -1
// and 1, so float16 needs no loss scale for them (it does for the returned gradient of hidden).
// Nothing waits for the device. Errors: those of linear and cross_entropy.
Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
                            const LinearCrossEntropyOptions& options = {});

// The same, made of small ops.
Tensor linear_cross_entropy_composed(const Tensor& hidden, const Tensor& weight,
                                     const Tensor& targets,
                                     const LinearCrossEntropyOptions& options = {});

}  // namespace xlstm::ops
