#include "kernels/common/weight_dtype.h"
#include "kernels/norm/norm_team.cuh"

namespace xlstm::kernels {
namespace {

using Args = xlstm_norm_bwd_args;

// Rows are cut into blocks, a function of their number alone.
struct RowBlocks {
  int64_t count, rows_each;
  explicit RowBlocks(int64_t rows) {
    constexpr int64_t kShortest = 8, kMost = 1056;
    const int64_t wanted = ceil_div(rows, kShortest);
    rows_each = ceil_div(rows, wanted < 1 ? 1 : wanted > kMost ? kMost : wanted);
    if (rows_each < 1) rows_each = 1;
    count = ceil_div(rows, rows_each);
  }
};

// Partial sums: [blocks][n_sums][D], dweight before dbias, of those that are wanted.
inline int n_sums(const Args& a) {
  return (a.dweight != nullptr) + (a.dbias != nullptr);
}

// How a block's teams share groups and rows: team k has group k % groups, and every
// (teams / groups)-th row.
struct Teams {
  int lanes, groups;
};

__device__ inline float mean_of(const Args& a, int64_t at) {
  return a.subtract_mean ? static_cast<const float*>(a.mean)[at] : 0.0f;
}
__device__ inline float rstd_of(const Args& a, int64_t at) {
  return static_cast<const float*>(a.rstd)[at];
}

// What a team reads of a row, before it is needed.
template <class T, int kHeld>
struct Row {
  Raw<T, kPack<T>> x[kHeld], dy[kHeld];
  float mean, rstd;
};

template <class T, int kHeld>
__device__ inline void read(const Args& a, int64_t row, int64_t group, int lanes, int lane,
                            int packs, Row<T, kHeld>& to) {
  constexpr int N = kPack<T>;
  const T* x = static_cast<const T*>(a.x) + row * a.x_stride_row + group * a.width;
  const T* dy = static_cast<const T*>(a.dy) + row * a.dy_stride_row + group * a.width;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int pack = i * lanes + lane;
    if (pack >= packs) continue;
    to.x[i] = load_raw<N>(x + pack * N);
    to.dy[i] = load_raw<N>(dy + pack * N);
  }
  to.mean = mean_of(a, row * a.groups + group);
  to.rstd = rstd_of(a, row * a.groups + group);
}

// Sums of a block's teams that share a group, written by the first of them.
template <int kHeld, int N>
__device__ inline void write_sums(const float (&sum)[kHeld][N], const Args& a, Teams teams,
                                  int64_t group, bool valid_group, int lane, int packs,
                                  float* shared, float* out) {
  const int n_rows = static_cast<int>(blockDim.x) / (teams.lanes * teams.groups);
  const int team = static_cast<int>(threadIdx.x) / teams.lanes;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    float total[N];
#pragma unroll
    for (int j = 0; j < N; ++j) total[j] = sum[i][j];
    if (n_rows > 1) {
      __syncthreads();
#pragma unroll
      for (int j = 0; j < N; ++j) shared[j * blockDim.x + threadIdx.x] = sum[i][j];
      __syncthreads();
      if (team < teams.groups) {
        for (int k = 1; k < n_rows; ++k)
#pragma unroll
          for (int j = 0; j < N; ++j)
            total[j] += shared[j * blockDim.x + threadIdx.x + k * teams.groups * teams.lanes];
      }
    }
    const int pack = i * teams.lanes + lane;
    if (team < teams.groups && valid_group && pack < packs)
      store_values<N>(out + group * a.width + pack * N, total);
  }
}

