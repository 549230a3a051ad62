// What the forward and the backward of spread heads share: how a head is cut, how its blocks
// exchange vectors, and the product with the part of R that a block holds.
//
// A group of blocks works on one item, a head and a tile of the batch, over all of time. Block
// `member` owns the units [member U, (member + 1) U). Each step it needs the whole vector of the
// step before it: h of all units, or going back dg of all units and gates. The vectors travel
// through global memory, that is the L2 cache, in 64-bit words of 32 bits of data and a 32-bit tag,
// the step's number. A 64-bit access is atomic, so a word with the right tag has the right data and
// no fence or flag is needed: a step costs one trip of a store and of a load. There are two buffers
// in turn. A block writes a step's words only after it has all words of the step before, and their
// senders had by then read the step before that, so a word is never overwritten unread. The tags
// are cleared before every launch.
//
// A block waits for others only inside its group, and the cooperative launch guarantees that all
// blocks of the grid are resident.
#pragma once

#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {

constexpr int kSpreadThreads = 256, kSpreadWarps = kSpreadThreads / 32;

// How the launch is cut; the same for both directions.
struct SpreadPlan {
  int64_t D, B, H;
  int64_t width;    // D rounded up to 4: elements of a vector per gate
  int64_t units;    // per block
  int64_t members;  // blocks per group
  int64_t rows;     // of the batch per item: 8, 16 or 32
  int64_t tiles;    // of the batch
  int64_t groups;
  int64_t k_tiles;  // short types: tiles of 16 along the vector per warp, even
  int64_t vector;   // elements of a vector in shared memory: the vector and zeros behind it
  int64_t pitch;    // elements from row to row there
  int64_t exchange_bytes, fragment_bytes;
  int shared_bytes;
  bool fits;
};

template <class T>
constexpr int kSpreadWord = sizeof(T) == 2 ? 2 : 1;  // elements in a word

// The words of an item: [2 buffers][H, B, n_words].
struct SpreadExchange {
  uint64_t* words;
  int64_t B, H, n_words;
  __device__ uint64_t* row(int64_t step, int64_t h, int64_t b) const {
    return words + (((step & 1) * H + h) * B + b) * n_words;
  }
};

__device__ inline void spread_send(uint64_t* to, uint32_t data, uint32_t tag) {
  const uint64_t word = static_cast<uint64_t>(tag) << 32 | data;
  asm volatile("st.relaxed.gpu.global.b64 [%0], %1;" ::"l"(to), "l"(word) : "memory");
}
__device__ inline void spread_receive(const uint64_t* from, uint64_t (&words)[2]) {
  asm volatile("ld.relaxed.gpu.global.v2.b64 {%0,%1}, [%2];"
               : "=l"(words[0]), "=l"(words[1])
               : "l"(from)
               : "memory");
}

// Sends two neighbouring elements; `at` is the first one's place in the vector, even.
template <class T>
__device__ inline void spread_send_pair(uint64_t* row, int64_t at, float x, float y, uint32_t tag) {
  if constexpr (kSpreadWord<T> == 2) {
    spread_send(row + at / 2, packed_pair<T>(x, y), tag);
  } else {
    spread_send(row + at, __float_as_uint(x), tag);
    spread_send(row + at + 1, __float_as_uint(y), tag);
  }
}

