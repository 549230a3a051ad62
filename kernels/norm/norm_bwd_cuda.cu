#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm.h"
#include "kernels/norm/norm_bwd.cuh"

namespace xlstm::kernels {
namespace {

using Args = xlstm_norm_bwd_args;

constexpr HeldShape kShort{1, 2, kTeamThreads, 3}, kLong{2, 2, kTeamThreads, 2},
    kLongest{2, 1, 2 * kTeamThreads, 1};

// Arrays that are read, and rounds that lie in shared memory: as many as fit.
template <bool kAdds>
constexpr int kArrays = kAdds ? 3 : 2;
template <bool kAdds, int kPacks, int kRows>
constexpr int kStages = kPacks == 2 && kRows == 2 && kAdds ? 2 : 3;

template <class T>
RowPlan plan_of(const Args& a) {
  const int64_t packs = ceil_div(a.width, int64_t{kPack<T>});
  return {a,
          packs <= kTeamThreads       ? kShort
          : packs <= 2 * kTeamThreads ? kLong
                                      : kLongest,
          kPack<T>};
}

// Partial sums: [blocks][n_sums][D], dweight before dbias, of those that are wanted.
inline int n_sums(const Args& a) {
  return (a.dweight != nullptr) + (a.dbias != nullptr);
}

// Where dsum of a run begins, or null.
template <class T>
__device__ inline const T* dsum_of(const Args& a, int64_t row, int64_t column) {
  return a.dsum == nullptr ? nullptr
                           : static_cast<const T*>(a.dsum) + row * a.dsum_stride_row + column;
}

// A block owns a block of rows and some groups. What a thread reads of the rounds to come is on its
// way to places of shared memory that no other thread touches. dx may be written over x, dy or
// dsum: rounds are of different rows, and a thread writes only where it alone has read.
template <class T, class W, bool kAdds, int kHeld, int R, int kMostThreads, int kBlocks>
__global__ void __launch_bounds__(kMostThreads, kBlocks)
    backward_held(const Args a, const RowPlan plan, float* partial) {
  constexpr int N = kPack<T>, kIn = kArrays<kAdds>, kAhead = kStages<kAdds, kHeld, R> - 1;
  extern __shared__ uint4 places[];  // [stages][R][kHeld][x, dy, dsum][threads]
  __shared__ float scratch[2][16 * 2 * R];
  const int lane = static_cast<int>(threadIdx.x) % plan.lanes;
  const int team = static_cast<int>(threadIdx.x) / plan.lanes;
  const int packs = static_cast<int>(a.width / N);
  const int64_t group = static_cast<int64_t>(blockIdx.y) * plan.groups + team % plan.groups;
  const bool valid = group < a.groups;
  const int64_t begin = blockIdx.x * plan.rows_each;
  const int64_t end = begin + plan.rows_each < a.rows ? begin + plan.rows_each : a.rows;
  const int step = R * plan.teams_of_rows, mine = team / plan.groups * R;
  const float inverse_n = 1.0f / static_cast<float>(a.width);
  const int64_t column = group * a.width + lane * N;
  const auto has_pack = [&](int i) { return valid && i * plan.lanes + lane < packs; };
  // Three arrays leave no room for places that no thread has.
  const int threads = kAdds ? static_cast<int>(blockDim.x) : kMostThreads;
  const auto place = [&](int stage, int r, int i, int array) {
    return places + (((stage * R + r) * kHeld + i) * kIn + array) * threads + threadIdx.x;
  };
  // Every thread commits as many copies, if empty ones, so that they can be counted.
  const auto send_for = [&](int stage, int64_t round) {
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const int64_t row = round + mine + r;
      if (row >= end) continue;
      const T* x = static_cast<const T*>(a.x) + row * a.x_stride_row + column;
      const T* dy = static_cast<const T*>(a.dy) + row * a.dy_stride_row + column;
      const T* dsum = static_cast<const T*>(a.dsum) + row * a.dsum_stride_row + column;
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        if (!has_pack(i)) continue;
        copy_16_async(place(stage, r, i, 0), x + i * plan.lanes * N);
        copy_16_async(place(stage, r, i, 1), dy + i * plan.lanes * N);
        if constexpr (kAdds) copy_16_async(place(stage, r, i, 2), dsum + i * plan.lanes * N);
      }
    }
    commit_copies();
  };
  const auto statistics = [&](int64_t round, float(&mean)[R], float(&rstd)[R]) {
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const int64_t row = round + mine + r, at = row * a.groups + group;
      mean[r] = valid && row < end ? mean_of(a, at) : 0.0f;
      rstd[r] = valid && row < end ? rstd_of(a, at) : 0.0f;
    }
  };

  float scale[kHeld][N] = {}, dweight[kHeld][N] = {}, dbias[kHeld][N] = {};
  float next_mean[R], next_rstd[R];
