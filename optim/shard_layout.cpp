#include "optim/shard_layout.h"

#include <algorithm>

#include "core/error.h"
#include "core/tensor.h"

namespace xlstm::optim {

Range ShardLayout::part(size_t i, int rank) const {
  const Range& bucket = buckets[i];
  const int64_t length = (bucket.end - bucket.begin) / n_ranks;
  return {bucket.begin + rank * length, bucket.begin + (rank + 1) * length};
}

std::vector<Range> ShardLayout::parts(int rank) const {
  std::vector<Range> all;
  for (size_t i = 0; i < buckets.size(); ++i) all.push_back(part(i, rank));
  return all;
}

ShardLayout make_shard_layout(int64_t n, int64_t n_early, int n_ranks, int64_t bucket_elements,
                              int64_t border) {
  const int64_t unit = n_ranks * kFlatAlignment;
  require<ConfigError>(n_ranks >= 1 && n >= 0 && n % unit == 0 && n_early >= 0 && n_early <= n,
                       "shards: elements, got ", n, " with ", n_early, " of them early on ",
                       n_ranks, " ranks, expected a multiple of ", unit);
  require<ConfigError>(border % unit == 0 && border <= n && (border == 0 || border >= n_early),
                       "shards: border, got ", border, ", expected a multiple of ", unit, " from ",
                       n_early, " to ", n);
  const int64_t length = std::max<int64_t>(1, bucket_elements / unit) * unit;
  ShardLayout layout{{}, n_ranks};
  // Those that end early, backwards; then the rest.
  for (int64_t end = n_early / unit * unit; end > 0; end -= length)
    layout.buckets.push_back({std::max<int64_t>(0, end - length), end});
  std::reverse(layout.buckets.begin(), layout.buckets.end());
  for (int64_t begin = n_early / unit * unit; begin < n; begin = layout.buckets.back().end)
    layout.buckets.push_back({begin, std::min(begin < border ? border : n, begin + length)});
  return layout;
}

}  // namespace xlstm::optim
