#include "data/batch_sampler.h"

#include <algorithm>
#include <bit>

#include "core/checked_size.h"
#include "core/error.h"
#include "kernels/common/philox.h"

namespace xlstm::data {
namespace {

// Four are enough against any pattern that training could notice (Luby and Rackoff 1988); six cost
// nothing here.
constexpr int kRounds = 6;

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

TokenBatch gather(const TokenStream& stream, const std::vector<int64_t>& windows,
                  std::vector<int64_t> sample_ids, int64_t T) {
  const int64_t B = static_cast<int64_t>(windows.size());
  TokenBatch batch{Tensor::empty({B, T + 1}, DType::i64), Tensor::empty({B, T}, DType::u8),
                   std::move(sample_ids), windows};
  for (int64_t b = 0; b < B; ++b) {
    const int64_t first = windows[static_cast<size_t>(b)] * T;
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
  return batch;
}

}  // namespace

int64_t permuted(int64_t index, int64_t n, uint64_t seed, int64_t epoch) {
  const int bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(n - 1)));
  const int half = std::max(1, (bits + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  uint64_t x = static_cast<uint64_t>(index);
  do {
    uint64_t left = x >> half, right = x & mask;
    for (uint64_t round = 0; round < kRounds; ++round) {
      // `half` is at most 32, so one counter word holds the round and the input.
      const auto random = kernels::philox(seed, right << 8 | round, static_cast<uint64_t>(epoch));
      const uint64_t next = left ^ (random.x[0] & mask);
      left = right;
      right = next;
    }
    x = left << half | right;
  } while (x >= static_cast<uint64_t>(n));
  return static_cast<int64_t>(x);
}

BatchSampler::BatchSampler(TokenStream stream, int64_t global_batch, int64_t context_length,
                           uint64_t seed)
    : stream_(std::move(stream)),
      identity_{seed, global_batch, context_length,
                count_windows(stream_, global_batch, context_length), stream_.fingerprint()} {}

TokenBatch BatchSampler::batch(int64_t step, int64_t rank, int64_t world) const {
  require<ConfigError>(world >= 1 && rank >= 0 && rank < world, "data: got rank ", rank, " of ",
                       world);
  require<ConfigError>(identity_.global_batch % world == 0, "data: global batch of ",
                       identity_.global_batch, " sequences cannot be shared by ", world,
                       " ranks, expected a multiple");
  const int64_t n = identity_.global_batch / world;
  return rows(step, rank * n, n);
}

TokenBatch BatchSampler::rows(int64_t step, int64_t first, int64_t n) const {
  require<ConfigError>(step >= 0, "data: got step ", step, ", expected at least 0");
  require<ConfigError>(
      first >= 0 && n >= 1 && n <= identity_.global_batch && first <= identity_.global_batch - n,
      "data: got rows ", first, " to ", first, " + ", n, ", expected at most ",
      identity_.global_batch);
  return sequences(checked_add(checked_mul(step, identity_.global_batch, "step"), first, "step"),
                   n);
}

TokenBatch BatchSampler::sequences(int64_t first, int64_t n) const {
  std::vector<int64_t> windows, sample_ids;
  for (int64_t s = first; s < first + n; ++s) {
    const int64_t epoch = s / n_windows();
    windows.push_back(permuted(s % n_windows(), n_windows(), identity_.seed, epoch));
    sample_ids.push_back(s);
  }
  return gather(stream_, windows, std::move(sample_ids), identity_.context_length);
}

int64_t BatchSampler::steps_per_epoch() const {
  return (n_windows() + identity_.global_batch - 1) / identity_.global_batch;
}

double BatchSampler::epoch_of(int64_t step) const {
  return static_cast<double>(step) * static_cast<double>(identity_.global_batch) /
         static_cast<double>(n_windows());
}

void BatchSampler::require_same(const SamplerIdentity& saved) const {
  std::string differences;
  const auto compare = [&differences](const char* what, auto now, auto then) {
    if (now != then)
      differences +=
          detail::concat(differences.empty() ? "" : "; ", what, " is now ", now, ", was ", then);
  };
  compare("seed", identity_.seed, saved.seed);
  compare("global batch", identity_.global_batch, saved.global_batch);
  compare("sequence length", identity_.context_length, saved.context_length);
  compare("number of sequences", identity_.n_windows, saved.n_windows);
  compare("fingerprint of the tokens", identity_.fingerprint, saved.fingerprint);
  require<ConfigError>(differences.empty(),
                       "data: the run cannot go on with the same samples: ", differences,
                       " (was the text or the tokenizer changed?)");
}

SequentialBatches::SequentialBatches(TokenStream stream, int64_t batch_size, int64_t context_length)
    : stream_(std::move(stream)),
      batch_size_(batch_size),
      context_length_(context_length),
      n_windows_(count_windows(stream_, batch_size, context_length)) {}

TokenBatch SequentialBatches::batch(int64_t index) const {
  require<ConfigError>(index >= 0 && index < n_batches(), "data: got validation batch ", index,
                       ", expected 0 to ", n_batches() - 1);
  std::vector<int64_t> windows;
  const int64_t first = index * batch_size_;
  for (int64_t w = first; w < std::min(first + batch_size_, n_windows_); ++w) windows.push_back(w);
  return gather(stream_, windows, windows, context_length_);
}

}  // namespace xlstm::data
