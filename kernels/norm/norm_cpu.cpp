#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/common/entry.h"
#include "kernels/norm/norm.h"

namespace {

using namespace xlstm::kernels;

// Rows of one block, and blocks at most: enough for the threads of a large machine, few enough
// that the partial sums stay small.
constexpr int64_t kMinBlockRows = 16, kMaxBlocks = 64;
// Independent partial sums, so that additions need not wait for each other.
constexpr int64_t kLanes = 32;

struct Blocks {
  int64_t count, rows_each;
};

Blocks blocks_of(int64_t rows) {
  const int64_t wanted = std::clamp<int64_t>(rows / kMinBlockRows, 1, kMaxBlocks);
  const int64_t rows_each = std::max<int64_t>((rows + wanted - 1) / wanted, 1);
  return {(rows + rows_each - 1) / rows_each, rows_each};
}

// Sum of f(i) over [0, n), in double, by lanes that are added in order at the end.
template <class F>
inline double lane_sum(int64_t n, F f) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += f(i + j);
  for (int64_t j = 0; i < n; ++i, ++j) lanes[j] += f(i);
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  return lanes[0];
}

template <class T>
void forward_group(const xlstm_norm_fwd_args& a, const T* x, const T* weight, const T* bias, T* y,
                   int64_t statistic) {
  const int64_t n = a.width;
  double mean = 0;
  if (a.subtract_mean)
    mean =
        lane_sum(n, [x](int64_t i) { return static_cast<double>(x[i]); }) / static_cast<double>(n);
  const double square_sum = lane_sum(n, [x, mean](int64_t i) {
    const double d = static_cast<double>(x[i]) - mean;
    return d * d;
  });
  const double rstd = 1.0 / std::sqrt(square_sum / static_cast<double>(n) + a.eps);
  if (a.subtract_mean && a.mean != nullptr)
    static_cast<T*>(a.mean)[statistic] = static_cast<T>(mean);
  if (a.rstd != nullptr) static_cast<T*>(a.rstd)[statistic] = static_cast<T>(rstd);
  // The mean in two parts: where it is large beside the spread, its own rounding would show.
  const T mean_high = static_cast<T>(mean);
  const T mean_low = static_cast<T>(mean - static_cast<double>(mean_high));
  const T r = static_cast<T>(rstd), one = a.one_plus ? T(1) : T(0);
  if (bias != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      y[i] = (x[i] - mean_high - mean_low) * r * (one + weight[i]) + bias[i];
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean_high - mean_low) * r * (one + weight[i]);
  }
}

// sum = x + y of n elements; sum may be either.
template <class T>
void add(const T* x, const T* y, T* sum, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) sum[i] = x[i] + y[i];
}

template <class T>
void forward(const xlstm_norm_fwd_args& a) {
  const Blocks blocks = blocks_of(a.rows);
  const int64_t D = a.groups * a.width;
  const T* x = static_cast<const T*>(a.x);
  const T* residual = static_cast<const T*>(a.residual);
  T* sum = static_cast<T*>(a.sum);
  const T* weight = static_cast<const T*>(a.weight);
  const T* bias = static_cast<const T*>(a.bias);
  T* y = static_cast<T*>(a.y);
#pragma omp parallel for schedule(static) if (a.rows * D > 16384)
  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t end = std::min(a.rows, (block + 1) * blocks.rows_each);
    for (int64_t row = block * blocks.rows_each; row < end; ++row) {
      const T* normalised = x + row * a.x_stride_row;
      if (residual != nullptr) {
        T* const to = sum + row * a.sum_stride_row;
        add(normalised, residual + row * a.residual_stride_row, to, D);
        normalised = to;
      }
      for (int64_t group = 0; group < a.groups; ++group) {
        const int64_t at = group * a.width;
        forward_group<T>(a, normalised + at, weight + at, bias == nullptr ? nullptr : bias + at,
                         y + row * a.y_stride_row + at, row * a.groups + group);
      }
    }
  }
}

// One group of one row: dx, and what it adds to the block's dweight and dbias.
template <class T>
void backward_group(const xlstm_norm_bwd_args& a, const T* x, const T* weight, const T* dy,
                    const T* dsum, T* dx, double* dweight, double* dbias, int64_t statistic) {
  const int64_t n = a.width;
  const T mean = a.subtract_mean ? static_cast<const T*>(a.mean)[statistic] : T(0);
  const T r = static_cast<const T*>(a.rstd)[statistic], one = a.one_plus ? T(1) : T(0);
  // dweight and dbias first: dx may be written over dy or x.
  if (dweight != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dweight[i] += static_cast<double>(dy[i] * ((x[i] - mean) * r));
  }
  if (dbias != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dbias[i] += static_cast<double>(dy[i]);
  }
  if (dx == nullptr) return;
  const double count = static_cast<double>(n);
  double mean_g = 0;
  if (a.subtract_mean)
    mean_g =
        lane_sum(n, [=](int64_t i) { return static_cast<double>(dy[i] * (one + weight[i])); }) /
        count;
  const double mean_gx =
      lane_sum(n,
               [=](int64_t i) {
                 return static_cast<double>(dy[i] * (one + weight[i]) * ((x[i] - mean) * r));
               }) /
      count;
  const T shift = static_cast<T>(mean_g), slope = static_cast<T>(mean_gx);
  if (dsum != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      dx[i] = r * (dy[i] * (one + weight[i]) - shift - (x[i] - mean) * r * slope) + dsum[i];
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      dx[i] = r * (dy[i] * (one + weight[i]) - shift - (x[i] - mean) * r * slope);
  }
}

