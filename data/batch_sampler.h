// Which tokens are in which batch. A stream is cut into windows of T + 1 tokens at stride T (the
// last token of a window is the first of the next); each epoch visits every window once, in an
// order of its own. batch(step) is a pure function of the settings, the stream and the step, so a
// run resumes by its step number alone.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "data/token_file.h"

namespace xlstm::data {

struct TokenBatch {
  Tensor tokens;  // int64 [B, T + 1]
  Tensor reset;   // uint8 [B, T]: 1 where a document starts, that is, after an end of text and at
                  // the beginning of the stream
  std::vector<int64_t> sample_ids;  // [B], the number of each sequence in the whole run
  std::vector<int64_t> windows;     // [B], the place of each sequence in its stream
  std::vector<int64_t> sources;     // [B], the number of that stream
};

// A stream and its share of the samples, relative to the others'.
struct WeightedStream {
  TokenStream stream;
  double weight = 1;
};

// A permutation of 0 .. n-1 for each (seed, epoch), computed without a table: a Feistel network
// over the next even number of bits, walked until the result is below n.
int64_t permuted(int64_t index, int64_t n, uint64_t seed, int64_t epoch);

// What decides the order of samples; a checkpoint keeps it.
struct SamplerIdentity {
  uint64_t seed = 0;
  int64_t global_batch = 0;
  int64_t context_length = 0;
  int64_t n_windows = 0;
  uint64_t fingerprint = 0;  // of the stream

  bool operator==(const SamplerIdentity&) const = default;
};

class BatchSampler {
 public:
  // B = global_batch sequences per step, T = context_length. ConfigError for sizes below 1 and for
  // a stream that does not hold one sequence.
  BatchSampler(TokenStream stream, int64_t global_batch, int64_t context_length, uint64_t seed);
  // Several streams. Of every 1,024 sequences in a row each stream gives its share, to the nearest
  // whole number but at least one, in an order that is shuffled anew; each goes through its windows
  // in epochs of its own. ConfigError for a weight that is not positive, or more than 1,024
  // streams.
  BatchSampler(std::vector<WeightedStream> sources, int64_t global_batch, int64_t context_length,
               uint64_t seed);

  // The batch of `step` (>= 0) for one of `world` equal ranks: rows rank * B / world and on of the
  // global batch. ConfigError if `world` does not divide B.
  TokenBatch batch(int64_t step, int64_t rank = 0, int64_t world = 1) const;
  // Rows first .. first + n - 1 of the global batch, for accumulation in parts.
  TokenBatch rows(int64_t step, int64_t first, int64_t n) const;

  // Sequences `first` .. first + n - 1 of the whole run: epoch after epoch, each in its order.
  TokenBatch sequences(int64_t first, int64_t n) const;

  int64_t n_windows() const { return identity_.n_windows; }  // of all sources
  int64_t n_sources() const { return static_cast<int64_t>(sources_.size()); }
  int64_t n_tokens() const;  // of all sources
  const TokenStream& stream(int64_t source) const {
    return sources_[static_cast<size_t>(source)].stream;
  }
  // Steps until every window was seen once; the last one also takes from the next epoch.
  int64_t steps_per_epoch() const;
  double epoch_of(int64_t step) const;  // epochs completed before `step`
  const SamplerIdentity& identity() const { return identity_; }
  // ConfigError naming each difference from the identity that a checkpoint has kept.
  void require_same(const SamplerIdentity& saved) const;

 private:
  struct Source {
    TokenStream stream;
    int64_t n_windows;
    int64_t first, count;  // of the places in a block of sequences
  };
  // Which window of which source sequence `s` of the run shows.
  std::pair<int64_t, int64_t> place_of(int64_t s) const;

  std::vector<Source> sources_;
  SamplerIdentity identity_;
};

// All windows in the order of the stream, for validation. The last batch may be smaller; up to T
// tokens at the end of the stream, too few for a window, are left out.
class SequentialBatches {
 public:
  // Errors as BatchSampler.
  SequentialBatches(TokenStream stream, int64_t batch_size, int64_t context_length);

  int64_t n_windows() const { return n_windows_; }
  int64_t n_batches() const { return (n_windows_ + batch_size_ - 1) / batch_size_; }
  TokenBatch batch(int64_t index) const;  // ConfigError outside 0 .. n_batches() - 1

 private:
  TokenStream stream_;
  int64_t batch_size_, context_length_, n_windows_;
};

}  // namespace xlstm::data