// A block owns a block of rows and some groups. dx may be written over x or dy: only rows that are
// still to come have been read by then, by the same thread.
template <class T, class W, bool kBlock, int kHeld>
__global__ void __launch_bounds__(kBlock ? 512 : kWarpTeamThreads,
                                  kHeld == 1 ? (kBlock ? 2 : 8) : 1)
    backward_held(Args a, Teams teams, RowBlocks blocks, float* partial) {
  constexpr int N = kPack<T>;
  __shared__ float scratch[2][64];
  __shared__ float shared[kBlock ? 1 : N * kWarpTeamThreads];
  const int lane = static_cast<int>(threadIdx.x) % teams.lanes;
  const int team = static_cast<int>(threadIdx.x) / teams.lanes;
  const int packs = static_cast<int>(a.width / N);
  const int step = static_cast<int>(blockDim.x) / (teams.lanes * teams.groups);
  const int64_t group = static_cast<int64_t>(blockIdx.y) * teams.groups + team % teams.groups;
  const bool valid_group = group < a.groups;
  const int64_t begin = blockIdx.x * blocks.rows_each;
  const int64_t end = begin + blocks.rows_each < a.rows ? begin + blocks.rows_each : a.rows;

  float scale[kHeld][N], dweight[kHeld][N] = {}, dbias[kHeld][N] = {};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int pack = i * teams.lanes + lane;
    if (!valid_group || pack >= packs) continue;
    load_values<N>(static_cast<const W*>(a.weight) + group * a.width + pack * N, scale[i]);
#pragma unroll
    for (int j = 0; j < N; ++j) scale[i][j] += a.one_plus ? 1.0f : 0.0f;
  }

  Row<T, kHeld> next;
  int64_t row = begin + team / teams.groups;
  if (valid_group && row < end) read<T, kHeld>(a, row, group, teams.lanes, lane, packs, next);
  // As many rounds for every team of the block, for the barriers.
  for (int64_t round = begin; round < end; round += step, row += step) {
    const bool valid = valid_group && row < end;
    const Row<T, kHeld> now = next;
    if (valid_group && row + step < end)
      read<T, kHeld>(a, row + step, group, teams.lanes, lane, packs, next);
    float2 sums = make_float2(0.0f, 0.0f);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (!valid || i * teams.lanes + lane >= packs) continue;
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float dy = now.dy[i][j], xhat = (now.x[i][j] - now.mean) * now.rstd;
        dweight[i][j] += dy * xhat;
        dbias[i][j] += dy;
        sums.x += dy * scale[i][j];
        sums.y += dy * scale[i][j] * xhat;
      }
    }
    if (a.dx == nullptr) continue;
    // The scratch alternates, so one barrier a round is enough.
    sums = team_sum<kBlock>(sums, teams.lanes, scratch[(round - begin) / step % 2]);
    if (!valid) continue;
    const float n = static_cast<float>(a.width);
    const float shift = a.subtract_mean ? sums.x / n : 0.0f, slope = sums.y / n;
    T* dx_run = static_cast<T*>(a.dx) + row * a.dx_stride_row + group * a.width;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const int pack = i * teams.lanes + lane;
      if (pack >= packs) continue;
      float dx[N];
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const float xhat = (now.x[i][j] - now.mean) * now.rstd;
        dx[j] = now.rstd * (now.dy[i][j] * scale[i][j] - shift - xhat * slope);
      }
      store_values<N>(dx_run + pack * N, dx);
    }
  }

  const int64_t D = a.groups * a.width;
  float* out = partial + blockIdx.x * D * ((a.dweight != nullptr) + (a.dbias != nullptr));
  if (a.dweight != nullptr) {
    write_sums(dweight, a, teams, group, valid_group, lane, packs, shared, out);
    out += D;
  }
  if (a.dbias != nullptr) write_sums(dbias, a, teams, group, valid_group, lane, packs, shared, out);
}

// Any width and alignment, before dx is written: a thread owns a column of a block of rows.
template <class T>
__global__ void __launch_bounds__(256) column_sums(Args a, RowBlocks blocks, float* partial) {
  const int64_t D = a.groups * a.width;
  const int64_t column = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (column >= D) return;
  const int64_t group = column / a.width;
  const int64_t begin = blockIdx.x * blocks.rows_each;
  const int64_t end = begin + blocks.rows_each < a.rows ? begin + blocks.rows_each : a.rows;
  float dweight = 0, dbias = 0;
#pragma unroll 4
  for (int64_t row = begin; row < end; ++row) {
    const float x = to_float(static_cast<const T*>(a.x)[row * a.x_stride_row + column]);
    const float dy = to_float(static_cast<const T*>(a.dy)[row * a.dy_stride_row + column]);
    const int64_t at = row * a.groups + group;
    dweight += dy * ((x - mean_of(a, at)) * rstd_of(a, at));
    dbias += dy;
  }
  float* out = partial + blockIdx.x * D * ((a.dweight != nullptr) + (a.dbias != nullptr)) + column;
  if (a.dweight != nullptr) {
    *out = dweight;
    out += D;
  }
  if (a.dbias != nullptr) *out = dbias;
}

// dx, any width and alignment: elements are read again from memory.
template <class T, class W, bool kBlock>
__global__ void __launch_bounds__(512) dx_again(Args a, int team) {
  __shared__ float scratch[64];
  const int teams = static_cast<int>(blockDim.x) / team;
  const int lane = static_cast<int>(threadIdx.x) % team;
  const int64_t n_runs = a.rows * a.groups;
  const float one = a.one_plus ? 1.0f : 0.0f;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * teams; first < n_runs;
       first += static_cast<int64_t>(gridDim.x) * teams) {
    const int64_t index = first + threadIdx.x / team;
    const bool valid = index < n_runs;
    const int64_t row = index / a.groups, group = index % a.groups, width = valid ? a.width : 0;
    const T* x = static_cast<const T*>(a.x) + row * a.x_stride_row + group * a.width;
    const T* dy = static_cast<const T*>(a.dy) + row * a.dy_stride_row + group * a.width;
    const W* weight = static_cast<const W*>(a.weight) + group * a.width;
    const float mean = valid ? mean_of(a, index) : 0.0f, rstd = valid ? rstd_of(a, index) : 0.0f;
    float2 sums = make_float2(0.0f, 0.0f);
    for (int64_t i = lane; i < width; i += team) {
      const float g = to_float(dy[i]) * (one + to_float(weight[i]));
      sums.x += g;
      sums.y += g * ((to_float(x[i]) - mean) * rstd);
    }
    sums = team_sum<kBlock>(sums, team, scratch);
    const float n = static_cast<float>(a.width);
    const float shift = a.subtract_mean ? sums.x / n : 0.0f, slope = sums.y / n;
    T* dx = static_cast<T*>(a.dx) + row * a.dx_stride_row + group * a.width;
    for (int64_t i = lane; i < width; i += team) {
      const float g = to_float(dy[i]) * (one + to_float(weight[i]));
      dx[i] = from_float<T>(rstd * (g - shift - (to_float(x[i]) - mean) * rstd * slope));
    }
    if constexpr (kBlock) __syncthreads();  // the scratch is used again
  }
}

