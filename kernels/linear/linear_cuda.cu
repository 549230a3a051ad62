#include "kernels/common/mma.cuh"
#include "kernels/linear/linear.h"

namespace xlstm::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kTileRows = 16, kTileColumns = 8;  // of weights and of x, in a tensor-core product
constexpr int kStep = 32;                        // along K, two tensor-core products
constexpr int kLane = 8;                         // numbers of a row that a lane holds of these

struct FewArgs {
  xlstm_linear_few_args a;
  int64_t first_block[XLSTM_LINEAR_FEW_PARTS + 1];
};

// Eight numbers from k on of a row, with zeros beyond K.
template <bool Packed, bool Streamed, class T>
__device__ uint4 load_lane(const T* row, int64_t k, int64_t K) {
  uint4 bits = make_uint4(0, 0, 0, 0);
  if (Packed) {  // K is a multiple of 8
    const auto* p = reinterpret_cast<const uint4*>(row + k);
    if (k < K) bits = Streamed ? __ldcs(p) : __ldg(p);
    return bits;
  }
  auto* number = reinterpret_cast<T*>(&bits);
#pragma unroll
  for (int i = 0; i < kLane; ++i)
    if (k + i < K) number[i] = row[k + i];
  return bits;
}

// A block has R tiles of rows of a weight and C tiles of rows of x; kAhead steps of a warp are
// loaded before the first is used.
template <class T, int R, int C, int kAhead, bool Packed>
__global__ void __launch_bounds__(kThreads) few_rows_kernel(const FewArgs args) {
  constexpr int kSums = R * C * 4;
  __shared__ float sums[kWarps][kSums][32];
  const xlstm_linear_few_args& a = args.a;
  int part = 0;
  while (blockIdx.x >= args.first_block[part + 1]) ++part;
  const xlstm_linear_part& p = a.parts[part];
  const int64_t n0 = (blockIdx.x - args.first_block[part]) * (R * kTileRows);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, place = lane % 4;
  const int64_t K = a.K;

  const T* weight[R][2];
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t n = n0 + r * kTileRows + half * 8 + group;  // beyond N: any row, not stored
      weight[r][half] =
          static_cast<const T*>(p.weight) + (n < p.N ? n : p.N - 1) * p.weight_stride_row;
    }
  const T* x[C];
  bool has_row[C];
#pragma unroll
  for (int c = 0; c < C; ++c) {
    const int64_t m = c * kTileColumns + group;
    has_row[c] = m < a.M;
    x[c] = static_cast<const T*>(a.x) + (has_row[c] ? m : 0) * a.x_stride_row;
  }

  float sum[R][C][4] = {};
  for (int64_t k0 = warp * kStep; k0 < K; k0 += kWarps * kStep * kAhead) {
    uint4 w[kAhead][R][2], v[kAhead][C];
#pragma unroll
    for (int s = 0; s < kAhead; ++s) {
      const int64_t k = k0 + s * (kWarps * kStep) + place * kLane;
#pragma unroll
      for (int r = 0; r < R; ++r)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          w[s][r][half] = load_lane<Packed, true>(weight[r][half], k, K);
#pragma unroll
      for (int c = 0; c < C; ++c) v[s][c] = load_lane<Packed, false>(x[c], has_row[c] ? k : K, K);
    }
#pragma unroll
    for (int s = 0; s < kAhead; ++s)
#pragma unroll
      for (int r = 0; r < R; ++r)
#pragma unroll
        for (int c = 0; c < C; ++c) {
          const uint4 &low = w[s][r][0], &high = w[s][r][1], &b = v[s][c];
          multiply_16x8x16<T>(sum[r][c], make_uint4(low.x, high.x, low.y, high.y), b.x, b.y);
          multiply_16x8x16<T>(sum[r][c], make_uint4(low.z, high.z, low.w, high.w), b.z, b.w);
        }
  }
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int c = 0; c < C; ++c)
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[warp][(r * C + c) * 4 + i][lane] = sum[r][c][i];
  __syncthreads();
  for (int e = threadIdx.x; e < kSums * 32; e += kThreads) {
    const int of = e % 32, i = e / 32 % 4, tile = e / 128;
    const int64_t n = n0 + tile / C * kTileRows + i / 2 * 8 + of / 4;
    const int64_t m = tile % C * kTileColumns + of % 4 * 2 + i % 2;
    if (n >= p.N || m >= a.M) continue;
    float total = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) total += sums[w][e / 32][of];
    if (p.bias != nullptr) total += load_as_float(p.bias, p.bias_dtype, n);
    store_from_float(p.y, p.y_dtype, m * p.y_stride_row + n, total);
  }
}

template <class T, int R, int C, int kAhead>
xlstm_status launch_few(const xlstm_linear_few_args& a, const xlstm_exec& exec) {
  FewArgs args{a, {}};
  bool packed = a.K % kLane == 0 && is_packed<T>(a.x, a.x_stride_row);
  int64_t n_blocks = 0;
  for (int p = 0; p < a.n_parts; ++p) {
    args.first_block[p] = n_blocks;
    n_blocks += ceil_div(a.parts[p].N, R * kTileRows);
    packed = packed && is_packed<T>(a.parts[p].weight, a.parts[p].weight_stride_row);
  }
  args.first_block[a.n_parts] = n_blocks;
  if (n_blocks == 0) return XLSTM_OK;
  if (n_blocks > INT32_MAX) return XLSTM_BAD_SIZE;
  const auto grid = static_cast<unsigned>(n_blocks);
  if (packed)
    few_rows_kernel<T, R, C, kAhead, true><<<grid, kThreads, 0, stream_of(exec)>>>(args);
  else
    few_rows_kernel<T, R, C, 1, false><<<grid, kThreads, 0, stream_of(exec)>>>(args);
  return launched();
}

template <class T>
xlstm_status few(const xlstm_linear_few_args& a, const xlstm_exec& exec) {
  return a.M <= kTileColumns ? launch_few<T, 1, 1, 4>(a, exec) : launch_few<T, 2, 2, 2>(a, exec);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

xlstm_status xlstm_linear_few_cuda(const xlstm_linear_few_args* args, xlstm_exec exec) {
  return Backend<bf16, f16>::run(args, xlstm_linear_few_check, [&](auto element) {
    return few<typename decltype(element)::type>(*args, exec);
  });
}
