// What both orders of training (batch_sampler.h, lane_sampler.h) are made of: windows of T + 1
// tokens at stride T of a stream, and shares of several streams.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch_sampler.h"

namespace xlstm::data {

// ConfigError for sizes below 1 and for a stream that does not hold one window.
int64_t count_windows(const TokenStream& stream, int64_t batch_size, int64_t context_length);

// Room for B sequences of T tokens.
TokenBatch empty_batch(int64_t B, int64_t T);

// Row `b` of a batch from a window of a stream.
void read_window(const TokenStream& stream, int64_t window, int64_t T, int64_t b,
                 const TokenBatch& batch);

// How many of `n_places` places each weight is worth: at least one, and else the nearest whole
// numbers that add up. ConfigError for a weight that is not positive, or more sources than places.
std::vector<int64_t> shares(const std::vector<WeightedStream>& sources, int64_t n_places);

}  // namespace xlstm::data
