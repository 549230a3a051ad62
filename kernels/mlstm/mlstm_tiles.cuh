// Products of 64x64 tiles in shared memory, for warps that own 16 rows of the result each. Internal
// to this folder. float32 is multiplied by plain FMAs in the same arrangement as the matrix
// instructions give, so that the kernels are the same code for every type.
#pragma once

#include "kernels/common/mma.cuh"

namespace xlstm::kernels::mlstm {

constexpr int kTile = 64;

// How much a block holds: warps (16 rows each), 64-column tiles of its result, tiles in flight.
template <class T>
struct Tiling {
  static constexpr int kWarps = 8, kWide = 2, kStages = 4, kScanStages = 3;
};
template <>
struct Tiling<float> {
  static constexpr int kWarps = 4, kWide = 1, kStages = 2, kScanStages = 2;
};
template <class T>
constexpr int kThreads = 32 * Tiling<T>::kWarps;
// Elements from one row of a tile to the next: eight rows begin in different banks.
template <class T>
constexpr int kPitch = kTile + kPack<T>;
// Elements of a tile of 64 rows.
template <class T>
constexpr int kTileSize = kTile* kPitch<T>;

// Sixteen rows of 64 columns of a result; element [n][e] of lane l is at row l / 4 + 8 (e / 2) and
// column 8 n + 2 (l % 4) + e % 2.
using Accumulator = float[8][4];

__device__ inline int fragment_row() {
  return threadIdx.x % 32 / 4;
}
__device__ inline int fragment_col() {
  return threadIdx.x % 4 * 2;
}

__device__ inline void clear(Accumulator& acc) {
#pragma unroll
  for (int n = 0; n < 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) acc[n][e] = 0;
}

// Sum over the four lanes that share a row.
__device__ inline float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// ---- loads ----

// `rows` x 64 elements of a matrix in device memory; what lies beyond n_rows, n_cols is zero. Every
// thread of the block takes part. `packed`: 16-byte copies may be used, which are asynchronous.
template <class T>
__device__ inline void load_tile(T* to, const T* from, int64_t stride, int rows, int64_t n_rows,
                                 int64_t n_cols, bool packed) {
  constexpr int kPieces = kTile / kPack<T>;
  for (int at = threadIdx.x; at < rows * kPieces; at += kThreads<T>) {
    const int row = at / kPieces, col = at % kPieces * kPack<T>;
    T* piece = to + row * kPitch<T> + col;
    const int64_t left = n_cols - col;
    const int valid = row >= n_rows || left <= 0 ? 0 : left < kPack<T> ? int(left) : kPack<T>;
    if (packed && valid == kPack<T>) {  // a part of 16 bytes may end with the memory
      copy_16_async(piece, from + row * stride + col, 16);
    } else {
      Pack<T, kPack<T>> values;
#pragma unroll
      for (int e = 0; e < kPack<T>; ++e)
        values.v[e] = e < valid ? from[row * stride + col + e] : from_float<T>(0.0f);
      *reinterpret_cast<Pack<T, kPack<T>>*>(piece) = values;
    }
  }
}

// ---- products of 16-bit tiles ----

// Rows m0 .. m0+15 and columns k0 .. k0+15 of A, which is stored as [m][k] or, transposed, [k][m].
template <bool kTransposed, class T>
__device__ inline void load_left(uint32_t (&a)[4], const T* A, int m0, int k0) {
  const int lane = threadIdx.x % 32;
  if constexpr (kTransposed) {
    const int row = k0 + lane % 8 + lane / 16 * 8, col = m0 + lane / 8 % 2 * 8;
    load_matrices_transposed(a, A + row * kPitch<T> + col);
  } else {
    load_matrices(a, A + (m0 + lane % 16) * kPitch<T> + k0 + lane / 16 * 8);
  }
}

// acc += a B for the rows k0 .. k0+15 of B, stored as [k][n] or, transposed, [n][k]; only for the
// columns 16 n_begin .. 16 n_end.
template <bool kTransposed, class T>
__device__ inline void multiply_by(Accumulator& acc, const uint32_t (&a)[4], const T* B, int k0,
                                   int n_begin, int n_end) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int n = 0; n < 4; ++n) {
    if (n < n_begin || n >= n_end) continue;
    uint32_t b[4];
    if constexpr (kTransposed) {
      const int row = 16 * n + lane % 8 + lane / 16 * 8, col = k0 + lane / 8 % 2 * 8;
      load_matrices(b, B + row * kPitch<T> + col);
    } else {
      load_matrices_transposed(b, B + (k0 + lane % 16) * kPitch<T> + 16 * n + lane / 16 * 8);
    }
    multiply_16x8x16<T>(acc[2 * n], a, b[0], b[1]);
    multiply_16x8x16<T>(acc[2 * n + 1], a, b[2], b[3]);
  }
}

// ---- products of tiles of any type ----

// acc += A B for 16 rows m0 .. of A [m][k] and k from 16 k_begin to 16 k_end; columns as above.
template <bool kTransposed, class T>
__device__ inline void multiply(Accumulator& acc, const T* A, int m0, const T* B, int k_begin,
                                int k_end, int n_begin, int n_end) {
  if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (k < k_begin || k >= k_end) continue;
      uint32_t a[4];
      load_left<false>(a, A, m0, 16 * k);
      multiply_by<kTransposed>(acc, a, B, 16 * k, n_begin, n_end);
    }
  } else {
    const T* row = A + (m0 + fragment_row()) * kPitch<T>;
    for (int k = 16 * k_begin; k < 16 * k_end; ++k) {
      const float a0 = row[k], a1 = row[8 * kPitch<T> + k];
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        if (n < 2 * n_begin || n >= 2 * n_end) continue;
        const int col = 8 * n + fragment_col();
        const float b0 = kTransposed ? B[col * kPitch<T> + k] : B[k * kPitch<T> + col];
        const float b1 = kTransposed ? B[(col + 1) * kPitch<T> + k] : B[k * kPitch<T> + col + 1];
        acc[n][0] += a0 * b0;
        acc[n][1] += a0 * b1;
        acc[n][2] += a1 * b0;
        acc[n][3] += a1 * b1;
      }
    }
  }
}

// acc += P B where P is the warp's own result, rounded to T, and B [k][n]; k from 16 k_begin to
// 16 k_end. `scratch` has room for the warp's 16 rows of a tile; only float32 uses it.
template <class T>
__device__ inline void multiply_result(Accumulator& acc, const Accumulator& P, T* scratch,
                                       const T* B, int k_begin, int k_end, int n_end) {
  if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (k < k_begin || k >= k_end) continue;
      const uint32_t a[4] = {packed_pair<T>(P[2 * k][0], P[2 * k][1]),
                             packed_pair<T>(P[2 * k][2], P[2 * k][3]),
                             packed_pair<T>(P[2 * k + 1][0], P[2 * k + 1][1]),
                             packed_pair<T>(P[2 * k + 1][2], P[2 * k + 1][3])};
      multiply_by<false>(acc, a, B, 16 * k, 0, n_end);
    }
  } else {
    __syncwarp();
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        scratch[(fragment_row() + e / 2 * 8) * kPitch<T> + 8 * n + fragment_col() + e % 2] =
            P[n][e];
    __syncwarp();
    multiply<false>(acc, scratch, 0, B, k_begin, k_end, 0, n_end);
  }
}

}  // namespace xlstm::kernels::mlstm
