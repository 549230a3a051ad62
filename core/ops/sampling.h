// Choosing the next token.
#pragma once

#include "core/tensor.h"

namespace xlstm::ops {

struct SamplingOptions {
  double temperature = 1;  // 0: the largest logit (ties: the smallest id)
  int64_t top_k = 0;       // 0: all
  int64_t n_valid = 0;     // ids at or above this are padding and never chosen; 0: all are valid
  uint64_t seed = 0;
  double top_p = 1;               // the fewest best with this share of the probability; 1: all
  double min_p = 0;               // those at least so likely, relative to the likeliest; 0: all
  double repetition_penalty = 1;  // on tokens that were seen; 1: none
};

// logits [B, n_vocab] -> int64 [B]. Row b at position `position` uses the random numbers of
// (seed, stream[b], position), so a row's choices depend neither on the other rows nor on the
// batch. streams int64 [B] names the rows; undefined: 0, 1, 2, ...
// *position_base, in the memory of the logits' device, is added to the position (null: nothing); it
// is read when the kernel runs, for launches that are recorded once and replayed.
// Penalty, temperature, top_k, top_p and min_p act in this order (kernels/sampling/sampling.h).
// seen uint8 [B, n_vocab], contiguous, or undefined: not 0 for the tokens that the penalty acts on.
// The chosen tokens are written into it.
// A logit of -inf is never chosen. Among logits equal to the k-th largest the smallest ids stay.
// Errors: ShapeError for shapes and types, ConfigError for options that make no sense,
// NonFiniteError naming row and id of a valid logit that is NaN or +inf, or a row of -inf alone. On
// CUDA the call does not wait for the logits: such a row gets the token -1, and whoever reads the
// tokens calls report_bad_rows.
Tensor sample(const Tensor& logits, const SamplingOptions& options, int64_t position,
              const Tensor& streams = {}, const uint64_t* position_base = nullptr,
              const Tensor& seen = {});

// The NonFiniteError of `sample` for logits [B, n_vocab] with a row that cannot be sampled from.
[[noreturn]] void report_bad_rows(const Tensor& logits, const SamplingOptions& options);

}  // namespace xlstm::ops