#pragma unroll
  for (int s = 0; s < kAhead; ++s) send_for(s, begin + s * step);
  statistics(begin, next_mean, next_rstd);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    if (!has_pack(i)) continue;
    load_values<N>(static_cast<const W*>(a.weight) + column + i * plan.lanes * N, scale[i]);
#pragma unroll
    for (int j = 0; j < N; ++j) scale[i][j] += a.one_plus ? 1.0f : 0.0f;
  }

  int stage = 0, parity = 0;
  // As many rounds for every team of the block, for the barriers.
  for (int64_t round = begin; round < end; round += step, parity ^= 1) {
    float mean[R], rstd[R];
#pragma unroll
    for (int r = 0; r < R; ++r) mean[r] = next_mean[r], rstd[r] = next_rstd[r];
    statistics(round + step, next_mean, next_rstd);
    send_for(stage == 0 ? kAhead : stage - 1, round + kAhead * step);
    wait_copies<kAhead>();
    float sums[2 * R] = {};
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        if (!has_pack(i) || round + mine + r >= end) continue;
        const Raw<T, N> x = load_raw<N>(reinterpret_cast<const T*>(place(stage, r, i, 0)));
        const Raw<T, N> dy = load_raw<N>(reinterpret_cast<const T*>(place(stage, r, i, 1)));
#pragma unroll
        for (int j = 0; j < N; ++j) {
          const float d = dy[j], xhat = (x[j] - mean[r]) * rstd[r];
          const float g = d * scale[i][j];
          dweight[i][j] += d * xhat;
          dbias[i][j] += d;
          sums[2 * r] += g;
          sums[2 * r + 1] += g * xhat;
        }
      }
    if (a.dx != nullptr) {
      // The scratch alternates, so one barrier a round is enough.
      if (plan.lanes >= 32) {
        wide_team_sums(sums, plan.lanes, scratch[parity]);
      } else {
        team_sums<false>(sums, plan.lanes, nullptr);
      }
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const int64_t row = round + mine + r;
        T* to = static_cast<T*>(a.dx) + row * a.dx_stride_row + column;
        // dx = rstd (g - shift - xhat slope)
        const float shift = a.subtract_mean ? sums[2 * r] * inverse_n * rstd[r] : 0.0f;
        const float slope = sums[2 * r + 1] * inverse_n * rstd[r] * rstd[r];
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
          if (!has_pack(i) || row >= end) continue;
          const Raw<T, N> x = load_raw<N>(reinterpret_cast<const T*>(place(stage, r, i, 0)));
          const Raw<T, N> dy = load_raw<N>(reinterpret_cast<const T*>(place(stage, r, i, 1)));
          float dx[N];
#pragma unroll
          for (int j = 0; j < N; ++j)
            dx[j] = rstd[r] * (dy[j] * scale[i][j]) - ((x[j] - mean[r]) * slope + shift);
          if constexpr (kAdds) {
            const Raw<T, N> more = load_raw<N>(reinterpret_cast<const T*>(place(stage, r, i, 2)));
#pragma unroll
            for (int j = 0; j < N; ++j) dx[j] += more[j];
          }
          store_values<N>(to + i * plan.lanes * N, dx);
        }
      }
    }
    stage = stage == kAhead ? 0 : stage + 1;
  }
  wait_all_copies();

  const int64_t D = a.groups * a.width;
  float* shared = reinterpret_cast<float*>(places);  // after a barrier
  float* out = partial + blockIdx.x * D * ((a.dweight != nullptr) + (a.dbias != nullptr));
  if (a.dweight != nullptr) {
    write_sums(dweight, a, plan, group, lane, packs, shared, out);
    out += D;
  }
  if (a.dbias != nullptr) write_sums(dbias, a, plan, group, lane, packs, shared, out);
}

// Any width and alignment, before dx is written: a thread owns a column of a block of rows.
template <class T>
__global__ void __launch_bounds__(256)
    column_sums(const Args a, const RowPlan plan, float* partial) {
  const int64_t D = a.groups * a.width;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= D) return;
  const int64_t group = column / a.width;
  const int64_t begin = blockIdx.y * plan.rows_each;
  const int64_t end = begin + plan.rows_each < a.rows ? begin + plan.rows_each : a.rows;
  float dweight = 0, dbias = 0;
