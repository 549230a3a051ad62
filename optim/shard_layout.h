// Which part of flat memory belongs to which rank: buckets that are sent one by one, each cut into
// as many equal parts as there are ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace xlstm::optim {

struct Range {
  int64_t begin = 0, end = 0;  // elements
  bool operator==(const Range&) const = default;
};

struct ShardLayout {
  std::vector<Range> buckets;  // in the order of memory, without gaps
  int n_ranks = 1;

  // The part of bucket `i` that belongs to `rank`.
  Range part(size_t i, int rank) const;
  // All parts of a rank, one a bucket.
  std::vector<Range> parts(int rank) const;
};

// n elements, of which the first n_early become final one by one from the last to the first, and
// are cut into buckets of about bucket_elements from there; the others become final together, and
// are buckets of their own, of which none lies across `border` (which is 0 or not below n_early). n
// and border are multiples of n_ranks * kFlatAlignment, and so is the length of every bucket; else
// ConfigError.
ShardLayout make_shard_layout(int64_t n, int64_t n_early, int n_ranks, int64_t bucket_elements,
                              int64_t border = 0);

}  // namespace xlstm::optim
