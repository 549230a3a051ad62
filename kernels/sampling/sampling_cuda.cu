#include <algorithm>
#include <cfloat>

#include "kernels/common/cuda.cuh"
#include "kernels/common/philox.h"
#include "kernels/sampling/sampling.h"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kUnroll = 4;  // loads in flight per thread
constexpr int kBins = 2048;

// Sums of weights in fixed point: their order changes no bit.
using Mass = unsigned long long;

// Work in shared memory of the block that has a row.
struct Scratch {
  union {
    int32_t counts[kBins];
    Mass masses[kBins];
  } bins;
  int64_t ids[kWarps];
  float maxima[kWarps];
  double sums[kWarps];
  Mass masses[kWarps];
  // results that one thread finds for all
  double base;
  int64_t begin, end, id;
  Mass left;
  int32_t bin;
};

// The logits of a row, those of seen tokens with the penalty.
template <class T>
struct Row {
  const T* x;
  const uint8_t* seen;  // may be null
  float penalty;

  __device__ float operator[](int64_t v) const {
    const float value = to_float(x[v]);
    if (seen == nullptr || seen[v] == 0) return value;
    return value > 0 ? value / penalty : value * penalty;
  }
};

// A number with the order of x. Both zeros are one number.
__device__ uint32_t key_of(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

// The number whose key it is; 0 for both zeros.
__device__ float value_of(uint32_t key) {
  return __uint_as_float(key >> 31 != 0 ? key & 0x7fffffffu : ~key);
}

// body(v, x[v]) for the ids begin <= v < end that fall to one of `step` threads.
template <class T, class Body>
__device__ void for_ids(const Row<T>& x, int64_t begin, int64_t end, int thread, int step,
                        const Body& body) {
  for (int64_t first = begin + thread; first < end; first += kUnroll * step) {
    float value[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t v = first + u * step;
      value[u] = v < end ? x[v] : 0.0f;
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if (first + u * step < end) body(first + u * step, value[u]);
  }
}

// The largest logit and the smallest id that has it, in every thread; id -1 if a logit is NaN or
// +inf or all are -inf.
template <class T>
__device__ float find_max(const Row<T>& x, int64_t n, Scratch& s, int64_t* id) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float max = -INFINITY;
  int64_t at = n;
  bool bad = false;
  for_ids(x, 0, n, static_cast<int>(threadIdx.x), kThreads, [&](int64_t v, float value) {
    bad = bad || !(value <= FLT_MAX);
    if (value > max) {
      max = value;
      at = v;
    }
  });
  const auto join = [&](float other, int64_t other_at) {
    if (other > max || (other == max && other_at < at)) {
      max = other;
      at = other_at;
    }
  };
#pragma unroll
  for (int d = 16; d > 0; d /= 2)
    join(__shfl_xor_sync(0xffffffffu, max, d), __shfl_xor_sync(0xffffffffu, at, d));
  if (lane == 0) {
    s.maxima[warp] = max;
    s.ids[warp] = at;
  }
  bad = __syncthreads_or(bad) != 0;
  for (int w = 0; w < kWarps; ++w) join(s.maxima[w], s.ids[w]);
  __syncthreads();
  *id = bad || max == -INFINITY ? -1 : at;
  return max;
}

__device__ inline int32_t* bins_of(Scratch& s, int32_t) {
  return s.bins.counts;
}
__device__ inline Mass* bins_of(Scratch& s, Mass) {
  return s.bins.masses;
}

// Of all logits from the largest down, the key of the first at which the sum of their masses
// reaches `wanted`, which is above 0 and at most the sum of all; in *left what those equal to it
// have to give. mass(v, x[v]) is a whole number of the type Sum, which holds all sums.
template <class Sum, class T, class MassOf>
__device__ uint32_t find_threshold(const Row<T>& x, int64_t n, Sum wanted, const MassOf& mass,
                                   Scratch& s, Sum* left) {
  constexpr int kShifts[] = {21, 10, 0}, kBits[] = {11, 11, 10};
  const int t = static_cast<int>(threadIdx.x), warp = t / 32, lane = t % 32;
  Sum* bins = bins_of(s, Sum{});
  uint32_t prefix = 0, mask = 0;
#pragma unroll
  for (int digit = 0; digit < 3; ++digit) {
    const int shift = kShifts[digit], n_bins = 1 << kBits[digit];
    for (int b = t; b < kBins; b += kThreads) bins[b] = 0;
    __syncthreads();
    for_ids(x, 0, n, t, kThreads, [&](int64_t v, float value) {
      const uint32_t key = key_of(value);
      if ((key & mask) != prefix) return;
      const Sum own = mass(v, value);
      if (own != 0) atomicAdd(&bins[(key >> shift) & (n_bins - 1)], own);
    });
    __syncthreads();
    // Thread t has bins 2t and 2t + 1; how much lies in bins above its own?
    const Sum low = bins[2 * t], high = bins[2 * t + 1];
    Sum from_here = low + high;  // becomes the sum over this lane and all later ones
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      const Sum other = __shfl_down_sync(0xffffffffu, from_here, d);
      if (lane + d < 32) from_here += other;
    }
    if (lane == 0) s.masses[warp] = static_cast<Mass>(from_here);
    __syncthreads();
    Sum above = from_here - low - high;
    for (int w = warp + 1; w < kWarps; ++w) above += static_cast<Sum>(s.masses[w]);
    if (above < wanted && wanted <= above + high) {
      s.bin = 2 * t + 1;
      s.left = static_cast<Mass>(wanted - above);
    } else if (above + high < wanted && wanted <= above + high + low) {
      s.bin = 2 * t;
      s.left = static_cast<Mass>(wanted - above - high);
    }
    __syncthreads();
    prefix |= static_cast<uint32_t>(s.bin) << shift;
    mask |= static_cast<uint32_t>(n_bins - 1) << shift;
    wanted = static_cast<Sum>(s.left);
  }
  *left = wanted;
  return prefix;
}

