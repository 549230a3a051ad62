#include "data/batch_sampler.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

namespace xlstm::data {
namespace {

using xlstm::test::contains;

// Token i is i mod 1000 plus one, with an end of text (0) at every 7th place.
TokenStream stream_of(int64_t n) {
  std::vector<int64_t> tokens(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) tokens[static_cast<size_t>(i)] = i % 7 == 6 ? 0 : i % 1000 + 1;
  return TokenStream(tokens, 1001, 0);
}

std::vector<int64_t> flat(const TokenBatch& batch) {
  std::vector<int64_t> all = batch.tokens.to_vector<int64_t>();
  for (const uint8_t r : batch.reset.to_vector<uint8_t>()) all.push_back(r);
  all.insert(all.end(), batch.sample_ids.begin(), batch.sample_ids.end());
  return all;
}

TEST_CASE("the permutation is one, for every size, seed and epoch") {
  for (int64_t n = 1; n < 300; ++n) {
    std::vector<int64_t> seen;
    for (int64_t i = 0; i < n; ++i) seen.push_back(permuted(i, n, 5, n % 4));
    std::sort(seen.begin(), seen.end());
    std::vector<int64_t> expected(static_cast<size_t>(n));
    std::iota(expected.begin(), expected.end(), 0);
    REQUIRE(seen == expected);
  }
  const int64_t huge = (int64_t{1} << 40) + 12345;
  std::set<int64_t> places;
  for (int64_t i = 0; i < 10000; ++i) {
    const int64_t place = permuted(huge - 1 - i, huge, 1, 0);
    REQUIRE((place >= 0 && place < huge));
    places.insert(place);
  }
  CHECK(places.size() == 10000);
}

// Each place should get each index equally often: chi-square over seeds, 63 degrees of freedom,
// limit at 6 standard deviations.
TEST_CASE("the permutation has no favourite places and leaves few neighbours together") {
  constexpr int64_t n = 64, kSeeds = 6400;
  for (const int64_t index : {0, 1, 31, 63}) {
    std::vector<double> hits(n);
    for (uint64_t seed = 0; seed < kSeeds; ++seed)
      ++hits[static_cast<size_t>(permuted(index, n, seed, 0))];
    double chi = 0;
    for (const double h : hits) chi += (h - 100) * (h - 100) / 100;
    CHECK(chi < 63 + 6 * std::sqrt(2.0 * 63));
  }
  int64_t neighbours = 0;  // 1 expected per permutation of any size
  for (uint64_t seed = 0; seed < 1000; ++seed)
    for (int64_t i = 0; i + 1 < 1000; ++i)
      neighbours += permuted(i + 1, 1000, seed, 0) == permuted(i, 1000, seed, 0) + 1;
  CHECK(neighbours > 1000 - 6 * 32);
  CHECK(neighbours < 1000 + 6 * 32);
}

TEST_CASE("each window comes once per epoch, also when an epoch ends within a batch") {
  const BatchSampler sampler(stream_of(1000), 8, 10, 3);
  const int64_t n = sampler.n_windows();
  REQUIRE(n == 99);  // 8 does not divide it
  std::vector<int64_t> order;
  int64_t next_id = 0;
  for (int64_t step = 0; order.size() < static_cast<size_t>(5 * n); ++step) {
    const TokenBatch batch = sampler.batch(step);
    for (const int64_t id : batch.sample_ids) REQUIRE(id == next_id++);
    order.insert(order.end(), batch.windows.begin(), batch.windows.end());
  }
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    std::vector<int64_t> part(order.begin() + epoch * n, order.begin() + (epoch + 1) * n);
    orders.insert(part);
    std::sort(part.begin(), part.end());
    for (int64_t i = 0; i < n; ++i) REQUIRE(part[static_cast<size_t>(i)] == i);
  }
  CHECK(orders.size() == 5);
  CHECK(sampler.steps_per_epoch() == 13);
  CHECK(sampler.epoch_of(99) == Approx(8));
}

TEST_CASE("tokens and resets are those of the stream") {
  const TokenStream stream = stream_of(500);
  const BatchSampler sampler(stream, 4, 9, 1);
  for (int64_t step = 0; step < 30; ++step) {
    const TokenBatch batch = sampler.batch(step);
    REQUIRE(batch.tokens.shape() == Shape{4, 10});
    REQUIRE(batch.reset.shape() == Shape{4, 9});
    const auto tokens = batch.tokens.to_vector<int64_t>();
    const auto reset = batch.reset.to_vector<uint8_t>();
    for (int64_t b = 0; b < 4; ++b)
      for (int64_t t = 0; t < 10; ++t) {
        const int64_t place = batch.windows[static_cast<size_t>(b)] * 9 + t;
        REQUIRE(tokens[static_cast<size_t>(b * 10 + t)] == (place % 7 == 6 ? 0 : place % 1000 + 1));
        if (t < 9)  // documents start at 0, 7, 14, ...
          REQUIRE(reset[static_cast<size_t>(b * 9 + t)] == (place % 7 == 0));
      }
  }
}

TEST_CASE("a run that stops and starts again at any step sees the same batches") {
  const TokenStream stream = stream_of(3000);
  const BatchSampler unbroken(stream, 6, 16, 77);
  std::mt19937 random(1);
  std::vector<std::vector<int64_t>> batches;
  for (int64_t step = 0; step < 1000; ++step) batches.push_back(flat(unbroken.batch(step)));
  for (int i = 0; i < 1000; ++i) {
    const auto step = static_cast<int64_t>(random() % 1000);
    const BatchSampler resumed(stream, 6, 16, 77);
    for (int64_t s = step; s < std::min<int64_t>(step + 3, 1000); ++s)
      REQUIRE(flat(resumed.batch(s)) == batches[static_cast<size_t>(s)]);
  }
  CHECK(flat(BatchSampler(stream, 6, 16, 78).batch(0)) != batches[0]);
}

TEST_CASE("ranks and accumulated parts together are the global batch") {
  const BatchSampler sampler(stream_of(2000), 8, 12, 5);
  for (int64_t step = 0; step < 60; ++step) {
    const TokenBatch whole = sampler.batch(step);
    for (const int64_t world : {1, 2, 4}) {
      std::vector<int64_t> tokens, ids;
      for (int64_t rank = 0; rank < world; ++rank) {
        const TokenBatch part = sampler.batch(step, rank, world);
        const auto values = part.tokens.to_vector<int64_t>();
        tokens.insert(tokens.end(), values.begin(), values.end());
        ids.insert(ids.end(), part.sample_ids.begin(), part.sample_ids.end());
      }
      REQUIRE(tokens == whole.tokens.to_vector<int64_t>());
      REQUIRE(ids == whole.sample_ids);
    }
    REQUIRE(sampler.rows(step, 3, 2).windows ==
            std::vector<int64_t>{whole.windows[3], whole.windows[4]});
  }
  CHECK_THROWS_WITH(sampler.batch(0, 0, 3), contains("cannot be shared by 3 ranks"));
  CHECK_THROWS_AS(sampler.batch(0, 2, 2), ConfigError);
  CHECK_THROWS_AS(sampler.batch(-1), ConfigError);
  CHECK_THROWS_AS(sampler.rows(0, 7, 2), ConfigError);
}

TEST_CASE("a changed stream or setting is named when a run goes on") {
  const BatchSampler sampler(stream_of(2000), 8, 12, 5);
  sampler.require_same(sampler.identity());
  SamplerIdentity saved = sampler.identity();
  saved.seed = 6;
  saved.global_batch = 4;
  CHECK_THROWS_WITH(sampler.require_same(saved),
                    contains("seed is now 5, was 6; global batch is now 8, was 4"));
  std::vector<int64_t> tokens(2000, 1);
  const BatchSampler a(TokenStream(tokens, 1001, 0), 8, 12, 5);
  tokens[1234] = 2;
  const BatchSampler b(TokenStream(tokens, 1001, 0), 8, 12, 5);
  CHECK_THROWS_WITH(a.require_same(b.identity()), contains("fingerprint"));
}

TEST_CASE("validation goes through the windows in order, to the last") {
  const SequentialBatches batches(stream_of(1003), 8, 10);
  CHECK(batches.n_windows() == 100);
  CHECK(batches.n_batches() == 13);
  std::vector<int64_t> windows;
  for (int64_t i = 0; i < batches.n_batches(); ++i) {
    const TokenBatch batch = batches.batch(i);
    windows.insert(windows.end(), batch.windows.begin(), batch.windows.end());
    CHECK(batch.tokens.shape() == Shape{i < 12 ? 8 : 4, 11});
  }
  for (int64_t i = 0; i < 100; ++i) CHECK(windows[static_cast<size_t>(i)] == i);
  CHECK_THROWS_AS(batches.batch(13), ConfigError);
}

TEST_CASE("a corpus shorter than one sequence is an error, one as long is not") {
  CHECK_THROWS_WITH(BatchSampler(stream_of(10), 1, 10, 0),
                    contains("shorter than one sequence, got 10 tokens, expected at least 10 + 1"));
  CHECK_THROWS_AS(BatchSampler(stream_of(0), 1, 10, 0), ConfigError);
  CHECK_THROWS_AS(BatchSampler(stream_of(100), 0, 10, 0), ConfigError);
  CHECK_THROWS_AS(BatchSampler(stream_of(100), 1, 0, 0), ConfigError);
  const BatchSampler one(stream_of(11), 4, 10, 0);
  CHECK(one.batch(0).windows == std::vector<int64_t>{0, 0, 0, 0});
}

TEST_CASE("several sources give their shares, each in epochs of its own") {
  // Streams whose tokens tell the source and the place.
  const auto stream = [](int64_t first, int64_t n) {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < n; ++i) ids.push_back(first + i);
    return TokenStream(ids, 100000, 99999);
  };
  const auto make = [&](double a, double b, double c) {
    return BatchSampler({{stream(0, 401), a}, {stream(10000, 41), b}, {stream(20000, 2001), c}}, 8,
                        4, 7);
  };
  const BatchSampler sampler = make(1, 2, 5);
  CHECK(sampler.n_windows() == 100 + 10 + 500);
  CHECK(sampler.n_sources() == 3);
  std::vector<std::map<int64_t, int64_t>> seen(3);
  std::vector<int64_t> n_of(3);
  for (int64_t block = 0; block < 3; ++block) {
    std::vector<int64_t> of_block(3);
    for (int64_t step = block * 128; step < (block + 1) * 128; ++step) {
      const TokenBatch batch = sampler.batch(step);
      for (int64_t row = 0; row < 8; ++row) {
        const auto source = static_cast<size_t>(batch.sources[static_cast<size_t>(row)]);
        const int64_t window = batch.windows[static_cast<size_t>(row)];
        CHECK(batch.tokens.data<int64_t>()[row * 5] ==
              static_cast<int64_t>(source) * 10000 + window * 4);
        ++seen[source][window];
        ++of_block[source];
      }
    }
    CHECK(of_block[0] == 129);  // 1 + 1021 / 8, and so on
    CHECK(of_block[1] == 256);
    CHECK(of_block[2] == 639);
    for (size_t i = 0; i < 3; ++i) n_of[i] += of_block[i];
  }
  // Whole epochs of every source: windows are seen equally often, but for the epoch that runs.
  for (size_t i = 0; i < 3; ++i) {
    const int64_t n = i == 0 ? 100 : i == 1 ? 10 : 500;
    for (int64_t w = 0; w < n; ++w) {
      CHECK(seen[i][w] >= n_of[i] / n);
      CHECK(seen[i][w] <= n_of[i] / n + 1);
    }
  }
  // Ranks share a batch.
  const TokenBatch whole = sampler.batch(77);
  for (const int64_t world : {2, 4})
    for (int64_t rank = 0; rank < world; ++rank) {
      const TokenBatch part = sampler.batch(77, rank, world);
      for (int64_t row = 0; row < 8 / world; ++row)
        CHECK(part.windows[static_cast<size_t>(row)] ==
              whole.windows[static_cast<size_t>(rank * 8 / world + row)]);
    }
  CHECK(make(1, 2, 5).identity() == sampler.identity());
  CHECK_FALSE(make(1, 2, 6).identity() == sampler.identity());
  CHECK_THROWS_AS(make(1, 0, 5), ConfigError);
  CHECK_THROWS_AS(make(1, -1, 5), ConfigError);
}

TEST_CASE("how fast one thread makes batches", "[.bench]") {
  const TemporaryDir dir;
  std::vector<uint16_t> ids(size_t{64} << 20);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<uint16_t>(i * 2654435761u >> 16);
  real_file_system().write_file(dir.path("train.bin"), {reinterpret_cast<const char*>(ids.data()),
                                                        ids.size() * sizeof(uint16_t)});
  const BatchSampler sampler(TokenStream::open_any(dir.path("train.bin"), 65536, 0), 64, 2048, 1);
  int64_t n = 0;
  const auto begin = std::chrono::steady_clock::now();
  std::chrono::duration<double> took{};
  for (int64_t step = 0; took.count() < 1; ++step) {
    n += sampler.batch(step).reset.numel();
    took = std::chrono::steady_clock::now() - begin;
  }
  std::printf("%.0f million tokens a second\n", static_cast<double>(n) / took.count() / 1e6);
}

}  // namespace
}  // namespace xlstm::data
