#include "data/batch_sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/checked_size.h"
#include "core/error.h"
#include "data/content_hash.h"
#include "data/windows.h"
#include "kernels/common/philox.h"

namespace xlstm::data {
namespace {

// Four are enough against any pattern that training could notice (Luby and Rackoff 1988); six cost
// nothing here.
constexpr int kRounds = 6;

// Sequences of a block, of which every source gives its share.
constexpr int64_t kBlock = 1024;
// Orders of blocks are those of epochs of another seed.
constexpr uint64_t kBlockSeed = 0x9e3779b97f4a7c15u;

uint64_t fingerprint_of(const std::vector<WeightedStream>& sources) {
  if (sources.size() == 1) return sources.front().stream.fingerprint();
  ContentHash hash;
  for (const WeightedStream& source : sources) {
    hash.add(static_cast<int64_t>(source.stream.fingerprint()));
    hash.add(static_cast<int64_t>(std::bit_cast<uint64_t>(source.weight)));
  }
  return hash.value();
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
    : BatchSampler(std::vector<WeightedStream>{{std::move(stream), 1}}, global_batch,
                   context_length, seed) {}

BatchSampler::BatchSampler(std::vector<WeightedStream> sources, int64_t global_batch,
                           int64_t context_length, uint64_t seed)
    : identity_{seed, global_batch, context_length, 0, fingerprint_of(sources)} {
  const std::vector<int64_t> counts = shares(sources, kBlock);
  int64_t first = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    const int64_t n = count_windows(sources[i].stream, global_batch, context_length);
    sources_.push_back({std::move(sources[i].stream), n, first, counts[i]});
    identity_.n_windows += n;
    first += counts[i];
  }
}

std::pair<int64_t, int64_t> BatchSampler::place_of(int64_t s) const {
  if (sources_.size() == 1)
    return {0, permuted(s % n_windows(), n_windows(), identity_.seed, s / n_windows())};
  const int64_t block = s / kBlock;
  const int64_t place = permuted(s % kBlock, kBlock, identity_.seed ^ kBlockSeed, block);
  const auto after = std::upper_bound(sources_.begin(), sources_.end(), place,
                                      [](int64_t p, const Source& x) { return p < x.first; });
  const auto index = after - sources_.begin() - 1;
  const Source& source = sources_[static_cast<size_t>(index)];
  const int64_t own = block * source.count + place - source.first;  // its own running number
  return {index, permuted(own % source.n_windows, source.n_windows,
                          identity_.seed + static_cast<uint64_t>(index), own / source.n_windows)};
}

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
  const int64_t T = identity_.context_length;
  TokenBatch batch = empty_batch(n, T);
  for (int64_t b = 0; b < n; ++b) {
    const auto [source, window] = place_of(first + b);
    read_window(sources_[static_cast<size_t>(source)].stream, window, T, b, batch);
    batch.sample_ids.push_back(first + b);
    batch.windows.push_back(window);
    batch.sources.push_back(source);
  }
  return batch;
}

int64_t BatchSampler::n_tokens() const {
  int64_t n = 0;
  for (const Source& source : sources_) n += source.stream.size();
  return n;
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
  const int64_t first = index * batch_size_, n = std::min(batch_size_, n_windows_ - first);
  TokenBatch batch = empty_batch(n, context_length_);
  for (int64_t b = 0; b < n; ++b) {
    read_window(stream_, first + b, context_length_, b, batch);
    batch.windows.push_back(first + b);
  }
  batch.sample_ids = batch.windows;
  batch.sources.resize(static_cast<size_t>(n));
  return batch;
}

}  // namespace xlstm::data
