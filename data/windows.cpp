#include "data/windows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace xlstm::data {

int64_t count_windows(const TokenStream& stream, int64_t batch_size, int64_t context_length) {
  require<ConfigError>(batch_size >= 1, "data: batch size: got ", batch_size,
                       ", expected at least 1");
  require<ConfigError>(context_length >= 1, "data: sequence length: got ", context_length,
                       ", expected at least 1");
  const int64_t n = (stream.size() - 1) / context_length;
  require<ConfigError>(stream.size() > 0 && n >= 1,
                       "data: the corpus is shorter than one sequence, got ", stream.size(),
                       " tokens, expected at least ", context_length, " + 1",
                       " (use more text or a smaller max_length)");
  return n;
}

void read_window(const TokenStream& stream, int64_t window, int64_t T, int64_t b,
                 const TokenBatch& batch) {
  const int64_t first = window * T;
  int64_t* tokens = batch.tokens.data<int64_t>() + b * (T + 1);
  uint8_t* reset = batch.reset.data<uint8_t>() + b * T;
  stream.read(first, {tokens, static_cast<size_t>(T + 1)});
  int64_t before = stream.end_of_text();
  if (first > 0) stream.read(first - 1, {&before, 1});
  for (int64_t t = 0; t < T; ++t) {
    reset[t] = before == stream.end_of_text();
    before = tokens[t];
  }
}

TokenBatch empty_batch(int64_t B, int64_t T) {
  return {Tensor::empty({B, T + 1}, DType::i64), Tensor::empty({B, T}, DType::u8), {}, {}, {}};
}

std::vector<int64_t> shares(const std::vector<WeightedStream>& sources, int64_t n_places) {
  double sum = 0;
  for (const WeightedStream& source : sources) {
    require<ConfigError>(std::isfinite(source.weight) && source.weight > 0, "data: weight: got ",
                         source.weight, ", expected a positive number");
    sum += source.weight;
  }
  const auto n = static_cast<int64_t>(sources.size());
  require<ConfigError>(n >= 1 && n <= n_places, "data: got ", n, " sources, expected 1 to ",
                       n_places);
  std::vector<int64_t> counts;
  std::vector<std::pair<double, size_t>> rests;
  int64_t given = 0;
  for (const WeightedStream& source : sources) {
    // One each, and of the others their part.
    const double part = source.weight / sum * static_cast<double>(n_places - n);
    counts.push_back(1 + static_cast<int64_t>(part));
    given += counts.back();
    rests.emplace_back(-(part - std::floor(part)), rests.size());
  }
  std::sort(rests.begin(), rests.end());
  for (size_t i = 0; given < n_places; ++i, ++given) ++counts[rests[i].second];
  return counts;
}

}  // namespace xlstm::data
