// dR = sum over rows (b, t) of h_{t-1}^T dg_t, and dbias = sum dg_t, from h and dwx as they lie.
//
// A block makes a tile of 64 x 128 of one head's [D, 4 D] from a part of the rows (on Hopper
// another kernel does, where it can); a second kernel adds the parts in order. The number of parts
// depends on the sizes alone.
#include "kernels/slstm/slstm_cuda.cuh"

namespace xlstm::kernels {
namespace {

constexpr int kM = 64, kN = 128, kK = 32, kThreads = 256;

struct Plan {
  int64_t m_tiles, n_tiles;
  int64_t t_blocks;  // blocks of kK steps in a row of the batch
  int64_t parts, blocks_per_part;
  explicit Plan(const xlstm_slstm_bwd_args& a) {
    constexpr int64_t kEnoughBlocks = 264, kMostParts = 64;
    m_tiles = ceil_div(a.D, kM);
    n_tiles = ceil_div(4 * a.D, kN);
    t_blocks = ceil_div(a.T, kK);
    const int64_t all = a.B * t_blocks;
    int64_t wanted = ceil_div(kEnoughBlocks, m_tiles * n_tiles * a.H);
    wanted = wanted > kMostParts ? kMostParts : wanted;
    wanted = wanted > all ? all : wanted;
    blocks_per_part = ceil_div(all, wanted > 0 ? wanted : 1);
    parts = blocks_per_part > 0 ? ceil_div(all, blocks_per_part) : 0;
  }
};

int64_t dR_bytes(const xlstm_slstm_bwd_args& a, int64_t parts) {
  return slstm_round(parts * a.H * a.D * 4 * a.D * 4, 256);
}
int64_t dbias_bytes(const xlstm_slstm_bwd_args& a, int64_t parts) {
  return slstm_round(parts * a.H * 4 * a.D * 4, 256);
}

// Whether the step that made row (b, t) saw an h before it, other than the initial one.
__device__ bool has_h_before(const xlstm_slstm_bwd_args& a, int64_t b, int64_t t) {
  return t > 0 && !(a.reset != nullptr && a.reset[b * a.T + t] != 0);
}

// Up to 16 bytes of neighbouring elements as they lie; zeros from `n` on.
template <class T>
__device__ uint4 load_some(const T* p, int64_t n, bool packed) {
  if (n >= kPack<T> && packed) return *reinterpret_cast<const uint4*>(p);
  Pack<T, kPack<T>> x;
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) x.v[i] = i < n ? p[i] : from_float<T>(0);
  return *reinterpret_cast<const uint4*>(&x);
}

// The sums of one block's tile. Short types: warps 2 x 4, each 32 x 32 in fragments.
template <class T>
struct Sums {
  float x[2][4][4] = {};
  __device__ void add(const T (*A)[kM + kPack<T>], const T (*B)[kN + kPack<T>]) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int m0 = warp / 4 * 32, n0 = warp % 4 * 32, i = lane / 8, r = lane % 8;
#pragma unroll
    for (int k = 0; k < kK; k += 16) {
      uint32_t a[2][4], b[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m)
        load_matrices_transposed(a[m], &A[k + i / 2 * 8 + r][m0 + m * 16 + i % 2 * 8]);
#pragma unroll
      for (int n = 0; n < 2; ++n)
        load_matrices_transposed(b[n], &B[k + i % 2 * 8 + r][n0 + n * 16 + i / 2 * 8]);
#pragma unroll
      for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < 4; ++n)
          multiply_16x8x16<T>(x[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
    }
  }
  // put(m, n, sum) for every element this thread has.
  template <class Put>
  __device__ void each(Put put) const {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int m0 = warp / 4 * 32 + lane / 4, n0 = warp % 4 * 32 + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int n = 0; n < 4; ++n)
#pragma unroll
        for (int c = 0; c < 4; ++c) put(m0 + m * 16 + c / 2 * 8, n0 + n * 8 + c % 2, x[m][n][c]);
  }
};

// float32: threads 16 x 16, each 4 x 8.
template <>
struct Sums<float> {
  float x[4][8] = {};
  __device__ void add(const float (*A)[kM + 4], const float (*B)[kN + 4]) {
    const int m0 = threadIdx.x / 16 * 4, n0 = threadIdx.x % 16 * 4;
#pragma unroll 4
    for (int k = 0; k < kK; ++k) {
      const float4 a = *reinterpret_cast<const float4*>(&A[k][m0]);
      const float4 b = *reinterpret_cast<const float4*>(&B[k][n0]);
      const float4 c = *reinterpret_cast<const float4*>(&B[k][n0 + 64]);
      const float am[4] = {a.x, a.y, a.z, a.w};
      const float bn[8] = {b.x, b.y, b.z, b.w, c.x, c.y, c.z, c.w};
#pragma unroll
      for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int n = 0; n < 8; ++n) x[m][n] = fmaf(am[m], bn[n], x[m][n]);
    }
  }
  template <class Put>
  __device__ void each(Put put) const {
    const int m0 = threadIdx.x / 16 * 4, n0 = threadIdx.x % 16 * 4;
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
      for (int n = 0; n < 8; ++n) put(m0 + m, n0 + n / 4 * 64 + n % 4, x[m][n]);
  }
};