// partial: [blocks, 2, D], the blocks' dweight and dbias.
template <class T>
void backward_blocks(const xlstm_norm_bwd_args& a, const Blocks& blocks, double* partial) {
  const int64_t D = a.groups * a.width;
  const T* x = static_cast<const T*>(a.x);
  const T* weight = static_cast<const T*>(a.weight);
  const T* dy = static_cast<const T*>(a.dy);
  const T* dsum = static_cast<const T*>(a.dsum);
  T* dx = static_cast<T*>(a.dx);
#pragma omp parallel for schedule(static) if (a.rows * D > 16384)
  for (int64_t block = 0; block < blocks.count; ++block) {
    double* dweight = a.dweight == nullptr ? nullptr : partial + 2 * block * D;
    double* dbias = a.dbias == nullptr ? nullptr : partial + (2 * block + 1) * D;
    if (dweight != nullptr) std::fill_n(dweight, D, 0.0);
    if (dbias != nullptr) std::fill_n(dbias, D, 0.0);
    const int64_t end = std::min(a.rows, (block + 1) * blocks.rows_each);
    for (int64_t row = block * blocks.rows_each; row < end; ++row) {
      for (int64_t group = 0; group < a.groups; ++group) {
        const int64_t at = group * a.width;
        backward_group<T>(a, x + row * a.x_stride_row + at, weight + at,
                          dy + row * a.dy_stride_row + at,
                          dsum == nullptr ? nullptr : dsum + row * a.dsum_stride_row + at,
                          dx == nullptr ? nullptr : dx + row * a.dx_stride_row + at,
                          dweight == nullptr ? nullptr : dweight + at,
                          dbias == nullptr ? nullptr : dbias + at, row * a.groups + group);
      }
    }
  }
}

// out[i] = sum over blocks, in order. `which` is 0 for dweight, 1 for dbias.
template <class T>
void combine(const double* partial, int64_t n_blocks, int64_t D, int64_t which, T* out) {
#pragma omp parallel for schedule(static) if (n_blocks * D > 65536)
  for (int64_t i = 0; i < D; ++i) {
    double sum = 0;
    for (int64_t block = 0; block < n_blocks; ++block) sum += partial[(2 * block + which) * D + i];
    out[i] = static_cast<T>(sum);
  }
}

template <class T>
void backward(const xlstm_norm_bwd_args& a, double* partial) {
  const int64_t D = a.groups * a.width;
  const Blocks blocks = a.rows == 0 ? Blocks{0, 1} : blocks_of(a.rows);
  backward_blocks<T>(a, blocks, partial);
  if (a.dweight != nullptr) combine(partial, blocks.count, D, 0, static_cast<T*>(a.dweight));
  if (a.dbias != nullptr) combine(partial, blocks.count, D, 1, static_cast<T*>(a.dbias));
}

}  // namespace

xlstm_status xlstm_norm_fwd_cpu(const xlstm_norm_fwd_args* args, xlstm_exec) {
  return Cpu::run(args, xlstm_norm_fwd_check, [&]<class T>(Element<T>) {
    if (args->rows > 0 && args->groups > 0 && args->width > 0) forward<T>(*args);
  });
}

int64_t xlstm_norm_bwd_workspace_cpu(const xlstm_norm_bwd_args* args) {
  return Cpu::workspace(args, xlstm_norm_bwd_check, [&](auto) {
    if (args->dweight == nullptr && args->dbias == nullptr) return int64_t{0};
    return blocks_of(args->rows).count * 2 * args->groups * args->width * int64_t{sizeof(double)};
  });
}

xlstm_status xlstm_norm_bwd_cpu(const xlstm_norm_bwd_args* args, xlstm_exec exec) {
  return Cpu::run(args, xlstm_norm_bwd_check, exec, xlstm_norm_bwd_workspace_cpu,
                  [&]<class T>(Element<T>) {
                    if (args->groups > 0 && args->width > 0)
                      backward<T>(*args, static_cast<double*>(exec.workspace));
                  });
}
