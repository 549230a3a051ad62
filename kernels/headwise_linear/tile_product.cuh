// out[m, n] = sum_k A[m, k] B[n, k] for every head, by tiles of 64 x 64, 128 threads each. Products
// of bfloat16 and float16 run on tensor cores, of float32 by FMA; sums are float32.
#pragma once

#include <mma.h>

#include "kernels/common/values.cuh"

namespace xlstm::kernels::headwise {

constexpr int kTile = 64, kDepth = 32, kTileThreads = 128;

// An operand: elements lie at p + head * stride_head + row * stride_row + k * stride_k, where one
// of the last two is 1: stride_k if the operand is "deep". packed: 16-byte reads are possible.
struct Operand {
  const void* p;
  int64_t stride_head, stride_row, stride_k, rows;
  bool packed;
};

struct Product {
  Operand A, B;
  int64_t depth;  // sum over k < depth, of which a split takes split_depth
  int64_t split_depth, n_splits, n_heads, n_row_tiles;
  void* out;  // [m, n] at head * stride_head + m * stride_row + n
  int64_t out_stride_head, out_stride_row, out_stride_split;
  const void* bias;  // [n_heads, B.rows] or null
};

// Where element (row, k) of a tile lies in shared memory. Padded by 16 bytes at least.
template <bool kDeep>
__device__ inline int place_in_tile(int row, int k) {
  return kDeep ? row * (kDepth + 8) + k : k * (kTile + 8) + row;
}
constexpr int kTileElements = kTile * (kDepth + 8) > kDepth*(kTile + 8) ? kTile*(kDepth + 8)
                                                                        : kDepth*(kTile + 8);

// A thread's share of a tile on its way from memory, converted to T.
template <class T, class S, bool kDeep>
struct Share {
  static constexpr int V = kPack<T>, kCount = kTile * kDepth / V / kTileThreads;
  Pack<T, V> pack[kCount];

  static __device__ void position(int i, int& row, int& k) {
    const int index = i * kTileThreads + static_cast<int>(threadIdx.x);
    row = kDeep ? index / (kDepth / V) : index % (kTile / V) * V;
    k = kDeep ? index % (kDepth / V) * V : index / (kTile / V);
  }

  __device__ void read(const Operand& from, int64_t head, int64_t row0, int64_t k0, int64_t k_end) {
    const S* base = static_cast<const S*>(from.p) + head * from.stride_head;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      int row, k;
      position(i, row, k);
      const int64_t r = row0 + row, d = k0 + k;
      const bool whole = kDeep ? r < from.rows && d + V <= k_end : r + V <= from.rows && d < k_end;
      const int64_t at = r * from.stride_row + d * from.stride_k;
      if (whole && from.packed) {
        const Raw<S, V> raw = load_raw<V>(base + at);
#pragma unroll
        for (int j = 0; j < V; ++j) pack[i].v[j] = from_float<T>(raw[j]);
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j) {
          const bool inside =
              kDeep ? r < from.rows && d + j < k_end : r + j < from.rows && d < k_end;
          pack[i].v[j] = from_float<T>(inside ? to_float(base[at + j]) : 0.0f);
        }
      }
    }
  }
  __device__ void write(T* tile) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      int row, k;
      position(i, row, k);
      *reinterpret_cast<Pack<T, V>*>(tile + place_in_tile<kDeep>(row, k)) = pack[i];
    }
  }
};

constexpr int kOutStride = kTile + 4;

// The sums of a tile: warp w has the quarter (w / 2, w % 2).
template <class T, bool kDeepA, bool kDeepB>
struct Sums {
  template <bool kDeep, class Deep, class Flat>
  using Layout = std::conditional_t<kDeep, Deep, Flat>;
  using A =
      nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, T,
                             Layout<kDeepA, nvcuda::wmma::row_major, nvcuda::wmma::col_major>>;
  using B =
      nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, T,
                             Layout<kDeepB, nvcuda::wmma::col_major, nvcuda::wmma::row_major>>;
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> sum[2][2];

  __device__ Sums() {
    for (auto& row : sum)
      for (auto& part : row) nvcuda::wmma::fill_fragment(part, 0.0f);
  }
  __device__ void add(const T* a_tile, const T* b_tile) {
    const int warp = static_cast<int>(threadIdx.x) / 32, m0 = warp / 2 * 32, n0 = warp % 2 * 32;
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      A a[2];
      B b[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        nvcuda::wmma::load_matrix_sync(a[i], a_tile + place_in_tile<kDeepA>(m0 + 16 * i, k),
                                       kDeepA ? kDepth + 8 : kTile + 8);
        nvcuda::wmma::load_matrix_sync(b[i], b_tile + place_in_tile<kDeepB>(n0 + 16 * i, k),
                                       kDeepB ? kDepth + 8 : kTile + 8);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) nvcuda::wmma::mma_sync(sum[i][j], a[i], b[j], sum[i][j]);
    }
  }
  __device__ void store(float* out) const {
    const int warp = static_cast<int>(threadIdx.x) / 32, m0 = warp / 2 * 32, n0 = warp % 2 * 32;
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 2; ++j)
        nvcuda::wmma::store_matrix_sync(out + (m0 + 16 * i) * kOutStride + n0 + 16 * j, sum[i][j],
                                        kOutStride, nvcuda::wmma::mem_row_major);
  }
};

