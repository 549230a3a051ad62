#include "data/lane_sampler.h"

#include <algorithm>
#include <random>
#include <set>

#include "core/error.h"
#include "tests/catch.h"

namespace xlstm::data {
namespace {

using xlstm::test::contains;

constexpr int64_t kEnd = 99999;

// Tokens first, first + 1, ...: each tells its place. An end of text at every 7th place, if wanted.
TokenStream stream_of(int64_t first, int64_t n, bool with_ends = false) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(with_ends && i % 7 == 6 ? kEnd : first + i);
  return TokenStream(ids, kEnd + 1, kEnd);
}

std::vector<int64_t> flat(const LaneBatch& lanes) {
  std::vector<int64_t> all = lanes.batch.tokens.to_vector<int64_t>();
  for (const Tensor& bytes : {lanes.batch.reset, lanes.fresh})
    for (const uint8_t byte : bytes.to_vector<uint8_t>()) all.push_back(byte);
  for (const auto* ids : {&lanes.batch.sample_ids, &lanes.batch.windows, &lanes.batch.sources})
    all.insert(all.end(), ids->begin(), ids->end());
  return all;
}

TEST_CASE("a lane goes on where the step before ended, and each token comes once an epoch") {
  constexpr int64_t T = 10, kLanes = 6;
  for (const int64_t n_tokens : {1000, 961, 61}) {  // 99 windows, 96, and 6: one a lane
    CAPTURE(n_tokens);
    const LaneSampler sampler({{stream_of(0, n_tokens), 1}}, kLanes, T, 3);
    const int64_t n = (n_tokens - 1) / T, steps = n / kLanes;
    REQUIRE(sampler.steps_per_epoch() == steps);
    std::set<int64_t> turns;
    std::set<std::vector<int64_t>> left_out;
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      std::vector<int64_t> times(static_cast<size_t>(n_tokens));
      std::vector<int64_t> before(kLanes, -1);
      for (int64_t step = epoch * steps; step < (epoch + 1) * steps; ++step) {
        const LaneBatch lanes = sampler.lanes(step, 0, kLanes);
        REQUIRE(lanes.batch.tokens.shape() == Shape{kLanes, T + 1});
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const int64_t* row = lanes.batch.tokens.data<int64_t>() + lane * (T + 1);
          for (int64_t t = 0; t < T; ++t) {
            REQUIRE(row[t + 1] == row[t] + 1);
            ++times[static_cast<size_t>(row[t + 1])];
          }
          const bool begins = step == epoch * steps || row[0] == 0;
          REQUIRE(lanes.fresh.data<uint8_t>()[lane] == begins);
          int64_t& last = before[static_cast<size_t>(lane)];
          if (!begins) REQUIRE(row[0] == last);
          last = row[T];
          REQUIRE(lanes.batch.sample_ids[static_cast<size_t>(lane)] == step * kLanes + lane);
        }
        if (step == epoch * steps) turns.insert(lanes.batch.windows[0]);
      }
      // Every token that can be asked for, but those of the windows that the lanes do not share.
      int64_t n_seen = 0;
      std::vector<int64_t> unseen;
      for (int64_t i = 1; i <= n * T; ++i) {
        REQUIRE(times[static_cast<size_t>(i)] <= 1);
        n_seen += times[static_cast<size_t>(i)];
        if (times[static_cast<size_t>(i)] == 0) unseen.push_back(i);
      }
      CHECK(n_seen == kLanes * steps * T);
      left_out.insert(unseen);
    }
    CHECK(turns.size() == 4);
    CHECK(left_out.size() == (n % kLanes == 0 ? 1 : 4));
  }
}

TEST_CASE("batches with carried states are a function of the step, for parts as for the whole") {
  const TokenStream stream = stream_of(0, 3000, true);
  const auto make = [&](uint64_t seed) { return LaneSampler({{stream, 1}}, 8, 16, seed); };
  const LaneSampler unbroken = make(7);
  std::vector<std::vector<int64_t>> batches;
  for (int64_t step = 0; step < 300; ++step) batches.push_back(flat(unbroken.lanes(step, 0, 8)));
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    const auto step = static_cast<int64_t>(random() % 300);
    REQUIRE(flat(make(7).lanes(step, 0, 8)) == batches[static_cast<size_t>(step)]);
  }
  CHECK(flat(make(8).lanes(0, 0, 8)) != batches[0]);
  for (int64_t step = 0; step < 60; ++step) {
    const LaneBatch whole = unbroken.lanes(step, 0, 8);
    for (const int64_t n : {1, 2, 4}) {
      std::vector<int64_t> tokens, windows;
      std::vector<uint8_t> fresh;
      for (int64_t first = 0; first < 8; first += n) {
        const LaneBatch part = unbroken.lanes(step, first, n);
        const auto values = part.batch.tokens.to_vector<int64_t>();
        tokens.insert(tokens.end(), values.begin(), values.end());
        windows.insert(windows.end(), part.batch.windows.begin(), part.batch.windows.end());
        for (const uint8_t byte : part.fresh.to_vector<uint8_t>()) fresh.push_back(byte);
      }
      REQUIRE(tokens == whole.batch.tokens.to_vector<int64_t>());
      REQUIRE(windows == whole.batch.windows);
      REQUIRE(fresh == whole.fresh.to_vector<uint8_t>());
    }
  }
}

