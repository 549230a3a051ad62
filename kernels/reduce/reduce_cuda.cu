#include <algorithm>

#include "kernels/common/cuda.cuh"
#include "kernels/reduce/reduce.h"

namespace xlstm::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;  // loads in flight per thread
constexpr int64_t kMostBlocks = 1 << 20;
constexpr int64_t kBlocksEnough = 1024;  // no slicing of n beyond this many blocks
constexpr int64_t kMinSlice = 16384;     // elements worth a block of their own

// How the threads of a block are laid over [outer, n, columns]: `width` neighbouring columns times
// `lines` threads along n make a group, which does one task: (outer, block of columns, slice of n).
// A column is a pack of neighbours of `inner`. Depends on sizes and packing alone.
struct Layout {
  int64_t outer, n, columns, column_blocks, slices, length, tasks;
  int width, lines, groups;
};

int64_t power_of_two_from(int64_t n) {
  int64_t p = 1;
  while (p < n) p *= 2;
  return p;
}

// per_thread: elements of n that a thread takes at least, where n is short.
Layout layout_of(int64_t outer, int64_t n, int64_t columns, int64_t most_width,
                 int64_t per_thread) {
  Layout l{};
  l.outer = outer;
  l.n = n;
  l.columns = columns;
  l.column_blocks = ceil_div(columns, most_width);
  l.width = static_cast<int>(ceil_div(columns, l.column_blocks));
  const int64_t useful = power_of_two_from(std::max<int64_t>(1, ceil_div(n, per_thread)));
  l.lines = static_cast<int>(std::min<int64_t>(kThreads / l.width, useful));
  l.groups = kThreads / (l.width * l.lines);
  l.slices = 1;
  l.length = n;
  l.tasks = outer * l.column_blocks;
  return l;
}

// A thread's place: group, line and column of the group; outside for threads too many.
struct Place {
  int group, line, column;
  bool inside;
};
__device__ Place place_of(const Layout& l) {
  const int t = static_cast<int>(threadIdx.x), size = l.width * l.lines;
  Place p{t / size, t % size / l.width, t % l.width, false};
  p.inside = p.group < l.groups;
  return p;
}

// A group's task: which outer index, which first column, which rows of n.
struct Task {
  int64_t outer, column, slice, begin, end;
  bool any;
};
__device__ Task task_of(const Layout& l, const Place& p, int64_t task) {
  Task t{0, 0, 0, 0, 0, false};
  if (!p.inside || task >= l.tasks) return t;
  t.slice = task % l.slices;
  const int64_t rest = task / l.slices;
  t.column = rest % l.column_blocks * l.width + p.column;
  t.outer = rest / l.column_blocks;
  t.begin = min(l.n, t.slice * l.length);
  t.end = min(l.n, t.begin + l.length);
  t.any = t.column < l.columns;
  return t;
}

// ---- sum ----