#pragma unroll 4
  for (int64_t row = begin; row < end; ++row) {
    const float x = to_float(static_cast<const T*>(a.x)[row * a.x_stride_row + column]);
    const float dy = to_float(static_cast<const T*>(a.dy)[row * a.dy_stride_row + column]);
    const int64_t at = row * a.groups + group;
    dweight += dy * ((x - mean_of(a, at)) * rstd_of(a, at));
    dbias += dy;
  }
  float* out = partial + blockIdx.y * D * ((a.dweight != nullptr) + (a.dbias != nullptr)) + column;
  if (a.dweight != nullptr) {
    *out = dweight;
    out += D;
  }
  if (a.dbias != nullptr) *out = dbias;
}

// dx, any width and alignment: elements are read again from memory.
template <class T, class W, bool kBlock>
__global__ void __launch_bounds__(512) dx_again(const Args a, const Runs runs, int team) {
  __shared__ float scratch[64];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const float one = a.one_plus ? 1.0f : 0.0f;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * teams; first < runs.count;
       first += static_cast<int64_t>(gridDim.x) * teams) {
    const int64_t index = first + threadIdx.x / team;
    const bool valid = index < runs.count;
    const int64_t row = runs.row_of(index), group = index - row * a.groups;
    const int64_t width = valid ? a.width : 0;
    const T* x = static_cast<const T*>(a.x) + row * a.x_stride_row + group * a.width;
    const T* dy = static_cast<const T*>(a.dy) + row * a.dy_stride_row + group * a.width;
    const W* weight = static_cast<const W*>(a.weight) + group * a.width;
    const float mean = valid ? mean_of(a, index) : 0.0f, rstd = valid ? rstd_of(a, index) : 0.0f;
    float sums[2] = {};
    for (int64_t i = lane; i < width; i += team) {
      const float g = to_float(dy[i]) * (one + to_float(weight[i]));
      sums[0] += g;
      sums[1] += g * ((to_float(x[i]) - mean) * rstd);
    }
    team_sums<kBlock>(sums, team, scratch);
    const float n = static_cast<float>(a.width);
    const float shift = a.subtract_mean ? sums[0] / n : 0.0f, slope = sums[1] / n;
    const T* dsum = dsum_of<T>(a, row, group * a.width);
    T* dx = static_cast<T*>(a.dx) + row * a.dx_stride_row + group * a.width;
    for (int64_t i = lane; i < width; i += team) {
      const float g = to_float(dy[i]) * (one + to_float(weight[i]));
      const float more = dsum == nullptr ? 0.0f : to_float(dsum[i]);
      dx[i] = from_float<T>(rstd * (g - shift - (to_float(x[i]) - mean) * rstd * slope) + more);
    }
    if constexpr (kBlock) __syncthreads();  // the scratch is used again
  }
}

// dx of runs of at most kNarrow elements, of a thread each.
template <class T, class W>
__global__ void __launch_bounds__(kTeamThreads) dx_narrow(const Args a, const Runs runs) {
  const int64_t run = static_cast<int64_t>(blockIdx.x) * kTeamThreads + threadIdx.x;
  if (run >= runs.count) return;
  const int width = static_cast<int>(a.width);
  const int64_t row = runs.row_of(run), begin = (run - row * a.groups) * width;
  const double one = a.one_plus ? 1.0 : 0.0;
  double x[kNarrow] = {}, g[kNarrow] = {};
#pragma unroll
  for (int i = 0; i < kNarrow; ++i) {
    if (i >= width) continue;
    x[i] = to_float(static_cast<const T*>(a.x)[row * a.x_stride_row + begin + i]);
    g[i] = to_float(static_cast<const T*>(a.dy)[row * a.dy_stride_row + begin + i]) *
           (one + to_float(static_cast<const W*>(a.weight)[begin + i]));
  }
  narrow_gradient(a, x, g);
  const T* dsum = dsum_of<T>(a, row, begin);
  T* dx = static_cast<T*>(a.dx) + row * a.dx_stride_row + begin;
#pragma unroll
  for (int i = 0; i < kNarrow; ++i) {
    if (i >= width) continue;
    const double more = dsum == nullptr ? 0.0 : to_float(dsum[i]);
    dx[i] = from_float<T>(static_cast<float>(g[i] + more));
  }
}

template <class T>
bool is_aligned(const Args& a) {
  return a.width % kPack<T> == 0 && is_packed<T>(a.x, a.x_stride_row) &&
         is_packed<T>(a.dy, a.dy_stride_row) &&
         (a.dx == nullptr ||
          (is_packed<T>(a.dx, a.dx_stride_row) && is_packed<T>(a.dsum, a.dsum_stride_row))) &&
         is_packed<T>(a.weight);
}