__device__ double warp_sum(double x) {
#pragma unroll
  for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
  return x;
}

// Cuts [begin, end) into a piece per warp, sums each piece, and leaves in s.sums the sums and in
// every thread the length of a piece.
template <class T, class Weight>
__device__ int64_t sum_pieces(const Row<T>& x, int64_t begin, int64_t end, const Weight& weight,
                              Scratch& s) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t length = (end - begin + kWarps - 1) / kWarps;
  const int64_t first = min(end, begin + warp * length), last = min(end, first + length);
  double sum = 0;
  for_ids(x, first, last, lane, 32,
          [&](int64_t v, float value) { sum += static_cast<double>(weight(v, value)); });
  sum = warp_sum(sum);
  if (lane == 0) s.sums[warp] = sum;
  __syncthreads();
  return length;
}

// One thread: narrows [begin, end) to the first piece whose cumulative weight exceeds the
// threshold. Rounding can leave the threshold just above the last sum; the last piece with a
// weight is taken then.
__device__ void choose_piece(int64_t begin, int64_t end, int64_t length, double base,
                             double threshold, Scratch& s) {
  int chosen = 0;
  double before = base;
  for (int w = 0; w < kWarps; ++w) {
    if (s.sums[w] > 0) {
      chosen = w;
      s.base = before;
    }
    before += s.sums[w];
    if (s.sums[w] > 0 && before > threshold) break;
  }
  s.begin = min(end, begin + chosen * length);
  s.end = min(end, s.begin + length);
}

