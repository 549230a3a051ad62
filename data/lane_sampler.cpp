#include "data/lane_sampler.h"

#include <algorithm>

#include "core/checked_size.h"
#include "core/error.h"
#include "data/windows.h"

namespace xlstm::data {

LaneSampler::LaneSampler(std::vector<WeightedStream> sources, int64_t n_lanes,
                         int64_t context_length, uint64_t seed, const LaneLimits& limits)
    : n_lanes_(n_lanes), context_length_(context_length), seed_(seed), limits_(limits) {
  require<ConfigError>(n_lanes >= 1, "data: lanes: got ", n_lanes, ", expected at least 1");
  const auto n_sources = static_cast<int64_t>(sources.size());
  require<ConfigError>(n_sources <= n_lanes, "data.sources: got ", n_sources,
                       " sources, expected at most ", n_lanes,
                       " with data.stateful (each needs a sequence of the step for itself; "
                       "data.batch_size x trainer.accumulate_grad_batches is their number)");
  const std::vector<int64_t> counts = shares(sources, n_lanes);
  int64_t first = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    const int64_t n = count_windows(sources[i].stream, counts[i], context_length);
    require<ConfigError>(n >= counts[i], "data.stateful: source ", i, " is too short, got ", n,
                         " sequences of ", context_length, " tokens, expected at least ", counts[i],
                         ", one for each of its lanes (use more text, or a smaller data.batch_size "
                         "or data.max_length)");
    const int64_t part = n / counts[i];
    const int64_t steps =
        limits.steps_per_epoch > 0 ? std::min(part, limits.steps_per_epoch) : part;
    sources_.push_back({std::move(sources[i].stream), n, first, counts[i], part, steps});
    first += counts[i];
  }
}

int64_t LaneSampler::source_of(int64_t lane) const {
  const auto after = std::upper_bound(sources_.begin(), sources_.end(), lane,
                                      [](int64_t l, const Source& s) { return l < s.first; });
  return after - sources_.begin() - 1;
}

LaneBatch LaneSampler::lanes(int64_t step, int64_t first, int64_t n) const {
  require<ConfigError>(step >= 0, "data: got step ", step, ", expected at least 0");
  require<ConfigError>(first >= 0 && n >= 1 && n <= n_lanes_ && first <= n_lanes_ - n,
                       "data: got lanes ", first, " to ", first, " + ", n, ", expected at most ",
                       n_lanes_);
  LaneBatch out{empty_batch(n, context_length_), Tensor::zeros({n}, DType::u8)};
  const int64_t first_id = checked_mul(step, n_lanes_, "step");
  for (int64_t b = 0; b < n; ++b) {
    const int64_t lane = first + b, index = source_of(lane);
    const Source& source = at(index);
    const int64_t epoch = limits_.one_epoch ? 0 : step / source.steps;
    const int64_t place = step % source.steps;
    // Where the epoch begins on the ring: any window once in n_windows epochs.
    const int64_t turn = permuted(epoch % source.n_windows, source.n_windows,
                                  seed_ + static_cast<uint64_t>(index), epoch / source.n_windows);
    const int64_t window = (turn + (lane - source.first) * source.part + place) % source.n_windows;
    read_window(source.stream, window, context_length_, b, out.batch);
    out.fresh.data<uint8_t>()[b] = place == 0 || window == 0;
    out.batch.sample_ids.push_back(first_id + lane);
    out.batch.windows.push_back(window);
    out.batch.sources.push_back(index);
  }
  return out;
}

}  // namespace xlstm::data