// float32: a thread has 8 x 4 sums.
template <bool kDeepA, bool kDeepB>
struct Sums<float, kDeepA, kDeepB> {
  float sum[8][4] = {};
  static __device__ int row() { return static_cast<int>(threadIdx.x) / 16 * 8; }
  static __device__ int column() { return static_cast<int>(threadIdx.x) % 16; }
  __device__ void add(const float* a_tile, const float* b_tile) {
#pragma unroll 4
    for (int k = 0; k < kDepth; ++k) {
      float a[8], b[4];
#pragma unroll
      for (int i = 0; i < 8; ++i) a[i] = a_tile[place_in_tile<kDeepA>(row() + i, k)];
#pragma unroll
      for (int j = 0; j < 4; ++j) b[j] = b_tile[place_in_tile<kDeepB>(column() + 16 * j, k)];
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += a[i] * b[j];
    }
  }
  __device__ void store(float* out) const {
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) out[(row() + i) * kOutStride + column() + 16 * j] = sum[i][j];
  }
};

// Operands of types TA and TB, multiplied in TA; out of type Out, bias of type TB.
template <class TA, class TB, class Out, bool kDeepA, bool kDeepB>
__global__ void __launch_bounds__(kTileThreads) tile_product(Product p) {
  constexpr size_t kOperands = 2 * kTileElements * sizeof(TA);
  constexpr size_t kOut = kTile * kOutStride * sizeof(float);
  __shared__ alignas(128) unsigned char memory[kOperands > kOut ? kOperands : kOut];
  TA* a_tile = reinterpret_cast<TA*>(memory);
  TA* b_tile = a_tile + kTileElements;
  const int64_t head = blockIdx.x % p.n_heads, rest = blockIdx.x / p.n_heads;
  const int64_t m0 = rest % p.n_row_tiles * kTile, split = rest / p.n_row_tiles;
  const int64_t n0 = static_cast<int64_t>(blockIdx.y) * kTile;
  const int64_t k_begin = split * p.split_depth;
  const int64_t k_end = k_begin + p.split_depth < p.depth ? k_begin + p.split_depth : p.depth;

  Share<TA, TA, kDeepA> a;
  Share<TA, TB, kDeepB> b;
  Sums<TA, kDeepA, kDeepB> sums;
  if (k_begin < k_end) {
    a.read(p.A, head, m0, k_begin, k_end);
    b.read(p.B, head, n0, k_begin, k_end);
  }
  for (int64_t k = k_begin; k < k_end; k += kDepth) {
    a.write(a_tile);
    b.write(b_tile);
    __syncthreads();
    if (k + kDepth < k_end) {
      a.read(p.A, head, m0, k + kDepth, k_end);
      b.read(p.B, head, n0, k + kDepth, k_end);
    }
    sums.add(a_tile, b_tile);
    __syncthreads();
  }
  float* result = reinterpret_cast<float*>(memory);
  sums.store(result);
  __syncthreads();
  Out* out = static_cast<Out*>(p.out) + head * p.out_stride_head + split * p.out_stride_split;
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kTile; i += kTileThreads) {
    const int m = i / kTile, n = i % kTile;
    if (m0 + m >= p.A.rows || n0 + n >= p.B.rows) continue;
    float value = result[m * kOutStride + n];
    if (p.bias != nullptr)
      value += to_float(static_cast<const TB*>(p.bias)[head * p.B.rows + n0 + n]);
    out[(m0 + m) * p.out_stride_row + n0 + n] = from_float<Out>(value);
  }
}

// Both outer sizes and the number of heads are at least 1.
template <class TA, class TB, class Out, bool kDeepA, bool kDeepB>
void launch_product(Product p, cudaStream_t stream) {
  p.n_row_tiles = ceil_div(p.A.rows, kTile);
  const dim3 grid(static_cast<unsigned>(p.n_row_tiles * p.n_heads * p.n_splits),
                  static_cast<unsigned>(ceil_div(p.B.rows, kTile)));
  tile_product<TA, TB, Out, kDeepA, kDeepB><<<grid, kTileThreads, 0, stream>>>(p);
}

}  // namespace xlstm::kernels::headwise