// The first id whose cumulative weight exceeds share * (sum of the weights), in every thread; at
// least one weight is above 0. The row is halved twice into a piece per warp; then one warp walks.
template <class T, class Weight>
__device__ int64_t choose(const Row<T>& x, int64_t n, double share, const Weight& weight,
                          Scratch& s) {
  const int lane = threadIdx.x % 32;
  int64_t begin = 0, end = n;
  double base = 0, threshold = 0;
#pragma unroll 1
  for (int level = 0; level < 2; ++level) {
    const int64_t length = sum_pieces(x, begin, end, weight, s);
    if (level == 0) {
      double total = 0;
      for (int w = 0; w < kWarps; ++w) total += s.sums[w];
      threshold = share * total;
    }
    if (threadIdx.x == 0) choose_piece(begin, end, length, base, threshold, s);
    __syncthreads();
    begin = s.begin;
    end = s.end;
    base = s.base;
    __syncthreads();
  }
  if (threadIdx.x < 32) {
    int64_t id = -1;
    for (int64_t first = begin; first < end; first += 32) {
      const int64_t v = first + lane;
      const double w = v < end ? static_cast<double>(weight(v, x[v])) : 0.0;
      double sum = w;
#pragma unroll
      for (int d = 1; d < 32; d *= 2) {
        const double other = __shfl_up_sync(0xffffffffu, sum, d);
        if (lane >= d) sum += other;
      }
      const unsigned weighted = __ballot_sync(0xffffffffu, w > 0);
      const unsigned beyond = __ballot_sync(0xffffffffu, w > 0 && base + sum > threshold);
      if (beyond != 0) {
        id = first + __ffs(static_cast<int>(beyond)) - 1;
        break;
      }
      if (weighted != 0) id = first + 31 - __clz(static_cast<int>(weighted));
      base += __shfl_sync(0xffffffffu, sum, 31);
    }
    if (lane == 0) s.id = id;
  }
  __syncthreads();
  const int64_t id = s.id;
  __syncthreads();
  return id;
}

// The logits that are kept: those with a larger key, and of those with this one the ids up to
// last_tie.
struct Kept {
  uint32_t key;
  int64_t last_tie;

  __device__ bool operator()(int64_t v, float value) const {
    const uint32_t own = key_of(value);
    return own > key || (own == key && v <= last_tie);
  }
};

// The first `ties` of the logits with this key, and all with a larger one.
template <class T>
__device__ Kept keep_ties(const Row<T>& x, int64_t n, uint32_t key, double ties, Scratch& s) {
  // The id of tie number `ties`: the first with a count above ties - 1/2. Counting goes by the same
  // search as choosing; the share is of the number of all ties.
  const auto is_tie = [&](int64_t, float value) { return key_of(value) == key ? 1.0f : 0.0f; };
  sum_pieces(x, 0, n, is_tie, s);
  double all = 0;
  for (int w = 0; w < kWarps; ++w) all += s.sums[w];
  __syncthreads();
  return {key, all > ties ? choose(x, n, (ties - 0.5) / all, is_tie, s) : n};
}

struct Options {
  int64_t rows, n, stride, top_k;  // top_k 0: all
  float inverse_temperature;       // 0: greedy
  double top_p;                    // 1: all
  float min_p;
  float penalty;
  uint64_t seed, position;
  const uint64_t* position_base;  // may be null
  uint8_t* seen;                  // may be null
  int64_t seen_stride;
};

// Of the logits that are kept, the fewest from the largest whose weights reach top_p of the sum.
template <class T, class Weight>
__device__ Kept keep_share(const Row<T>& x, const Options& o, const Kept& kept,
                           const Weight& weight, Scratch& s) {
  // No weight is above 1, so the sum of n stays below 2^62.
  const int bits = 61 - (63 - __clzll(o.n));
  const double unit = ldexp(1.0, bits);
  const auto mass_of = [&](float value) {
    return static_cast<Mass>(static_cast<double>(weight(0, value)) * unit);
  };
  const auto mass = [&](int64_t v, float value) { return kept(v, value) ? mass_of(value) : 0; };
  Mass total = 0;
  for_ids(x, 0, o.n, static_cast<int>(threadIdx.x), kThreads,
          [&](int64_t v, float value) { total += mass(v, value); });
#pragma unroll
  for (int d = 16; d > 0; d /= 2) total += __shfl_xor_sync(0xffffffffu, total, d);
  if (threadIdx.x % 32 == 0) s.masses[threadIdx.x / 32] = total;
  __syncthreads();
  total = 0;
  for (int w = 0; w < kWarps; ++w) total += s.masses[w];
  __syncthreads();
  const Mass share = static_cast<Mass>(ceil(o.top_p * static_cast<double>(total)));
  Mass left;
  const uint32_t key =
      find_threshold<Mass>(x, o.n, min(total, max(share, Mass{1})), mass, s, &left);
  // Equal logits have equal weights; as many of them as it takes to give what is left.
  const Mass each = mass_of(value_of(key));
  return keep_ties(x, o.n, key, static_cast<double>((left + each - 1) / each), s);
}