template <class T>
__global__ __launch_bounds__(kThreads, sizeof(T) == 2 ? 2 : 1) void weight_grad_parts(
    const xlstm_slstm_bwd_args a, const Plan plan, float* dR_parts, float* dbias_parts,
    bool h_packed, bool dwx_packed) {
  constexpr int kStep = kPack<T>;
  constexpr int kA = kK * kM / kStep / kThreads, kB = kK * kN / kStep / kThreads;
  __shared__ __align__(16) T A[kK][kM + kStep];
  __shared__ __align__(16) T B[kK][kN + kStep];
  const int64_t tile = blockIdx.x / plan.n_tiles, n0 = blockIdx.x % plan.n_tiles * kN;
  const int64_t head = tile % a.H, m0 = tile / a.H * kM;
  const int64_t part = blockIdx.y, all = a.B * plan.t_blocks;
  int64_t at = part * plan.blocks_per_part;
  const int64_t end = at + plan.blocks_per_part < all ? at + plan.blocks_per_part : all;
  const T* h = static_cast<const T*>(a.h) + head * a.h_stride_h + m0;
  const T* dwx = static_cast<const T*>(a.dwx) + head * a.dwx_stride_h;
  int64_t b = at / plan.t_blocks, t0 = at % plan.t_blocks * kK;

  uint4 a_next[kA], b_next[kB];
  const auto load = [&] {
#pragma unroll
    for (int i = 0; i < kA; ++i) {
      const int x = (threadIdx.x + i * kThreads) * kStep;
      const int64_t t = t0 + x / kM;
      const bool there = t < a.T && has_h_before(a, b, t);
      a_next[i] = load_some(h + b * a.h_stride_b + (t - 1) * a.h_stride_t + x % kM,
                            there ? a.D - m0 - x % kM : 0, h_packed);
    }
#pragma unroll
    for (int i = 0; i < kB; ++i) {
      const int x = (threadIdx.x + i * kThreads) * kStep;
      const int64_t t = t0 + x / kN, n = n0 + x % kN;
      const T* row = dwx + b * a.dwx_stride_b + t * a.dwx_stride_t;
      if (dwx_packed) {  // D is a multiple of kStep: no piece spans two gates
        b_next[i] = load_some(row + n / a.D * a.dwx_stride_g + n % a.D,
                              t < a.T && n < 4 * a.D ? kStep : 0, true);
        continue;
      }
      Pack<T, kStep> piece;
#pragma unroll
      for (int e = 0; e < kStep; ++e)
        piece.v[e] = t < a.T && n + e < 4 * a.D
                         ? row[(n + e) / a.D * a.dwx_stride_g + (n + e) % a.D]
                         : from_float<T>(0);
      b_next[i] = *reinterpret_cast<const uint4*>(&piece);
    }
  };

  Sums<T> sums;
  float bias = 0;
  const bool sums_bias = dbias_parts != nullptr && m0 == 0 && threadIdx.x < kN;
  load();
  for (; at < end; ++at) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kA; ++i) {
      const int x = (threadIdx.x + i * kThreads) * kStep;
      *reinterpret_cast<uint4*>(&A[x / kM][x % kM]) = a_next[i];
    }
#pragma unroll
    for (int i = 0; i < kB; ++i) {
      const int x = (threadIdx.x + i * kThreads) * kStep;
      *reinterpret_cast<uint4*>(&B[x / kN][x % kN]) = b_next[i];
    }
    __syncthreads();
    t0 += kK;
    if (t0 >= a.T) {
      t0 = 0;
      ++b;
    }
    if (at + 1 < end) load();
    if (dR_parts != nullptr) sums.add(A, B);
    if (sums_bias) {
      float block = 0;
      for (int k = 0; k < kK; ++k) block += to_float(B[k][threadIdx.x]);
      bias += block;
    }
  }
  const int64_t width = 4 * a.D;
  if (dR_parts != nullptr) {
    float* to = dR_parts + (part * a.H + head) * a.D * width;
    sums.each([&](int m, int n, float x) {
      if (m0 + m < a.D && n0 + n < width) to[(m0 + m) * width + n0 + n] = x;
    });
  }
  if (sums_bias && n0 + threadIdx.x < width)
    dbias_parts[(part * a.H + head) * width + n0 + threadIdx.x] = bias;
}

