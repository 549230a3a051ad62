// No sample is lost or repeated, wherever a run stops and however many ranks go on.
#include <algorithm>

#include "data/lane_sampler.h"
#include "tests/reliability/proof.h"

namespace xlstm::proof {
namespace {

using data::BatchSampler;
using data::LaneSampler;
using data::TokenBatch;
using data::TokenStream;

constexpr int64_t kBatch = 8, kLength = 16, kWindows = 250;

TokenStream stream() {
  std::vector<int64_t> tokens(kWindows * kLength + 1);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int64_t>(i % 997) + 1;
  return TokenStream(tokens, 998, 0);
}

// What one step shows, all ranks together: numbers of the sequences, their places, their tokens.
struct Shown {
  std::vector<int64_t> ids, windows, tokens;
  bool operator==(const Shown&) const = default;
  void add(const TokenBatch& batch) {
    ids.insert(ids.end(), batch.sample_ids.begin(), batch.sample_ids.end());
    windows.insert(windows.end(), batch.windows.begin(), batch.windows.end());
    const auto more = batch.tokens.to_vector<int64_t>();
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
};

TEST_CASE("1,000 stops: sample ids, windows and tokens as in an unbroken run, for 1, 2, 4 ranks") {
  std::mt19937_64 random = random_source();
  std::vector<Shown> unbroken(4000);
  {
    const BatchSampler sampler(stream(), kBatch, kLength, 5);
    for (size_t step = 0; step < unbroken.size(); ++step)
      unbroken[step].add(sampler.batch(static_cast<int64_t>(step)));
  }
  Promise promise(5, "stops at random steps, going on with 1, 2 or 4 ranks");
  std::vector<int64_t> windows;
  int64_t step = 0, n_stops = 0;
  for (; n_stops < 1000; ++n_stops) {
    // A new process: everything is made anew but the number of the step.
    const int64_t ranks = int64_t{1} << (random() % 3);
    const BatchSampler sampler(stream(), kBatch, kLength, 5);
    bool same = true;
    for (uint64_t left = random() % 7; left > 0 && step < 4000; --left, ++step) {
      Shown shown;
      for (int64_t rank = 0; rank < ranks; ++rank) shown.add(sampler.batch(step, rank, ranks));
      same = same && shown == unbroken[static_cast<size_t>(step)];
      windows.insert(windows.end(), shown.windows.begin(), shown.windows.end());
    }
    promise.point(same, "after stop " + std::to_string(n_stops));
  }
  // Each window once an epoch, over all those stops.
  int64_t n_epochs = 0;
  for (size_t begin = 0; begin + kWindows <= windows.size(); begin += kWindows, ++n_epochs) {
    std::vector<int64_t> epoch(windows.begin() + static_cast<int64_t>(begin),
                               windows.begin() + static_cast<int64_t>(begin) + kWindows);
    std::sort(epoch.begin(), epoch.end());
    for (int64_t i = 0; i < kWindows; ++i) REQUIRE(epoch[static_cast<size_t>(i)] == i);
  }
  CHECK(n_epochs > 50);
  promise.figure(std::to_string(step) + " steps, " + std::to_string(n_epochs) +
                 " epochs, each window once in each");
}

TEST_CASE("1,000 stops of lanes with carried states: the same sequences for 1, 2, 4 ranks") {
  std::mt19937_64 random = random_source();
  const auto make = [] { return LaneSampler({{stream(), 1}}, kBatch, kLength, 5); };
  const LaneSampler unbroken = make();
  Promise promise(5, "the same with data.stateful");
  int64_t step = 0;
  for (int64_t stop = 0; stop < 1000; ++stop) {
    const int64_t ranks = int64_t{1} << (random() % 3), share = kBatch / ranks;
    const LaneSampler sampler = make();
    bool same = true;
    for (uint64_t left = random() % 7; left > 0; --left, ++step) {
      Shown all, parts;
      const data::LaneBatch whole = unbroken.lanes(step, 0, kBatch);
      all.add(whole.batch);
      std::vector<uint8_t> fresh;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const data::LaneBatch part = sampler.lanes(step, rank * share, share);
        parts.add(part.batch);
        const auto bytes = part.fresh.to_vector<uint8_t>();
        fresh.insert(fresh.end(), bytes.begin(), bytes.end());
      }
      same = same && parts == all && fresh == whole.fresh.to_vector<uint8_t>();
    }
    promise.point(same, "after stop " + std::to_string(stop));
  }
  promise.figure(std::to_string(step) + " steps");
}

}  // namespace
}  // namespace xlstm::proof