template <class T>
bool is_aligned(const Args& a) {
  return a.width % kPack<T> == 0 && is_packed<T>(a.x, a.x_stride_row) &&
         is_packed<T>(a.dy, a.dy_stride_row) &&
         (a.dx == nullptr || is_packed<T>(a.dx, a.dx_stride_row)) && is_packed<T>(a.weight);
}

template <class T, class W>
void backward_any(const Args& a, const RowBlocks& blocks, float* partial, cudaStream_t stream) {
  const int64_t D = a.groups * a.width;
  if (n_sums(a) > 0) {
    const dim3 grid(static_cast<unsigned>(blocks.count), static_cast<unsigned>(ceil_div(D, 256)));
    column_sums<T><<<grid, 256, 0, stream>>>(a, blocks, partial);
  }
  if (a.dx == nullptr) return;
  constexpr int64_t kMostBlocks = 1 << 20;
  const int64_t runs = a.rows * a.groups;
  if (a.width <= 1024) {
    dx_again<T, W, false>
        <<<grid_for(runs, kWarpTeamThreads / 32, kMostBlocks), kWarpTeamThreads, 0, stream>>>(a,
                                                                                              32);
  } else {
    const int threads = threads_for(a.width, 512);
    dx_again<T, W, true><<<grid_for(runs, 1, kMostBlocks), threads, 0, stream>>>(a, threads);
  }
}

template <class T, class W>
void backward_aligned(const Args& a, const RowBlocks& blocks, float* partial, cudaStream_t stream) {
  const int64_t packs = a.width / kPack<T>;
  const auto launch = [&](auto kernel, int threads, Teams teams) {
    const dim3 grid(static_cast<unsigned>(blocks.count),
                    static_cast<unsigned>(ceil_div(a.groups, teams.groups)));
    kernel<<<grid, threads, 0, stream>>>(a, teams, blocks, partial);
  };
  if (packs <= 32) {
    const int lanes = lanes_for(packs), most = kWarpTeamThreads / lanes;
    int groups = 1;
    while (groups < most && groups < a.groups) groups *= 2;
    return launch(backward_held<T, W, false, 1>, kWarpTeamThreads, Teams{lanes, groups});
  }
  if (packs <= 512) {
    const int threads = threads_for(packs, 512);
    return launch(backward_held<T, W, true, 1>, threads, Teams{threads, 1});
  }
  const int threads = threads_for(ceil_div(packs, 2), 512);
  launch(backward_held<T, W, true, 2>, threads, Teams{threads, 1});
}

// Where the sum of a column goes: [n_sums][D].
template <class W>
struct Place {
  W *dweight, *dbias;
  int64_t D;
  __device__ W* operator()(int64_t i) const {
    if (dweight != nullptr && i < D) return dweight + i;
    return dbias + (dweight != nullptr ? i - D : i);
  }
};

template <class T, class W>
void backward(const Args& a, float* partial, cudaStream_t stream) {
  const RowBlocks blocks(a.rows);
  const int64_t D = a.groups * a.width;
  // A grid is at most 65535 high.
  const bool fits = a.width / kPack<T> <= 1024 && a.groups < 65536;
  if (a.rows == 0) {
    // Only zeros to write.
  } else if (is_aligned<T>(a) && fits) {
    backward_aligned<T, W>(a, blocks, partial, stream);
  } else {
    backward_any<T, W>(a, blocks, partial, stream);
  }
  combine_partials<W>(partial, blocks.count, n_sums(a) * D,
                      Place<W>{static_cast<W*>(a.dweight), static_cast<W*>(a.dbias), D}, stream);
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_norm_bwd_workspace_cuda(const xlstm_norm_bwd_args* args) {
  return Cuda::workspace(args, xlstm_norm_bwd_check, [&](auto) {
    return RowBlocks(args->rows).count * n_sums(*args) * args->groups * args->width *
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
