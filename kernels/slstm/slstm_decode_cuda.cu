// A decoding step in one launch. A block owns 8 units of one head and 8 or 16 rows of the batch;
// its warps divide the sums of the gates between them, and threads with a cell each finish.
#include "kernels/common/weight_dtype.h"
#include "kernels/slstm/slstm_cuda.cuh"
#include "kernels/slstm/slstm_decode_f32.cuh"

namespace xlstm::kernels::decode {
namespace {

template <class T>
constexpr int kMostThreads = 32 * kMostWarps<T>;
// One for each cell of the largest blocks. Not fewer in others: sums must not depend on B.
constexpr int kFewestThreads = 128;

template <class T, int C>
union WarpMemory {
  Sums<C> sums;
};
template <int C>
union alignas(16) WarpMemory<float, C> {
  Sums<C> sums;
  Turn<C> turn;
};

// The state of one unit of one row before the step, and its bias.
struct Cell {
  bool exists;
  int64_t at;  // in [B, H, D]
  float c, n, m, bias[kGates];
};

template <class W, int C>
__device__ Cell load_cell(const Args& a, const Place& place, int unit, int row) {
  const int64_t b = place.row + row, j = place.unit + unit;
  Cell cell{};
  cell.exists = row < C * kTileRows && b < a.B && j < a.D;
  if (!cell.exists) return cell;
  cell.at = (b * a.H + place.head) * a.D + j;
  const auto before = [&](const void* state) {
    return state == nullptr ? 0.0f : static_cast<const float*>(state)[cell.at];
  };
  cell.c = before(a.c_init);
  cell.n = before(a.n_init);
  cell.m = before(a.m_init);
  if (a.bias == nullptr) return cell;
#pragma unroll
  for (int gate = 0; gate < kGates; ++gate)
    cell.bias[gate] =
        to_float(static_cast<const W*>(a.bias)[(place.head * kGates + gate) * a.D + j]);
  return cell;
}

template <class T>
__device__ void finish(const Args& a, const Cell& cell, const float (&g)[kGates]) {
  const SlstmStep<float> next = slstm_cell_forward<float, typename SlstmMathOf<T>::type>(
      g[0], g[1], g[2], g[3], cell.c, cell.n, cell.m);
  const float h = slstm_clamp(next.h, slstm_clip_of(a.forward_clip));
  static_cast<T*>(a.h)[cell.at] = from_float<T>(h);
  const auto after = [&](void* state, float x) {
    if (state != nullptr) static_cast<float*>(state)[cell.at] = x;
  };
  after(a.h_final, h);
  after(a.c_final, next.c);
  after(a.n_final, next.n);
  after(a.m_final, next.m);
}

// The last inputs of the block's channels, x among them now.
template <class T, int C>
__device__ void keep_inputs(const Args& a, const Place& place) {
  if (a.conv_final == nullptr || a.KS <= 1) return;
  const int n_kept = static_cast<int>(a.KS) - 1;
  for (int i = threadIdx.x; i < C * kTileRows * kUnits * n_kept; i += blockDim.x) {
    const int64_t j = place.unit + i % kUnits, b = place.row + i / kUnits / n_kept;
    if (j >= a.D || b >= a.B) continue;
    const int64_t c = place.head * a.D + j, d = n_kept - 1 - i / kUnits % n_kept;  // before x
    const T* from =
        d == 0 ? static_cast<const T*>(a.x) + b * a.H * a.D + c : input_before<T>(a, b, d, c);
    static_cast<T*>(a.conv_final)[(b * n_kept + n_kept - 1 - d) * a.H * a.D + c] =
        from == nullptr ? from_float<T>(0.0f) : *from;
  }
}

template <class T, class W, int C, bool kPacked>
__global__ void __launch_bounds__(kMostThreads<T>, 1) decode_kernel(const Args a) {
  __shared__ WarpMemory<T, C> memory[kMostWarps<T>];
  const int warp = static_cast<int>(threadIdx.x) / 32, n_warps = static_cast<int>(blockDim.x) / 32;
  // Blocks with the same weights follow one another.
  const auto tiles = static_cast<unsigned>(ceil_div(a.B, C * kTileRows)),
             groups = static_cast<unsigned>(ceil_div(a.D, kUnits)), of_head = blockIdx.x / tiles;
  const bool of_inputs = warp < n_warps / 2;
  const Place place{of_head / groups, int64_t{of_head % groups} * kUnits,
                    int64_t{blockIdx.x % tiles} * (C * kTileRows),
                    of_inputs ? warp : warp - n_warps / 2, n_warps / 2};
  // Neighbouring threads have neighbouring units. On its way while the sums are made.
  const int unit = static_cast<int>(threadIdx.x) % kUnits;
  const int row = static_cast<int>(threadIdx.x) / kUnits;
  const Cell cell = load_cell<W, C>(a, place, unit, row);
  if constexpr (std::is_same_v<T, float>) {
    sum_up<C, kPacked>(a, place, of_inputs, memory[warp].turn, memory[warp].sums);
  } else {
    sum_up<T, W, C, kPacked>(a, place, of_inputs, memory[warp].sums);
  }
  keep_inputs<T, C>(a, place);
  __syncthreads();
  if (!cell.exists) return;
  float g[kGates];
#pragma unroll
  for (int gate = 0; gate < kGates; ++gate) {
    g[gate] = cell.bias[gate];
#pragma unroll 4
    for (int w = 0; w < n_warps; ++w) g[gate] += memory[w].sums[gate * kUnits + unit][row];
  }
  finish<T>(a, cell, g);
}

template <class T, class W>
bool is_packed_call(const Args& a) {
  bool packed =
      a.D % kLane == 0 && is_packed<T>(a.x) && is_packed<W>(a.R) && is_packed<float>(a.h_init);
  for (const void* weight : a.W) packed = packed && is_packed<W>(weight);
  if (a.KS == 0) return packed;
  return packed && is_packed<T>(a.conv_init) && is_packed<W>(a.conv_weight) &&
         is_packed<W>(a.conv_bias);
}

template <class T, class W, int C>
xlstm_status launch(const Args& a, cudaStream_t stream) {
  const int64_t blocks = a.H * ceil_div(a.D, kUnits) * ceil_div(a.B, C * kTileRows);
  if (blocks > INT32_MAX) return XLSTM_BAD_SIZE;
  const int64_t wanted = 64 * ceil_div(a.D, kTurn);  // two warps for each turn
  const auto threads = static_cast<unsigned>(wanted < kFewestThreads    ? kFewestThreads
                                             : wanted < kMostThreads<T> ? wanted
                                                                        : kMostThreads<T>);
  const auto grid = static_cast<unsigned>(blocks);
  if (is_packed_call<T, W>(a)) {
    decode_kernel<T, W, C, true><<<grid, threads, 0, stream>>>(a);
  } else {
    decode_kernel<T, W, C, false><<<grid, threads, 0, stream>>>(a);
  }
  return launched();
}

}  // namespace
}  // namespace xlstm::kernels::decode

using namespace xlstm::kernels;

xlstm_status xlstm_slstm_decode_cuda(const xlstm_slstm_decode_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_slstm_decode_check, [&](auto element) {
    using T = typename decltype(element)::type;
    xlstm_status status = XLSTM_OK;
    if (args->B * args->H * args->D == 0) return status;
    with_weight_type<T>(args->weight_dtype, [&](auto weight) {
      using W = typename decltype(weight)::type;
      status = args->B <= decode::kTileRows ? decode::launch<T, W, 1>(*args, stream_of(exec))
                                            : decode::launch<T, W, 2>(*args, stream_of(exec));
    });
    return status;
  });
}
