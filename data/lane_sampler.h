// Which tokens are in which batch where the recurrent state goes on from step to step: truncated
// back-propagation through time.
//
// A step has a sequence of each of n_lanes lanes. In an epoch of n windows a lane reads
// n / n_lanes (rounded down) neighbouring windows, one a step, so its sequence of a step begins
// with the token that was the last one asked for in the step before. The parts of the lanes lie
// behind each other on the stream closed to a ring, turned in each epoch by a number of windows of
// its own. Up to n_lanes - 1 windows of an epoch are left out, others in each.
//
// lanes(step) is a pure function of the settings, the streams and the step, as
// BatchSampler::batch is.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch_sampler.h"

namespace xlstm::data {

struct LaneBatch {
  TokenBatch batch;
  Tensor fresh;  // uint8 [B]: 1 where the state before the first token is the start, because an
                 // epoch or the stream begins there; 0 where it is that after the step before
};

struct LaneLimits {
  int64_t steps_per_epoch = 0;  // of every epoch, the others are left out; 0: all
  bool one_epoch = false;       // the first epoch again and again
};

class LaneSampler {
 public:
  // Of several streams each has lanes of its own, neighbours, their number by weight but at least
  // one, and epochs of its own. ConfigError as BatchSampler's, for fewer lanes than streams, and
  // for a stream with fewer windows than lanes.
  LaneSampler(std::vector<WeightedStream> sources, int64_t n_lanes, int64_t context_length,
              uint64_t seed, const LaneLimits& limits = {});

  // Lanes first .. first + n - 1 in `step` (>= 0): the sequences with these numbers of the step, so
  // micro-batches and ranks take neighbouring lanes. ConfigError outside.
  LaneBatch lanes(int64_t step, int64_t first, int64_t n) const;

  int64_t n_lanes() const { return n_lanes_; }
  int64_t n_sources() const { return static_cast<int64_t>(sources_.size()); }
  int64_t n_lanes(int64_t source) const { return at(source).n_lanes; }
  int64_t steps_per_epoch(int64_t source = 0) const { return at(source).steps; }

 private:
  struct Source {
    TokenStream stream;
    int64_t n_windows;
    int64_t first, n_lanes;  // of all lanes
    int64_t part;            // windows from a lane's to the next one's
    int64_t steps;           // of an epoch
  };
  const Source& at(int64_t source) const { return sources_[static_cast<size_t>(source)]; }
  int64_t source_of(int64_t lane) const;

  std::vector<Source> sources_;
  int64_t n_lanes_, context_length_;
  uint64_t seed_;
  LaneLimits limits_;
};

}  // namespace xlstm::data