// Sums of every slice, in a tree over the lines of a group, into y[slice, outer, columns] packs;
// if `folds`, the N sums of a pack are one sum and y has one element for a pack.
template <int N, class In, class Out>
__global__ void __launch_bounds__(kThreads)
    sum_kernel(const Layout l, const In* x, Out* y, float factor, bool folds) {
  __shared__ float sums[N][kThreads];
  const Place p = place_of(l);
  for (int64_t first = int64_t{blockIdx.x} * l.groups; first < l.tasks;
       first += int64_t{gridDim.x} * l.groups) {
    const Task t = task_of(l, p, first + p.group);
    float acc[N] = {};
    if (t.any) {
      const In* from = x + (t.outer * l.n * l.columns + t.column) * N;
      for (int64_t k = t.begin + p.line; k < t.end; k += kUnroll * l.lines) {
        float v[kUnroll][N];
#pragma unroll
        for (int u = 0; u < kUnroll; ++u) {
          const int64_t row = k + u * l.lines;
          if (row < t.end) {
            load_pack<N>(from + row * l.columns * N, v[u]);
          } else {
#pragma unroll
            for (int j = 0; j < N; ++j) v[u][j] = 0;
          }
        }
#pragma unroll
        for (int u = 0; u < kUnroll; ++u)
#pragma unroll
          for (int j = 0; j < N; ++j) acc[j] += v[u][j];
      }
    }
#pragma unroll
    for (int j = 0; j < N; ++j) sums[j][threadIdx.x] = acc[j];
    __syncthreads();
    int half = 1;
    while (2 * half < l.lines) half *= 2;
    for (; l.lines > 1 && half > 0; half /= 2) {
      if (t.any && p.line < half && p.line + half < l.lines) {
#pragma unroll
        for (int j = 0; j < N; ++j) sums[j][threadIdx.x] += sums[j][threadIdx.x + half * l.width];
      }
      __syncthreads();
    }
    if (t.any && p.line == 0) {
      const int64_t cell = (t.slice * l.outer + t.outer) * l.columns + t.column;
      float total = 0;
#pragma unroll
      for (int j = 0; j < N; ++j) {
        total += sums[j][threadIdx.x];
        if (!folds) y[cell * N + j] = from_float<Out>(factor * sums[j][threadIdx.x]);
      }
      if (folds) y[cell] = from_float<Out>(factor * total);
    }
    __syncthreads();
  }
}

template <int N, class In, class Out>
void launch_sum(const Layout& l, const In* x, Out* y, double factor, bool folds,
                const xlstm_exec& exec) {
  sum_kernel<N><<<grid_for(l.tasks, l.groups, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
      l, x, y, static_cast<float>(factor), folds);
}

// Slices of n, where there are few cells; of sizes alone, so that the workspace is too.
int64_t slices_of(const xlstm_sum_fwd_args& g) {
  const int64_t tasks = g.outer * ceil_div(g.inner, 256);
  if (tasks == 0 || tasks >= kBlocksEnough) return 1;
  const int64_t most =
      std::max<int64_t>(1, g.n / ceil_div(kMinSlice, std::min<int64_t>(g.inner, 256)));
  return std::min(ceil_div(kBlocksEnough, tasks), most);
}

// The last step: sums over n for every (outer, inner).
template <class T, class Out>
void sum_slices(const xlstm_sum_fwd_args& g, int64_t slices, const T* x, Out* y, double factor,
                const xlstm_exec& exec) {
  constexpr int N = kPack<T>;
  const bool folds = g.inner == 1 && g.n % N == 0;
  const bool packs = is_packed<T>(x) && (folds || g.inner % N == 0);
  Layout l = !packs  ? layout_of(g.outer, g.n, g.inner, 256, kUnroll)
             : folds ? layout_of(g.outer, g.n / N, 1, 1, kUnroll)
                     : layout_of(g.outer, g.n, g.inner / N, 64, kUnroll);
  l.slices = slices;
  l.length = ceil_div(l.n, slices);
  l.tasks *= slices;
  if (packs) {
    launch_sum<N>(l, x, y, factor, folds, exec);
  } else {
    launch_sum<1>(l, x, y, factor, false, exec);
  }
}

template <class T>
xlstm_status sum_fwd(const xlstm_sum_fwd_args& g, const xlstm_exec& exec) {
  const T* x = static_cast<const T*>(g.x);
  T* y = static_cast<T*>(g.y);
  const int64_t cells = g.outer * g.inner, slices = slices_of(g);
  if (cells == 0) return XLSTM_OK;
  if (slices == 1) {
    sum_slices(g, 1, x, y, g.factor, exec);
  } else {
    float* partial = static_cast<float*>(exec.workspace);
    sum_slices(g, slices, x, partial, 1.0, exec);
    // Narrow groups: few columns, so many blocks must share them.
    launch_sum<1>(layout_of(1, slices, cells, 32, 1), partial, y, g.factor, false, exec);
  }
  return launched();
}

