// Positions sorted by token, stable, the same on every run: a radix sort by 9 bits a pass. Tokens
// out of range count as n_vocab and come last.
#pragma once

#include "kernels/common/cuda.cuh"

namespace xlstm::kernels::embedding {

constexpr int kDigitBits = 9, kBins = 1 << kDigitBits;
constexpr int kSortThreads = 256, kSortWarps = kSortThreads / 32, kRounds = 2;
constexpr int kChunk = kSortThreads * kRounds;  // positions of a block

// Where a pass reads and writes. The first pass reads the tokens: its `keys` are null.
struct SortPass {
  const int64_t* tokens;
  const uint32_t *keys, *positions;
  uint32_t *keys_out, *positions_out;
  uint32_t* counts;  // [kBins][chunks]
  uint32_t* totals;  // [kBins]
  uint8_t* present;  // [n_vocab], set by the first pass
  int64_t n, n_vocab;
  int shift;
};

__device__ inline uint32_t key_at(const SortPass& p, int64_t i) {
  if (p.keys != nullptr) return p.keys[i];
  const int64_t token = p.tokens[i];
  return static_cast<uint32_t>(token >= 0 && token < p.n_vocab ? token : p.n_vocab);
}
__device__ inline uint32_t digit_of(const SortPass& p, uint32_t key) {
  return key >> p.shift & (kBins - 1);
}

// Integer additions commute, so atomics leave the counts the same on every run.
__global__ void __launch_bounds__(kSortThreads) count_digits(SortPass p) {
  __shared__ uint32_t bins[kBins];
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kSortThreads) bins[bin] = 0;
  __syncthreads();
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kChunk;
  for (int64_t i = begin + threadIdx.x; i < begin + kChunk && i < p.n; i += kSortThreads) {
    const uint32_t key = key_at(p, i);
    if (p.keys == nullptr && key < p.n_vocab) p.present[key] = 1;
    atomicAdd(&bins[digit_of(p, key)], 1u);
  }
  __syncthreads();
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kSortThreads)
    p.counts[static_cast<int64_t>(bin) * gridDim.x + blockIdx.x] = bins[bin];
}

// The sum over the warp's lanes up to this one.
__device__ inline uint32_t warp_running_sum(uint32_t x) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    const uint32_t before = __shfl_up_sync(0xffffffffu, x, d);
    if (lane >= d) x += before;
  }
  return x;
}

// A warp for a bin: its counts become the sum of those of earlier chunks, totals that of all.
__global__ void __launch_bounds__(kSortThreads) sum_chunks(SortPass p, int64_t chunks) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int bin = static_cast<int>(blockIdx.x) * kSortWarps + static_cast<int>(threadIdx.x) / 32;
  uint32_t* counts = p.counts + bin * chunks;
  uint32_t before = 0;
  for (int64_t first = 0; first < chunks; first += 32) {
    const int64_t i = first + lane;
    const uint32_t count = i < chunks ? counts[i] : 0, through = warp_running_sum(count);
    if (i < chunks) counts[i] = before + through - count;
    before += __shfl_sync(0xffffffffu, through, 31);
  }
  if (lane == 0) p.totals[bin] = before;
}

// starts[bin] = sum of the totals of earlier bins. All threads of the block take part.
__device__ inline void sum_bins(const uint32_t* totals, uint32_t (&starts)[kBins]) {
  constexpr int kEach = kBins / kSortThreads;
  __shared__ uint32_t warps[kSortWarps];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  uint32_t mine[kEach], sum = 0;
#pragma unroll
  for (int k = 0; k < kEach; ++k) sum += mine[k] = totals[threadIdx.x * kEach + k];
  const uint32_t through = warp_running_sum(sum);
  if (lane == 31) warps[warp] = through;
  __syncthreads();
  uint32_t running = through - sum;
  for (int w = 0; w < warp; ++w) running += warps[w];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    starts[threadIdx.x * kEach + k] = running;
    running += mine[k];
  }
}

