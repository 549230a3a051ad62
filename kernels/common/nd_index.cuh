// Where an element of a shape lies in several strided arrays: NdLoop on the device.
#pragma once

#include "kernels/common/cuda.cuh"
#include "kernels/common/nd_loop.h"

namespace xlstm::kernels {

// Division of numbers below 2^31 by one of them: a multiplication by a rounded-up reciprocal
// (Granlund and Montgomery 1994).
struct Divisor {
  uint32_t reciprocal, shift;

  explicit Divisor(int64_t size = 1) : shift(0) {
    const uint64_t d = static_cast<uint64_t>(size);
    while ((uint64_t{1} << shift) < d) ++shift;
    reciprocal =
        static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - d)) / d + 1);
  }
  __device__ uint32_t quotient(uint32_t n) const { return (__umulhi(n, reciprocal) + n) >> shift; }
};

// The kernel parameter for a loop over N arrays.
template <int N>
struct NdIndex {
  int n_dims;
  bool is_small;  // fewer than 2^31 elements
  Divisor divisors[kMaxDims];
  int64_t sizes[kMaxDims];
  int64_t strides[N][kMaxDims];

  explicit NdIndex(const NdLoop<N>& loop)
      : n_dims(loop.n_dims), is_small(loop.count() < (int64_t{1} << 31)) {
    for (int d = 0; d < kMaxDims; ++d) {
      const bool used = d < n_dims;
      sizes[d] = used ? loop.sizes[d] : 1;
      for (int a = 0; a < N; ++a) strides[a][d] = used ? loop.strides[a][d] : 0;
      divisors[d] = Divisor(is_small ? sizes[d] : 1);
    }
  }

  // Offsets in elements of element i, counted in row-major order.
  __device__ void offsets(int64_t i, int64_t (&at)[N]) const {
#pragma unroll
    for (int a = 0; a < N; ++a) at[a] = 0;
    for (int d = n_dims - 1; d > 0; --d) {
      int64_t quotient;
      if (is_small) {
        quotient = divisors[d].quotient(static_cast<uint32_t>(i));
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