TEST_CASE("document starts of a lane are those of the stream, also at the seams between steps") {
  constexpr int64_t T = 9;
  const LaneSampler sampler({{stream_of(0, 500, true), 1}}, 4, T, 1);
  for (int64_t step = 0; step < 40; ++step) {
    const LaneBatch lanes = sampler.lanes(step, 0, 4);
    for (int64_t b = 0; b < 4; ++b)
      for (int64_t t = 0; t < T; ++t) {
        const int64_t place = lanes.batch.windows[static_cast<size_t>(b)] * T + t;
        REQUIRE(lanes.batch.reset.data<uint8_t>()[b * T + t] == (place % 7 == 0));
      }
  }
}

TEST_CASE("several sources have lanes by weight and epochs of their own") {
  const auto make = [&](double a, double b, int64_t n_lanes) {
    return LaneSampler({{stream_of(0, 401), a}, {stream_of(10000, 41), b}}, n_lanes, 4, 7);
  };
  const LaneSampler sampler = make(3, 1, 8);
  CHECK(sampler.n_lanes(0) == 6);  // 1 + 6 * 3 / 4, and the larger rest
  CHECK(sampler.n_lanes(1) == 2);
  CHECK(sampler.steps_per_epoch(0) == 16);  // 100 windows
  CHECK(sampler.steps_per_epoch(1) == 5);   // 10
  std::vector<int64_t> before(8, -1);
  for (int64_t step = 0; step < 40; ++step) {
    const LaneBatch lanes = sampler.lanes(step, 0, 8);
    for (int64_t lane = 0; lane < 8; ++lane) {
      const int64_t source = lane < 6 ? 0 : 1;
      const int64_t* row = lanes.batch.tokens.data<int64_t>() + lane * 5;
      CHECK(lanes.batch.sources[static_cast<size_t>(lane)] == source);
      CHECK(row[0] / 10000 == source);
      int64_t& last = before[static_cast<size_t>(lane)];
      const bool begins = step % (source == 0 ? 16 : 5) == 0 || row[0] % 10000 == 0;
      CHECK(lanes.fresh.data<uint8_t>()[lane] == begins);
      CHECK((begins || row[0] == last));
      last = row[4];
    }
  }
  CHECK_THROWS_WITH(make(1, 1, 1), contains("data.sources: got 2 sources, expected at most 1"));
  CHECK_THROWS_WITH(make(1, 99, 30), contains("source 1 is too short, got 10 sequences"));
  CHECK_THROWS_AS(make(1, 0, 8), ConfigError);
}

TEST_CASE("epochs may be cut short, and one of them repeated") {
  const TokenStream stream = stream_of(0, 1000);
  const LaneSampler shorter({{stream, 1}}, 4, 10, 5, {.steps_per_epoch = 3});
  const LaneSampler whole({{stream, 1}}, 4, 10, 5);
  const LaneSampler same({{stream, 1}}, 4, 10, 5, {.steps_per_epoch = 3, .one_epoch = true});
  CHECK(shorter.steps_per_epoch() == 3);
  for (int64_t step = 0; step < 9; ++step) {
    const LaneBatch lanes = shorter.lanes(step, 0, 4);
    // The beginning of the same epoch of the uncut order.
    const int64_t uncut = step / 3 * whole.steps_per_epoch() + step % 3;
    CHECK(lanes.batch.windows == whole.lanes(uncut, 0, 4).batch.windows);
    CHECK((lanes.fresh.data<uint8_t>()[0] == 1 || step % 3 != 0));
    CHECK(same.lanes(step, 0, 4).batch.windows == whole.lanes(step % 3, 0, 4).batch.windows);
  }
  CHECK(shorter.lanes(3, 0, 4).batch.windows != shorter.lanes(0, 0, 4).batch.windows);
}

TEST_CASE("lanes and steps that are not there are refused") {
  const TokenStream stream = stream_of(0, 1000);
  const LaneSampler sampler({{stream, 1}}, 4, 10, 5);
  CHECK_THROWS_AS(sampler.lanes(-1, 0, 4), ConfigError);
  CHECK_THROWS_AS(sampler.lanes(0, 1, 4), ConfigError);
  CHECK_THROWS_AS(sampler.lanes(0, -1, 2), ConfigError);
  CHECK_THROWS_AS(sampler.lanes(0, 0, 0), ConfigError);
  CHECK_THROWS_AS(LaneSampler({{stream, 1}}, 0, 10, 5), ConfigError);
  CHECK_THROWS_WITH(LaneSampler({{stream, 1}}, 100, 10, 5), contains("too short"));
  CHECK_THROWS_AS(LaneSampler({{stream, 1}}, 4, 0, 5), ConfigError);
}

}  // namespace
}  // namespace xlstm::data
