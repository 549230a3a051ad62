#include "optim/shard_layout.h"

#include <random>

#include "core/error.h"
#include "core/tensor.h"
#include "tests/catch.h"

namespace xlstm::optim {
namespace {

TEST_CASE("buckets cover everything once, in parts that are as long for every rank") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    const int n_ranks = 1 + static_cast<int>(random() % 9);
    const int64_t unit = n_ranks * kFlatAlignment;
    const int64_t n = static_cast<int64_t>(random() % 40) * unit;
    const int64_t n_early = n == 0 ? 0 : static_cast<int64_t>(random()) & 0x7fffffff;
    const int64_t early = n == 0 ? 0 : n_early % (n + 1);
    const auto length = static_cast<int64_t>(random() % 4000);
    // A border anywhere from there on, or none.
    const int64_t first = (early + unit - 1) / unit, choices = n / unit - first + 1;
    const int64_t border =
        random() % 3 == 0 ? 0 : (first + static_cast<int64_t>(random() % 1000) % choices) * unit;
    CAPTURE(n_ranks, n, early, length, border);
    const ShardLayout layout = make_shard_layout(n, early, n_ranks, length, border);
    int64_t at = 0, straddling = 0;
    for (size_t i = 0; i < layout.buckets.size(); ++i) {
      const Range& bucket = layout.buckets[i];
      REQUIRE(bucket.begin == at);
      REQUIRE(bucket.end > at);
      REQUIRE((bucket.end - bucket.begin) % unit == 0);
      REQUIRE(bucket.end - bucket.begin <= std::max(unit, length));
      // What ends early waits for nothing that does not.
      if (bucket.begin < early / unit * unit && bucket.end > early) ++straddling;
      if (bucket.begin < border && bucket.end > border) ++straddling;
      int64_t inner = bucket.begin;
      for (int rank = 0; rank < n_ranks; ++rank) {
        const Range part = layout.part(i, rank);
        REQUIRE(part.begin == inner);
        REQUIRE(layout.parts(rank)[i] == part);
        inner = part.end;
      }
      REQUIRE(inner == bucket.end);
      at = bucket.end;
    }
    REQUIRE(at == n);
    REQUIRE(straddling == 0);
  }
}

TEST_CASE("sizes that do not fall into equal parts are refused") {
  CHECK_THROWS_AS(make_shard_layout(3 * kFlatAlignment, 0, 2, 64), ConfigError);
  CHECK_THROWS_AS(make_shard_layout(kFlatAlignment + 1, 0, 1, 64), ConfigError);
  CHECK_THROWS_AS(make_shard_layout(kFlatAlignment, 2 * kFlatAlignment, 1, 64), ConfigError);
  CHECK_THROWS_AS(make_shard_layout(kFlatAlignment, 0, 0, 64), ConfigError);
  const int64_t n = 4 * kFlatAlignment;
  CHECK_THROWS_AS(make_shard_layout(n, 0, 2, 64, kFlatAlignment), ConfigError);
  CHECK_THROWS_AS(make_shard_layout(n, n, 1, 64, n - kFlatAlignment), ConfigError);
  CHECK_THROWS_AS(make_shard_layout(n, 0, 1, 64, n + kFlatAlignment), ConfigError);
}

}  // namespace
}  // namespace xlstm::optim