// ---- maximum ----

// The larger value, the smaller index among equals; NaN is larger than all.
__device__ bool is_better(float a, int64_t at_a, float b, int64_t at_b) {
  const bool a_nan = a != a, b_nan = b != b;
  if (a_nan || b_nan) return a_nan && (!b_nan || at_a < at_b);
  return a > b || (a == b && at_a < at_b);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    max_kernel(const Layout l, const T* x, T* y, int64_t* index) {
  __shared__ float bests[kThreads];
  __shared__ int64_t places[kThreads];
  const Place p = place_of(l);
  for (int64_t first = int64_t{blockIdx.x} * l.groups; first < l.tasks;
       first += int64_t{gridDim.x} * l.groups) {
    const Task t = task_of(l, p, first + p.group);
    const T* from = x + t.outer * l.n * l.columns + t.column;
    float best = -INFINITY;
    int64_t at = l.n;  // worse than any
    if (t.any) {
#pragma unroll 4
      for (int64_t k = t.begin + p.line; k < t.end; k += l.lines) {
        const float v = to_float(from[k * l.columns]);
        if (is_better(v, k, best, at)) {
          best = v;
          at = k;
        }
      }
    }
    bests[threadIdx.x] = best;
    places[threadIdx.x] = at;
    __syncthreads();
    int half = 1;
    while (2 * half < l.lines) half *= 2;
    for (; l.lines > 1 && half > 0; half /= 2) {
      if (t.any && p.line < half && p.line + half < l.lines) {
        const int other = static_cast<int>(threadIdx.x) + half * l.width;
        if (is_better(bests[other], places[other], best, at)) {
          best = bests[threadIdx.x] = bests[other];
          at = places[threadIdx.x] = places[other];
        }
      }
      __syncthreads();
    }
    if (t.any && p.line == 0) {
      const int64_t cell = t.outer * l.columns + t.column;
      y[cell] = from[at * l.columns];
      index[cell] = at;
    }
    __syncthreads();
  }
}

template <class T>
xlstm_status max_fwd(const xlstm_max_fwd_args& g, const xlstm_exec& exec) {
  if (g.outer * g.inner == 0) return XLSTM_OK;
  const Layout l = layout_of(g.outer, g.n, g.inner, g.n < 64 ? 256 : 32, kUnroll);
  max_kernel<<<grid_for(l.tasks, l.groups, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
      l, static_cast<const T*>(g.x), static_cast<T*>(g.y), g.index);
  return launched();
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    max_bwd_kernel(int64_t cells, int64_t n, int64_t inner, const int64_t* index, const T* dy,
                   T* dx) {
  for (int64_t c = int64_t{blockIdx.x} * kThreads + threadIdx.x; c < cells;
       c += int64_t{gridDim.x} * kThreads)
    dx[(c / inner * n + index[c]) * inner + c % inner] = dy[c];
}

// Zeros, then one store for each maximum.
template <class T>
xlstm_status max_bwd(const xlstm_max_bwd_args& g, const xlstm_exec& exec) {
  const int64_t cells = g.outer * g.inner;
  if (cells == 0) return XLSTM_OK;
  if (cudaMemsetAsync(g.dx, 0, static_cast<size_t>(cells * g.n) * sizeof(T), stream_of(exec)) !=
      cudaSuccess)
    return launched();
  max_bwd_kernel<<<grid_for(cells, kThreads, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
      cells, g.n, g.inner, g.index, static_cast<const T*>(g.dy), static_cast<T*>(g.dx));
  return launched();
}

// ---- running sum ----

constexpr int kRun = 4;  // neighbours along n that a thread adds up itself

// A group goes along n in pieces of lines * kRun: each thread sums its own run, the runs are
// scanned across the lines (Hillis and Steele 1986), and `carry` holds all earlier pieces.
template <class T>
__global__ void __launch_bounds__(kThreads)
    cumsum_kernel(const Layout l, bool reverse, const T* x, T* y) {
  __shared__ float scan[2][kThreads];
  const Place p = place_of(l);
  const int last_line = static_cast<int>(threadIdx.x) + (l.lines - 1 - p.line) * l.width;
  for (int64_t first = int64_t{blockIdx.x} * l.groups; first < l.tasks;
       first += int64_t{gridDim.x} * l.groups) {
    const Task t = task_of(l, p, first + p.group);
    const int64_t start = t.outer * l.n * l.columns + t.column;
    float carry = 0;
    for (int64_t piece = 0; piece < l.n; piece += l.lines * kRun) {  // the same for all threads
      float v[kRun];
      int64_t at[kRun];
      float sum = 0;
#pragma unroll
      for (int j = 0; j < kRun; ++j) {
        const int64_t k = piece + p.line * kRun + j;
        at[j] = t.any && k < l.n ? start + (reverse ? l.n - 1 - k : k) * l.columns : -1;
        v[j] = at[j] >= 0 ? to_float(x[at[j]]) : 0.0f;
      }
#pragma unroll
      for (int j = 0; j < kRun; ++j) {
        sum += v[j];
        v[j] = sum;
      }
      int from = 0;
      scan[0][threadIdx.x] = sum;
      __syncthreads();
      for (int d = 1; d < l.lines; d *= 2, from ^= 1) {
        const float before =
            p.inside && p.line >= d ? scan[from][static_cast<int>(threadIdx.x) - d * l.width] : 0;
        scan[from ^ 1][threadIdx.x] = scan[from][threadIdx.x] + before;
        __syncthreads();
      }
      if (t.any) {
        const float earlier =
            carry + (p.line > 0 ? scan[from][static_cast<int>(threadIdx.x) - l.width] : 0.0f);
        carry += scan[from][last_line];
#pragma unroll
        for (int j = 0; j < kRun; ++j)
          if (at[j] >= 0) y[at[j]] = from_float<T>(earlier + v[j]);
      }
      __syncthreads();
    }
  }
}

template <class T>
xlstm_status cumsum_fwd(const xlstm_cumsum_fwd_args& g, const xlstm_exec& exec) {
  if (g.outer * g.n * g.inner == 0) return XLSTM_OK;
  const Layout l = layout_of(g.outer, g.n, g.inner, 32, kRun);
  cumsum_kernel<<<grid_for(l.tasks, l.groups, kMostBlocks), kThreads, 0, stream_of(exec)>>>(
      l, g.reverse != 0, static_cast<const T*>(g.x), static_cast<T*>(g.y));
  return launched();
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_sum_fwd_workspace_cuda(const xlstm_sum_fwd_args* args) {
  return Cuda::workspace(args, xlstm_sum_fwd_check, [&](auto) {
    const int64_t slices = slices_of(*args);
    return slices == 1 ? 0 : slices * args->outer * args->inner * int64_t{sizeof(float)};
  });
}

xlstm_status xlstm_sum_fwd_cuda(const xlstm_sum_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(
      args, xlstm_sum_fwd_check, exec, xlstm_sum_fwd_workspace_cuda,
      [&](auto element) { return sum_fwd<typename decltype(element)::type>(*args, exec); });
}

xlstm_status xlstm_max_fwd_cuda(const xlstm_max_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_max_fwd_check, [&](auto element) {
    return max_fwd<typename decltype(element)::type>(*args, exec);
  });
}

xlstm_status xlstm_max_bwd_cuda(const xlstm_max_bwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_max_bwd_check, [&](auto element) {
    return max_bwd<typename decltype(element)::type>(*args, exec);
  });
}

xlstm_status xlstm_cumsum_fwd_cuda(const xlstm_cumsum_fwd_args* args, xlstm_exec exec) {
  return Cuda::run(args, xlstm_cumsum_fwd_check, [&](auto element) {
    return cumsum_fwd<typename decltype(element)::type>(*args, exec);
  });
}
