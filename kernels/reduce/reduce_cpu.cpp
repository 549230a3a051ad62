#include <algorithm>
#include <cstring>

#include "kernels/common/entry.h"
#include "kernels/common/nd_loop.h"
#include "kernels/reduce/reduce.h"

namespace xlstm::kernels {
namespace {

constexpr int64_t kColumns = 256;     // of `inner`, summed together in doubles on the stack
constexpr int64_t kTasksEnough = 32;  // no slicing of n beyond this many tasks
constexpr int64_t kMinSlice = 16384;  // elements worth a task of their own

// How a sum is cut into tasks: a function of the shape alone.
struct Slices {
  int64_t column_blocks, slices, length;
};

Slices plan_sum(int64_t outer, int64_t n, int64_t inner) {
  Slices s{(inner + kColumns - 1) / kColumns, 1, n};
  const int64_t tasks = outer * s.column_blocks;
  if (tasks == 0 || tasks >= kTasksEnough) return s;
  const int64_t columns = std::min(inner, kColumns);
  const int64_t most = std::max<int64_t>(1, n * columns / kMinSlice);
  s.slices = std::min((kTasksEnough + tasks - 1) / tasks, most);
  s.length = (n + s.slices - 1) / s.slices;
  return s;
}

// Sum of a dense run: a fixed number of lanes, so that it vectorises and rounds the same always.
template <class T>
double sum_run(const T* x, int64_t n) {
  constexpr int64_t kLanes = 16;
  double lanes[kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes) {
#pragma omp simd
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(x[k + j]);
  }
  double total = 0;
  for (const double lane : lanes) total += lane;
  for (; k < n; ++k) total += static_cast<double>(x[k]);
  return total;
}

// acc[i] = sum over rows of x[k * stride + i].
template <class T>
void sum_rows(const T* x, int64_t rows, int64_t stride, int64_t columns, double* acc) {
  std::fill_n(acc, columns, 0.0);
  for (int64_t k = 0; k < rows; ++k) {
    const T* row = x + k * stride;
#pragma omp simd
    for (int64_t i = 0; i < columns; ++i) acc[i] += static_cast<double>(row[i]);
  }
}

template <class T>
void sum_fwd(const xlstm_sum_fwd_args& g, double* partial) {
  const T* x = static_cast<const T*>(g.x);
  T* y = static_cast<T*>(g.y);
  const Slices s = plan_sum(g.outer, g.n, g.inner);
  const int64_t cells = g.outer * g.inner, tasks = g.outer * s.column_blocks * s.slices;
#pragma omp parallel for schedule(static) if (cells * g.n > kParallelElements)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t slice = task % s.slices, block = task / s.slices % s.column_blocks;
    const int64_t o = task / s.slices / s.column_blocks;
    const int64_t first = std::min(g.n, slice * s.length), i0 = block * kColumns;
    const int64_t rows = std::min(s.length, g.n - first),
                  columns = std::min(kColumns, g.inner - i0);
    const T* from = x + (o * g.n + first) * g.inner + i0;
    double acc[kColumns];
    if (g.inner == 1) {
      acc[0] = sum_run(from, rows);
    } else {
      sum_rows(from, rows, g.inner, columns, acc);
    }
    if (s.slices == 1) {
      for (int64_t i = 0; i < columns; ++i)
        y[o * g.inner + i0 + i] = static_cast<T>(g.factor * acc[i]);
    } else {
      std::copy_n(acc, columns, partial + slice * cells + o * g.inner + i0);
    }
  }
  if (s.slices == 1) return;
  for (int64_t c = 0; c < cells; ++c) {
    double total = 0;
    for (int64_t slice = 0; slice < s.slices; ++slice) total += partial[slice * cells + c];
    y[c] = static_cast<T>(g.factor * total);
  }
}

template <class T>
void max_fwd(const xlstm_max_fwd_args& g) {
  const T* x = static_cast<const T*>(g.x);
  T* y = static_cast<T*>(g.y);
  const int64_t cells = g.outer * g.inner;
#pragma omp parallel for schedule(static) if (cells * g.n > kParallelElements)
  for (int64_t c = 0; c < cells; ++c) {
    const T* from = x + c / g.inner * g.n * g.inner + c % g.inner;
    T best = from[0];
    int64_t at = 0;
    for (int64_t k = 1; k < g.n && best == best; ++k) {
      const T value = from[k * g.inner];
      if (value > best || value != value) {
        best = value;
        at = k;
      }
    }
    y[c] = best;
    g.index[c] = at;
  }
}

template <class T>
void max_bwd(const xlstm_max_bwd_args& g) {
  const T* dy = static_cast<const T*>(g.dy);
  T* dx = static_cast<T*>(g.dx);
#pragma omp parallel for schedule(static) if (g.outer * g.n * g.inner > kParallelElements)
  for (int64_t o = 0; o < g.outer; ++o) {
    T* to = dx + o * g.n * g.inner;
    std::fill_n(to, g.n * g.inner, T(0));
    for (int64_t i = 0; i < g.inner; ++i)
      to[g.index[o * g.inner + i] * g.inner + i] = dy[o * g.inner + i];
  }
}

template <class T>
void cumsum_fwd(const xlstm_cumsum_fwd_args& g) {
  const T* x = static_cast<const T*>(g.x);
  T* y = static_cast<T*>(g.y);
  const int64_t blocks = (g.inner + kColumns - 1) / kColumns;
#pragma omp parallel for schedule(static) if (g.outer * g.n * g.inner > kParallelElements)
  for (int64_t task = 0; task < g.outer * blocks; ++task) {
    const int64_t i0 = task % blocks * kColumns, columns = std::min(kColumns, g.inner - i0);
    const int64_t start = task / blocks * g.n * g.inner + i0;
    double acc[kColumns] = {};
    for (int64_t step = 0; step < g.n; ++step) {
      const int64_t at = start + (g.reverse != 0 ? g.n - 1 - step : step) * g.inner;
#pragma omp simd
      for (int64_t i = 0; i < columns; ++i) {
        acc[i] += static_cast<double>(x[at + i]);
        y[at + i] = static_cast<T>(acc[i]);
      }
    }
  }
}

}  // namespace
}  // namespace xlstm::kernels

using namespace xlstm::kernels;

int64_t xlstm_sum_fwd_workspace_cpu(const xlstm_sum_fwd_args* args) {
  return Cpu::workspace(args, xlstm_sum_fwd_check, [&](auto) {
    const Slices s = plan_sum(args->outer, args->n, args->inner);
    return s.slices == 1 ? 0 : s.slices * args->outer * args->inner * int64_t{sizeof(double)};
  });
}

xlstm_status xlstm_sum_fwd_cpu(const xlstm_sum_fwd_args* args, xlstm_exec exec) {
  return Cpu::run(
      args, xlstm_sum_fwd_check, exec, xlstm_sum_fwd_workspace_cpu,
      [&]<class T>(Element<T>) { sum_fwd<T>(*args, static_cast<double*>(exec.workspace)); });
}

xlstm_status xlstm_max_fwd_cpu(const xlstm_max_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_max_fwd_check, [&]<class T>(Element<T>) { max_fwd<T>(*args); });
}

xlstm_status xlstm_max_bwd_cpu(const xlstm_max_bwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_max_bwd_check, [&]<class T>(Element<T>) { max_bwd<T>(*args); });
}

xlstm_status xlstm_cumsum_fwd_cpu(const xlstm_cumsum_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_cumsum_fwd_check, [&]<class T>(Element<T>) { cumsum_fwd<T>(*args); });
}