__device__ double uniform_of(const Options& o, int64_t stream) {
  const uint64_t base = o.position_base == nullptr ? 0 : *o.position_base;
  const Philox4 r = philox(o.seed, base + o.position, static_cast<uint64_t>(stream));
  const uint64_t bits = (uint64_t{r.x[0]} << 32 | r.x[1]) >> 11;
  return static_cast<double>(bits) * 1.1102230246251565e-16;  // 2^-53
}

// The token that is drawn, in every thread.
template <class T>
__device__ int64_t draw(const Row<T>& x, const Options& o, float max, int64_t stream, Scratch& s) {
  const auto weight = [&](int64_t, float value) {
    // -inf apart: times an inverse temperature of 0 it would be NaN.
    return value != -INFINITY ? expf((value - max) * o.inverse_temperature) : 0.0f;
  };
  Kept kept{0, o.n};
  if (o.top_k > 0) {
    // Counts fit 32 bits: a row longer than that does not pass the launch.
    int32_t ties;
    const uint32_t key = find_threshold<int32_t>(
        x, o.n, static_cast<int32_t>(o.top_k), [](int64_t, float) { return 1; }, s, &ties);
    kept = keep_ties(x, o.n, key, ties, s);
  }
  if (o.top_p < 1) kept = keep_share(x, o, kept, weight, s);
  const auto kept_weight = [&](int64_t v, float value) {
    const float w = kept(v, value) ? weight(v, value) : 0.0f;
    return w >= o.min_p || value == max ? w : 0.0f;
  };
  return choose(x, o.n, uniform_of(o, stream), kept_weight, s);
}

// A block has a row. All decisions are the same in all its threads.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sampling_kernel(const Options o, const T* logits, const int64_t* streams, int64_t* tokens) {
  __shared__ Scratch s;
  for (int64_t row = blockIdx.x; row < o.rows; row += gridDim.x) {
    uint8_t* seen = o.seen == nullptr ? nullptr : o.seen + row * o.seen_stride;
    const Row<T> x{logits + row * o.stride, o.penalty == 1 ? nullptr : seen, o.penalty};
    int64_t id;
    const float max = find_max(x, o.n, s, &id);
    if (id >= 0 && o.inverse_temperature != 0)
      id = draw(x, o, max, streams == nullptr ? row : streams[row], s);
    // Whoever reads `seen` has done so: the search for the token ends with a barrier.
    if (threadIdx.x == 0) {
      tokens[row] = id;
      if (seen != nullptr && id >= 0) seen[id] = 1;
    }
  }
}

template <class T>
xlstm_status sample(const xlstm_sampling_args& g, const xlstm_exec& exec) {
  if (g.rows == 0) return XLSTM_OK;
  const int64_t n = g.n_valid == 0 ? g.n_vocab : g.n_valid;
  if (n > INT32_MAX) return XLSTM_BAD_SIZE;
  Options o{};
  o.rows = g.rows;
  o.n = n;
  o.stride = g.logits_stride_row;
  o.top_k = g.top_k >= n ? 0 : g.top_k;
  o.top_p = g.top_p;
  o.min_p = static_cast<float>(g.min_p);
  o.penalty = static_cast<float>(g.repetition_penalty);
  o.seed = g.seed;
  o.position = g.position;
  o.position_base = g.position_base;
  o.seen = g.seen;
  o.seen_stride = g.seen_stride_row;
  // Finite, so that the largest logit's exponent is 0 and not NaN, and above 0, which is greedy.
  if (g.temperature != 0) {
    const double inverse = std::min(1.0 / g.temperature, static_cast<double>(FLT_MAX));
    o.inverse_temperature = static_cast<float>(std::max(inverse, static_cast<double>(FLT_MIN)));
  }
  sampling_kernel<<<grid_for(g.rows, 1, 1 << 20), kThreads, 0, stream_of(exec)>>>(
      o, static_cast<const T*>(g.logits), g.streams, g.tokens);
  return launched();
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_sampling_workspace_cuda(const xlstm_sampling_args*) {
  return 0;
}

xlstm_status xlstm_sampling_cuda(const xlstm_sampling_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_sampling_check, [&](auto element) {
    return sample<typename decltype(element)::type>(*args, exec);
  });
}