// Waits for the rows of one step and lays them into shared memory. All threads take part; no
// barrier. A thread asks for kBatch pairs of words at once, and again for those that have not come:
// asking for one after the other would cost a trip to the L2 cache each. A wait of many seconds
// means that the device is broken, and ends the kernel.
template <class T>
__device__ inline void spread_gather(const uint64_t* words, int64_t n_words, int n_rows,
                                     uint32_t tag, T* to, int64_t pitch) {
  constexpr int kBatch = 8, kMostPolls = 1 << 24;
  const int per_row = static_cast<int>(n_words) / 2, all = n_rows * per_row;
  for (int first = threadIdx.x; first < all; first += kBatch * kSpreadThreads) {
    uint64_t got[kBatch][2];
    // Nothing is waited for beyond the end.
#pragma unroll
    for (int i = 0; i < kBatch; ++i) got[i][0] = got[i][1] = static_cast<uint64_t>(tag) << 32;
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int x = first + i * kSpreadThreads;
      if (x < all) spread_receive(words + int64_t{x} * 2, got[i]);
    }
    for (int polls = 0;; ++polls) {
      bool late[kBatch], any_late = false;
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        late[i] = static_cast<uint32_t>(got[i][0] >> 32) != tag ||
                  static_cast<uint32_t>(got[i][1] >> 32) != tag;
        any_late |= late[i];
      }
      if (!any_late) break;
      if (polls == kMostPolls) __trap();
#pragma unroll
      for (int i = 0; i < kBatch; ++i)
        if (late[i]) spread_receive(words + int64_t{first + i * kSpreadThreads} * 2, got[i]);
    }
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int x = first + i * kSpreadThreads;
      if (x >= all) break;
      const int row = x / per_row, at = x % per_row * 2 * kSpreadWord<T>;
      *reinterpret_cast<uint2*>(to + row * pitch + at) =
          make_uint2(static_cast<uint32_t>(got[i][0]), static_cast<uint32_t>(got[i][1]));
    }
  }
}

// Sums leave a product as parts [parts, rows, M + 4] in shared memory: M elements per row.
template <int M>
constexpr int kSpreadPartPitch = M + 4;

// Tensor cores: a warp holds kTilesM x kTilesK fragments of R in registers, 32 in all.
template <class T, int kTilesM, int kTilesK>
struct SpreadFragments {
  static constexpr int kChains = kTilesM >= 4 ? 1 : 4 / kTilesM;  // one would wait for itself
  uint4 R[kTilesK][kTilesM];

  // at(k, m): index of the fragment of tile k of this warp, of n_k.
  template <class At>
  __device__ void load(const uint4* fragments, int n_k, At at) {
#pragma unroll
    for (int k = 0; k < kTilesK; ++k)
#pragma unroll
      for (int m = 0; m < kTilesM; ++m)
        R[k][m] = k < n_k ? fragments[at(k, m) * 32 + threadIdx.x % 32] : make_uint4(0, 0, 0, 0);
  }

  // sums = the fragments times 8 rows of the vector from this warp's first tile on.
  __device__ void multiply(const T* vector, int64_t pitch, int n_k,
                           float (&sums)[kTilesM][4]) const {
    const int lane = threadIdx.x % 32;
    const T* row = vector + lane % 8 * pitch + lane / 8 * 8;
    float chains[kChains][kTilesM][4] = {};
#pragma unroll
    for (int k = 0; k < kTilesK; k += 2) {
      if (k >= n_k) break;
      uint32_t b[4];
      load_matrices(b, row + k * 16);
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int m = 0; m < kTilesM; ++m)
          multiply_16x8x16<T>(chains[(k + half) % kChains][m], R[k + half][m], b[2 * half],
                              b[2 * half + 1]);
    }
#pragma unroll
    for (int m = 0; m < kTilesM; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sums[m][i] = chains[0][m][i];
#pragma unroll
        for (int c = 1; c < kChains; ++c) sums[m][i] += chains[c][m][i];
      }
  }
};

// float32: M columns of R [K, M] in shared memory; 256 / M threads share a column.
template <int M>
struct SpreadColumns {
  static constexpr int kParts = kSpreadThreads / M;
  const float* R;
  __device__ void multiply(const float* vector, int64_t pitch, int64_t K, float* parts,
                           int rows) const {
    const int m = threadIdx.x % M, part = threadIdx.x / M;
    const int64_t share = (K / 4 + kParts - 1) / kParts * 4;
    const int64_t begin = part * share, end = begin + share < K ? begin + share : K;
    for (int row0 = 0; row0 < rows; row0 += 8) {
      float sums[8] = {};
      for (int64_t k = begin; k < end; k += 4) {
        float r[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) r[i] = R[(k + i) * M + m];
#pragma unroll
        for (int x = 0; x < 8; ++x) {
          const float4 v = *reinterpret_cast<const float4*>(vector + (row0 + x) * pitch + k);
          sums[x] = fmaf(v.x, r[0], sums[x]);
          sums[x] = fmaf(v.y, r[1], sums[x]);
          sums[x] = fmaf(v.z, r[2], sums[x]);
          sums[x] = fmaf(v.w, r[3], sums[x]);
        }
      }
#pragma unroll
      for (int x = 0; x < 8; ++x)
        parts[(part * rows + row0 + x) * kSpreadPartPitch<M> + m] = sums[x];
    }
  }
};