// Every warp takes neighbouring positions of the chunk, 32 a round, so that ranks follow the order.
__global__ void __launch_bounds__(kSortThreads) place_positions(SortPass p) {
  __shared__ uint32_t next[kSortWarps][kBins], starts[kBins];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int i = static_cast<int>(threadIdx.x); i < kSortWarps * kBins; i += kSortThreads)
    next[i / kBins][i % kBins] = 0;
  sum_bins(p.totals, starts);
  __syncthreads();
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kChunk + warp * kRounds * 32 + lane;
  uint32_t keys[kRounds], same[kRounds];
#pragma unroll
  for (int round = 0; round < kRounds; ++round) {
    const int64_t i = begin + round * 32;
    const bool valid = i < p.n;
    keys[round] = valid ? key_at(p, i) : 0;
    const uint32_t digit = digit_of(p, keys[round]);
    // Lanes with the same digit; those beyond the end have one of their own.
    same[round] = __match_any_sync(0xffffffffu, valid ? digit : kBins);
    if (valid && lane == __ffs(same[round]) - 1) next[warp][digit] += __popc(same[round]);
    __syncwarp();
  }
  __syncthreads();
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kSortThreads) {
    uint32_t running = starts[bin] + p.counts[static_cast<int64_t>(bin) * gridDim.x + blockIdx.x];
    for (int w = 0; w < kSortWarps; ++w) {
      const uint32_t count = next[w][bin];
      next[w][bin] = running;
      running += count;
    }
  }
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kRounds; ++round) {
    const int64_t i = begin + round * 32;
    const bool valid = i < p.n;
    const uint32_t digit = digit_of(p, keys[round]);
    const uint32_t first = valid ? next[warp][digit] : 0;
    __syncwarp();
    if (valid) {
      const uint32_t to = first + __popc(same[round] & ((1u << lane) - 1));
      p.keys_out[to] = keys[round];
      p.positions_out[to] = p.positions != nullptr ? p.positions[i] : static_cast<uint32_t>(i);
      if (lane == __ffs(same[round]) - 1) next[warp][digit] = first + __popc(same[round]);
    }
    __syncwarp();
  }
}

inline int sort_passes(int64_t n_vocab) {
  int passes = 1;
  while (n_vocab >> (kDigitBits * passes) != 0) ++passes;
  return passes;
}
inline int64_t sort_chunks(int64_t n) {
  return ceil_div(n, kChunk);
}

inline int64_t sort_counts(int64_t n) {
  return kBins * (sort_chunks(n) + 1);
}

struct Sorted {
  const uint32_t *keys, *positions;
};

// keys and positions: two arrays of n each, used in turn; counts: sort_counts(n). n >= 1.
inline Sorted sort_positions(const int64_t* tokens, int64_t n, int64_t n_vocab,
                             uint32_t* const (&keys)[2], uint32_t* const (&positions)[2],
                             uint32_t* counts, uint8_t* present, cudaStream_t stream) {
  const unsigned chunks = static_cast<unsigned>(sort_chunks(n));
  uint32_t* totals = counts + int64_t{kBins} * chunks;
  SortPass p{tokens, nullptr, nullptr, nullptr, nullptr, counts, totals, present, n, n_vocab, 0};
  for (int pass = 0; pass < sort_passes(n_vocab); ++pass) {
    p.shift = pass * kDigitBits;
    p.keys_out = keys[pass % 2];
    p.positions_out = positions[pass % 2];
    count_digits<<<chunks, kSortThreads, 0, stream>>>(p);
    sum_chunks<<<kBins / kSortWarps, kSortThreads, 0, stream>>>(p, chunks);
    place_positions<<<chunks, kSortThreads, 0, stream>>>(p);
    p.keys = p.keys_out;
    p.positions = p.positions_out;
  }
  return {p.keys, p.positions};
}

}  // namespace xlstm::kernels::embedding
