// Walking strided arrays of any rank as runs over the innermost dimension, in row-major order.
#pragma once

#include <algorithm>
#include <cstdint>

namespace xlstm::kernels {

inline constexpr int kMaxDims = 8;
// Work is cut into blocks of this many elements, whatever the number of threads.
inline constexpr int64_t kElementsPerBlock = 16384;
// Below this many elements starting the threads costs more than it saves.
inline constexpr int64_t kParallelElements = 65536;

// N arrays of one shape, each with its own strides (in elements; 0 repeats an element).
template <int N>
struct NdLoop {
  int n_dims = 0;
  int64_t sizes[kMaxDims] = {};
  int64_t strides[N][kMaxDims] = {};

  int64_t count() const {
    int64_t n = 1;
    for (int d = 0; d < n_dims; ++d) n *= sizes[d];
    return n;
  }
};

// Drops dimensions of size 1 and merges neighbours that all arrays walk as one, so that runs become
// as long as they can be. At least one dimension remains.
template <int N>
NdLoop<N> merged(const NdLoop<N>& loop) {
  NdLoop<N> out;
  for (int d = 0; d < loop.n_dims; ++d) {
    if (loop.sizes[d] == 1) continue;
    bool joins = out.n_dims > 0;
    for (int a = 0; a < N && joins; ++a)
      joins = out.strides[a][out.n_dims - 1] == loop.strides[a][d] * loop.sizes[d];
    if (joins) {
      out.sizes[out.n_dims - 1] *= loop.sizes[d];
    } else {
      out.sizes[out.n_dims++] = loop.sizes[d];
    }
    for (int a = 0; a < N; ++a) out.strides[a][out.n_dims - 1] = loop.strides[a][d];
  }
  if (out.n_dims == 0) out.sizes[out.n_dims++] = 1;
  return out;
}

// Calls run(offsets[N], first, length, steps[N]) for pieces of runs that together cover elements
// [begin, end): `first` is the row-major index of the piece's first element, `steps` the innermost
// strides.
template <int N, class Run>
void for_runs(const NdLoop<N>& loop, int64_t begin, int64_t end, const Run& run) {
  const int last = loop.n_dims - 1;
  int64_t index[kMaxDims], offsets[N] = {}, steps[N];
  for (int a = 0; a < N; ++a) steps[a] = loop.strides[a][last];
  int64_t rest = begin;
  for (int d = last; d >= 0; --d) {
    index[d] = rest % loop.sizes[d];
    rest /= loop.sizes[d];
    for (int a = 0; a < N; ++a) offsets[a] += index[d] * loop.strides[a][d];
  }
  for (int64_t i = begin; i < end;) {
    const int64_t length = std::min(loop.sizes[last] - index[last], end - i);
    run(offsets, i, length, steps);
    i += length;
    index[last] += length;
    for (int a = 0; a < N; ++a) offsets[a] += length * loop.strides[a][last];
    for (int d = last; d > 0 && index[d] == loop.sizes[d]; --d) {
      index[d] = 0;
      ++index[d - 1];
      for (int a = 0; a < N; ++a)
        offsets[a] += loop.strides[a][d - 1] - loop.sizes[d] * loop.strides[a][d];
    }
  }
}

// The whole loop, on all threads if it is long.
template <int N, class Run>
void for_all_runs(const NdLoop<N>& given, const Run& run) {
  const NdLoop<N> loop = merged(given);
  const int64_t n = loop.count();
  if (n == 0) return;
  if (n < kParallelElements) return for_runs(loop, 0, n, run);
  const int64_t blocks = (n + kElementsPerBlock - 1) / kElementsPerBlock;
#if defined(_OPENMP)  // .cu files, which need the rest of this header, are compiled without
#pragma omp parallel for schedule(static)
#endif
  for (int64_t b = 0; b < blocks; ++b)
    for_runs(loop, b * kElementsPerBlock, std::min(n, (b + 1) * kElementsPerBlock), run);
}

}  // namespace xlstm::kernels