template <class T, class W>
void backward_any(const Args& a, const RowPlan& plan, float* partial, cudaStream_t stream) {
  const int64_t D = a.groups * a.width;
  if (n_sums(a) > 0) {
    const dim3 grid(static_cast<unsigned>(ceil_div(D, 256)), static_cast<unsigned>(plan.count));
    column_sums<T><<<grid, 256, 0, stream>>>(a, plan, partial);
  }
  if (a.dx == nullptr) return;
  constexpr int64_t kMostBlocks = 1 << 20;
  const Runs runs(a.rows, a.groups);
  if (a.width <= kNarrow) {
    dx_narrow<T, W>
        <<<grid_for(runs.count, kTeamThreads, 0x7fffffff), kTeamThreads, 0, stream>>>(a, runs);
  } else if (a.width <= 1024) {
    dx_again<T, W, false>
        <<<grid_for(runs.count, kWarpTeamThreads / 32, kMostBlocks), kWarpTeamThreads, 0, stream>>>(
            a, runs, 32);
  } else {
    const int threads = threads_for(a.width, 512);
    dx_again<T, W, true>
        <<<grid_for(runs.count, 1, kMostBlocks), threads, 0, stream>>>(a, runs, threads);
  }
}

template <class T, class W, bool kAdds>
void backward_aligned(const Args& a, const RowPlan& plan, float* partial, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(plan.count), static_cast<unsigned>(plan.height));
  const auto launch = [&](auto kernel, int n_stages) {
    const HeldShape& s = plan.shape;
    const int threads = kAdds ? plan.threads() : s.threads;
    const int n_places = n_stages * s.rows * s.packs * kArrays<kAdds> * threads;
    const int bytes = n_places * static_cast<int>(sizeof(uint4));
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    kernel<<<grid, plan.threads(), bytes, stream>>>(a, plan, partial);
  };
  if (plan.shape.packs == 1) {
    launch(backward_held<T, W, kAdds, kShort.packs, kShort.rows, kShort.threads, kShort.blocks>,
           kStages<kAdds, kShort.packs, kShort.rows>);
  } else if (plan.shape.rows == 2) {
    launch(backward_held<T, W, kAdds, kLong.packs, kLong.rows, kLong.threads, kLong.blocks>,
           kStages<kAdds, kLong.packs, kLong.rows>);
  } else {
    launch(backward_held<T, W, kAdds, kLongest.packs, kLongest.rows, kLongest.threads,
                         kLongest.blocks>,
           kStages<kAdds, kLongest.packs, kLongest.rows>);
  }
}

template <class T, class W>
void backward(const Args& a, float* partial, cudaStream_t stream) {
  const RowPlan plan = plan_of<T>(a);
  const int64_t D = a.groups * a.width;
  // A grid is at most 65535 high.
  const bool fits = a.width > kNarrow && a.width / kPack<T> <= 1024 && plan.height < 65536;
  if (a.rows == 0) {
    // Only zeros to write.
  } else if (is_aligned<T>(a) && fits) {
    if (a.dx != nullptr && a.dsum != nullptr) {
      backward_aligned<T, W, true>(a, plan, partial, stream);
    } else {
      backward_aligned<T, W, false>(a, plan, partial, stream);
    }
  } else {
    backward_any<T, W>(a, plan, partial, stream);
  }
  combine_partials<W>(partial, plan.count, n_sums(a) * D,
                      SumPlace<W>{static_cast<W*>(a.dweight), static_cast<W*>(a.dbias), D}, stream);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_norm_bwd_workspace_cuda(const xlstm_norm_bwd_args* args) {
  return Cuda::workspace(args, xlstm_norm_bwd_check, [&](auto element) {
    using T = typename decltype(element)::type;
    return plan_of<T>(*args).count * n_sums(*args) * args->groups * args->width *
           int64_t{sizeof(float)};
  });
}

xlstm_status xlstm_norm_bwd_cuda(const xlstm_norm_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_norm_bwd_check, exec, xlstm_norm_bwd_workspace_cuda,
                   [&](auto element) {
                     using T = typename decltype(element)::type;
                     if (args->groups * args->width == 0) return XLSTM_OK;
                     with_weight_type<T>(args->weight_dtype, [&](auto weight) {
                       backward<T, typename decltype(weight)::type>(
                           *args, static_cast<float*>(exec.workspace), stream_of(exec));
                     });
                     return launched();
                   });
}
