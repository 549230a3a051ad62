// What every CUDA room shares: element types, 16-byte vectors, reductions in a warp and a block,
// launches. Plain C++17.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/common/entry.h"

namespace xlstm::kernels {

using bf16 = __nv_bfloat16;
using f16 = __half;

template <>
struct Element<bf16> {
  using type = bf16;
  static constexpr xlstm_dtype dtype = XLSTM_BF16;
};
template <>
struct Element<f16> {
  using type = f16;
  static constexpr xlstm_dtype dtype = XLSTM_F16;
};

// CUDA kernels take float32, bfloat16 and float16, and compute in float32.
using Cuda = Backend<float, bf16, f16>;

// ---- conversions ----

__host__ __device__ inline float to_float(float x) {
  return x;
}
__host__ __device__ inline float to_float(bf16 x) {
  return __bfloat162float(x);
}
__host__ __device__ inline float to_float(f16 x) {
  return __half2float(x);
}

template <class T>
__host__ __device__ inline T from_float(float x);
template <>
__host__ __device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ inline bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__host__ __device__ inline f16 from_float<f16>(float x) {
  return __float2half_rn(x);
}

// A value of an array whose element type is known at run time only (weights beside activations).
__device__ inline float load_as_float(const void* p, xlstm_dtype dtype, int64_t i) {
  switch (dtype) {
    case XLSTM_BF16:
      return to_float(static_cast<const bf16*>(p)[i]);
    case XLSTM_F16:
      return to_float(static_cast<const f16*>(p)[i]);
    default:
      return static_cast<const float*>(p)[i];
  }
}
__device__ inline void store_from_float(void* p, xlstm_dtype dtype, int64_t i, float x) {
  switch (dtype) {
    case XLSTM_BF16:
      static_cast<bf16*>(p)[i] = from_float<bf16>(x);
      return;
    case XLSTM_F16:
      static_cast<f16*>(p)[i] = from_float<f16>(x);
      return;
    default:
      static_cast<float*>(p)[i] = x;
  }
}

// ---- vectors ----

// N neighbouring elements, read and written in one access of N * sizeof(T) <= 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};
// Elements of T in 16 bytes.
template <class T>
constexpr int kPack = 16 / static_cast<int>(sizeof(T));

template <int N, class T>
__device__ inline void load_pack(const T* p, float (&x)[N]) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(p);
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = to_float(pack.v[i]);
}
template <int N, class T>
__device__ inline void store_pack(T* p, const float (&x)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.v[i] = from_float<T>(x[i]);
  *reinterpret_cast<Pack<T, N>*>(p) = pack;
}

// Whether 16-byte accesses may be used on p when rows are `stride` elements apart.
template <class T>
inline bool is_packed(const void* p, int64_t stride = 0) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0 &&
         stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
}

// ---- reductions ----

__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffu, x, lane);
  return x;
}
__device__ inline float warp_max(float x) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lane));
  return x;
}

// Sum over the block, in every thread; `scratch` holds 32 floats of shared memory and may be used
// again only after the block's next barrier. blockDim.x is a multiple of 32; all threads take part.
__device__ inline float block_sum(float x, float* scratch) {
  x = warp_sum(x);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  const int n_warps = blockDim.x / 32;
  return warp_sum(lane < n_warps ? scratch[lane] : 0.0f);
}
__device__ inline float block_max(float x, float* scratch) {
  x = warp_max(x);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  const int n_warps = blockDim.x / 32;
  return warp_max(lane < n_warps ? scratch[lane] : -INFINITY);
}

// ---- gates and activations ----

__device__ inline float sigmoid(float x) {
  return x >= 0 ? 1.0f / (1.0f + expf(-x)) : expf(x) / (1.0f + expf(x));
}
// log sigmoid(x) without cancellation or overflow.
__device__ inline float log_sigmoid(float x) {
  return fminf(x, 0.0f) - log1pf(expf(-fabsf(x)));
}

// ---- launches ----

inline cudaStream_t stream_of(const xlstm_exec& exec) {
  return static_cast<cudaStream_t>(exec.stream);
}
// The status of the launches so far. The error stays for the caller to read and take away.
inline xlstm_status launched() {
  return cudaPeekAtLastError() == cudaSuccess ? XLSTM_OK : XLSTM_DEVICE_ERROR;
}
// Whether the runtime answered a question. If not, that is an answer too, and no error that the
// next launch should report.
inline bool answered(cudaError_t status) {
  if (status != cudaSuccess) static_cast<void>(cudaGetLastError());
  return status == cudaSuccess;
}
__host__ __device__ inline int64_t ceil_div(int64_t n, int64_t d) {
  return (n + d - 1) / d;
}

// Blocks for n independent pieces handled in a grid-stride loop: enough to fill any card, a number
// that depends on n alone, so that results never depend on the card.
inline unsigned grid_for(int64_t n, int64_t per_block, int64_t most = 4096) {
  const int64_t blocks = ceil_div(n, per_block);
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks > most ? most : blocks);
}

}  // namespace xlstm::kernels
