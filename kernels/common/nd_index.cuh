// Where an element of a shape lies in several strided arrays: NdLoop on the device.
#pragma once

#include "kernels/common/cuda.cuh"
#include "kernels/common/nd_loop.h"

namespace xlstm::kernels {

// The kernel parameter for a loop over N arrays. Below 2^31 elements a division by a size is a
// multiplication by a rounded-up reciprocal (Granlund and Montgomery 1994).
template <int N>
struct NdIndex {
  int n_dims;
  bool is_small;
  uint32_t reciprocals[kMaxDims], shifts[kMaxDims];
  int64_t sizes[kMaxDims];
  int64_t strides[N][kMaxDims];

  explicit NdIndex(const NdLoop<N>& loop)
      : n_dims(loop.n_dims), is_small(loop.count() < (int64_t{1} << 31)) {
    for (int d = 0; d < kMaxDims; ++d) {
      const bool used = d < n_dims;
      sizes[d] = used ? loop.sizes[d] : 1;
      for (int a = 0; a < N; ++a) strides[a][d] = used ? loop.strides[a][d] : 0;
      uint32_t shift = 0;
      while (is_small && (int64_t{1} << shift) < sizes[d]) ++shift;
      shifts[d] = shift;
      reciprocals[d] =
          is_small
              ? static_cast<uint32_t>(((uint64_t{1} << 32) *
                                       ((uint64_t{1} << shift) - static_cast<uint64_t>(sizes[d]))) /
                                          static_cast<uint64_t>(sizes[d]) +
                                      1)
              : 0;
    }
  }

  // Offsets in elements of element i, counted in row-major order.
  __device__ void offsets(int64_t i, int64_t (&at)[N]) const {
#pragma unroll
    for (int a = 0; a < N; ++a) at[a] = 0;
    for (int d = n_dims - 1; d > 0; --d) {
      int64_t quotient;
      if (is_small) {
        const uint32_t n = static_cast<uint32_t>(i);
        quotient = (__umulhi(n, reciprocals[d]) + n) >> shifts[d];
      } else {
        quotient = i / sizes[d];
      }
      const int64_t rest = i - quotient * sizes[d];
#pragma unroll
      for (int a = 0; a < N; ++a) at[a] += rest * strides[a][d];
      i = quotient;
    }
#pragma unroll
    for (int a = 0; a < N; ++a) at[a] += i * strides[a][0];
  }
};

}  // namespace xlstm::kernels