__device__ float sum_of_parts(const float* parts, int64_t n_parts, int64_t stride, int64_t at) {
  float sum = 0;
  for (int64_t p = 0; p < n_parts; ++p) sum += parts[p * stride + at];
  return sum;
}

// Adds the parts, and to dR what the first step owes to the initial h.
template <class T>
__global__ void weight_grad_sum(const xlstm_slstm_bwd_args a, int64_t n_parts,
                                const float* dR_parts, const float* dbias_parts) {
  const int64_t width = 4 * a.D, n_bias = a.H * width, n = n_bias * a.D;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  const int64_t first = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (a.dR != nullptr) {
    for (int64_t x = first; x < n; x += step) {
      float sum = sum_of_parts(dR_parts, n_parts, n, x);
      const int64_t column = x % width, k = x / width % a.D, head = x / width / a.D;
      const T* dg = static_cast<const T*>(a.dwx) + head * a.dwx_stride_h +
                    column / a.D * a.dwx_stride_g + column % a.D;
      if (a.h_init != nullptr)
        for (int64_t b = 0; b < a.B; ++b)
          if (a.reset == nullptr || a.reset[b * a.T] == 0)
            sum += to_float(from_float<T>(
                       static_cast<const float*>(a.h_init)[(b * a.H + head) * a.D + k])) *
                   to_float(dg[b * a.dwx_stride_b]);
      store_from_float(a.dR, a.weight_dtype, x, sum);
    }
  }
  if (a.dbias == nullptr) return;
  for (int64_t x = first; x < n_bias; x += step)
    store_from_float(a.dbias, a.weight_dtype, x, sum_of_parts(dbias_parts, n_parts, n_bias, x));
}

template <class T>
void make_parts(const xlstm_slstm_bwd_args& a, const Plan& plan, float* dR_parts,
                float* dbias_parts, cudaStream_t stream) {
  const bool whole = a.D % kPack<T> == 0;
  const bool h_packed = whole && is_packed<T>(a.h, a.h_stride_b) &&
                        is_packed<T>(a.h, a.h_stride_t) && is_packed<T>(a.h, a.h_stride_h);
  const bool dwx_packed =
      whole && is_packed<T>(a.dwx, a.dwx_stride_b) && is_packed<T>(a.dwx, a.dwx_stride_t) &&
      is_packed<T>(a.dwx, a.dwx_stride_g) && is_packed<T>(a.dwx, a.dwx_stride_h);
  const int64_t m_tiles = a.dR != nullptr ? plan.m_tiles : 1;  // dbias alone needs one
  const dim3 grid(static_cast<unsigned>(plan.n_tiles * m_tiles * a.H),
                  static_cast<unsigned>(plan.parts));
  weight_grad_parts<T>
      <<<grid, kThreads, 0, stream>>>(a, plan, dR_parts, dbias_parts, h_packed, dwx_packed);
}

template <class T>
xlstm_status run(const xlstm_slstm_bwd_args& a, void* workspace, cudaStream_t stream) {
  const Plan plan(a);
  const int64_t hopper_parts = slstm_weight_grad_hopper_parts(a);
  const int64_t parts = hopper_parts > 0 ? hopper_parts : plan.parts;
  float* dR_parts = a.dR != nullptr ? static_cast<float*>(workspace) : nullptr;
  float* dbias_parts = a.dbias == nullptr ? nullptr
                                          : static_cast<float*>(workspace) +
                                                (a.dR != nullptr ? dR_bytes(a, parts) / 4 : 0);
  if (hopper_parts > 0) {
    const xlstm_status status = slstm_weight_grad_hopper(a, dR_parts, dbias_parts, stream);
    if (status != XLSTM_OK) return status;
  } else {
    make_parts<T>(a, plan, dR_parts, dbias_parts, stream);
  }
  weight_grad_sum<T>
      <<<grid_for(a.H * 4 * a.D * a.D, 256), 256, 0, stream>>>(a, parts, dR_parts, dbias_parts);
  return launched();
}

}  // namespace

int64_t slstm_weight_grad_workspace(const xlstm_slstm_bwd_args& a) {
  // Of the two kernels, whichever it will be: the gradients of the gates may not have a place yet.
  const int64_t one = Plan(a).parts, other = slstm_weight_grad_hopper_parts(a);
  const int64_t parts = one > other ? one : other;
  return (a.dR != nullptr ? dR_bytes(a, parts) : 0) +
         (a.dbias != nullptr ? dbias_bytes(a, parts) : 0);
}

xlstm_status slstm_weight_grad(const xlstm_slstm_bwd_args& a, void* workspace,
                               cudaStream_t stream) {
  if (a.dtype == XLSTM_F32) return run<float>(a, workspace, stream);
  return a.dtype == XLSTM_BF16 ? run<bf16>(a, workspace, stream) : run<f16>(a, workspace, stream);
}

}  // namespace xlstm::kernels