// Sum of the parts of elements m and m + 1 of a row, in order.
template <int M>
__device__ inline float2 spread_sum(const float* parts, int n_parts, int rows, int row, int m) {
  float2 sum = make_float2(0, 0);
  for (int p = 0; p < n_parts; ++p) {
    const float2 x =
        *reinterpret_cast<const float2*>(parts + (p * rows + row) * kSpreadPartPitch<M> + m);
    sum.x += x.x;
    sum.y += x.y;
  }
  return sum;
}

// Two neighbouring elements, the second only if `both`.
template <class T>
__device__ inline float2 load_two(const T* p, bool both, bool packed) {
  if (packed) {
    const Pack<T, 2> x = *reinterpret_cast<const Pack<T, 2>*>(p);
    return make_float2(to_float(x.v[0]), to_float(x.v[1]));
  }
  return make_float2(to_float(p[0]), both ? to_float(p[1]) : 0.0f);
}
template <class T>
__device__ inline void store_two(T* p, float x, float y, bool both, bool packed) {
  if (packed) {
    store_pack<2>(p, {x, y});
    return;
  }
  p[0] = from_float<T>(x);
  if (both) p[1] = from_float<T>(y);
}
// Whether pairs of an array with these strides are aligned; the last pair must be whole.
template <class T>
inline bool has_pairs(int64_t D, const void* p, int64_t s0, int64_t s1, int64_t s2,
                      int64_t s3 = 0) {
  return D % 2 == 0 && (s0 | s1 | s2 | s3) % 2 == 0 &&
         reinterpret_cast<uintptr_t>(p) % (2 * sizeof(T)) == 0;
}

// Fills in what depends on the card for this kernel; `bytes(rows)` is its shared memory.
template <class Kernel, class Bytes>
inline void spread_fit(SpreadPlan& plan, Kernel kernel, int64_t most_rows, Bytes bytes) {
  plan.fits = false;
  int device = 0, processors = 0, most_shared = 0;
  if (!answered(cudaGetDevice(&device)) ||
      !answered(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device)) ||
      !answered(
          cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device)))
    return;
  for (int64_t rows = 8; rows <= most_rows; rows *= 2) {
    const int64_t shared = bytes(rows);
    int per_processor = 0;
    if (shared > most_shared ||
        !answered(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       static_cast<int>(shared))) ||
        !answered(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
            &per_processor, kernel, kSpreadThreads, static_cast<size_t>(shared))))
      return;
    const int64_t groups = int64_t{per_processor} * processors / plan.members;
    if (groups == 0) return;
    plan.rows = rows;
    plan.tiles = ceil_div(plan.B, rows);
    plan.groups = plan.tiles * plan.H < groups ? plan.tiles * plan.H : groups;
    plan.shared_bytes = static_cast<int>(shared);
    plan.fits = true;
    if (plan.tiles * plan.H <= groups || plan.B <= rows) return;  // more rows would gain nothing
  }
}

template <class Kernel, class... Args>
inline xlstm_status spread_launch(const SpreadPlan& plan, Kernel kernel, cudaStream_t stream,
                                  const Args&... args) {
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           plan.shared_bytes) != cudaSuccess)
    return XLSTM_DEVICE_ERROR;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(plan.groups * plan.members));
  config.blockDim = dim3(kSpreadThreads);
  config.dynamicSmemBytes = static_cast<size_t>(plan.shared_bytes);
  config.stream = stream;
  cudaLaunchAttribute cooperative = {};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  config.attrs = &cooperative;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, args...) == cudaSuccess ? launched()
                                                                     : XLSTM_DEVICE_ERROR;
}

}  // namespace xlstm::kernels
