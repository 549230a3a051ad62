// Choosing the next token.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

struct SamplingOptions {
  double temperature = 1;  // 0: the largest logit (ties: the smallest id)
  int64_t top_k = 0;       // 0: all
  int64_t n_valid = 0;     // ids at or above this are padding and never chosen; 0: all are valid
  uint64_t seed = 0;
};

// logits [B, n_vocab] -> int64 [B]. Row b at position `position` uses the random numbers of
// (seed, stream[b], position), so a row's choices depend neither on the other rows nor on the
// batch. streams int64 [B] names the rows; undefined: 0, 1, 2, ...
// A logit of -inf is never chosen. Among logits equal to the k-th largest the smallest ids stay.
// Errors: ShapeError for shapes and types, ConfigError for options that make no sense,
// NonFiniteError naming row and id of a valid logit that is NaN or +inf, or a row of -inf alone.
Tensor sample(const Tensor& logits, const SamplingOptions& options, int64_t position,
              const Tensor& streams = {});

}  // namespace xlstm::ops
