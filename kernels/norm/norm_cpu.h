// What the norms share on the CPU: blocks of rows, sums in a fixed order, and the arithmetic of one
// group of one row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace xlstm::kernels {

// Rows of one block, and blocks at most: enough for the threads of a large machine, few enough
// that the partial sums stay small.
inline constexpr int64_t kMinBlockRows = 16, kMaxBlocks = 64;
// Independent partial sums, so that additions need not wait for each other.
inline constexpr int64_t kSumLanes = 32;

struct Blocks {
  int64_t count, rows_each;
};

inline Blocks blocks_of(int64_t rows) {
  const int64_t wanted = std::clamp<int64_t>(rows / kMinBlockRows, 1, kMaxBlocks);
  const int64_t rows_each = std::max<int64_t>((rows + wanted - 1) / wanted, 1);
  return {(rows + rows_each - 1) / rows_each, rows_each};
}

// Sum of f(i) over [0, n), in double, by lanes that are added in order at the end.
template <class F>
inline double lane_sum(int64_t n, F f) {
  double lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes)
    for (int64_t j = 0; j < kSumLanes; ++j) lanes[j] += f(i + j);
  for (int64_t j = 0; i < n; ++i, ++j) lanes[j] += f(i);
  for (int64_t half = kSumLanes / 2; half > 0; half /= 2)
    for (int64_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  return lanes[0];
}

// Of one group. The mean in two parts: where it is large beside the spread, its own rounding would
// show.
template <class T>
struct GroupStatistics {
  T mean, mean_rest, rstd;
};

// Written to means[at] and rstds[at] too, where they are wanted.
template <class T, class Args>
GroupStatistics<T> group_statistics(const Args& a, const T* x, int64_t at) {
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
  if (a.subtract_mean && a.mean != nullptr) static_cast<T*>(a.mean)[at] = static_cast<T>(mean);
  if (a.rstd != nullptr) static_cast<T*>(a.rstd)[at] = static_cast<T>(rstd);
  const T high = static_cast<T>(mean);
  return {high, static_cast<T>(mean - static_cast<double>(high)), static_cast<T>(rstd)};
}

// Sums over a group, with d = x - base and g = dy * (offset + weight): of d, d^2, g and g d.
struct Moments {
  double d, dd, g, gd;
};
template <class T>
Moments moments(int64_t n, const T* x, const T* weight, const T* dy, double base, double offset) {
  constexpr int64_t kWide = 8;
  double d[kWide] = {}, dd[kWide] = {}, g[kWide] = {}, gd[kWide] = {};
  const auto add = [&](int64_t i, int64_t lane) {
    const double x_i = static_cast<double>(x[i]) - base;
    const double g_i = static_cast<double>(dy[i]) * (offset + static_cast<double>(weight[i]));
    d[lane] += x_i;
    dd[lane] += x_i * x_i;
    g[lane] += g_i;
    gd[lane] += g_i * x_i;
  };
  int64_t i = 0;
  for (; i + kWide <= n; i += kWide) {
#pragma omp simd
    for (int64_t j = 0; j < kWide; ++j) add(i + j, j);
  }
  for (int64_t j = 0; i < n; ++i, ++j) add(i, j);
  for (int64_t half = kWide / 2; half > 0; half /= 2)
    for (int64_t j = 0; j < half; ++j) {
      d[j] += d[j + half];
      dd[j] += dd[j + half];
      g[j] += g[j + half];
      gd[j] += gd[j + half];
    }
  return {d[0], dd[0], g[0], gd[0]};
}

// One group of one row: dx (with dsum added, unless that is null), and what it adds to the block's
// dweight and dbias. Outputs that are null are not wanted.
template <class T, class Args>
void backward_group(const Args& a, const T* x, const T* weight, const T* dy, const T* dsum, T* dx,
                    double* dweight, double* dbias, int64_t at) {
  const int64_t n = a.width;
  const T mean = a.subtract_mean ? static_cast<const T*>(a.mean)[at] : T(0);
  const T r = static_cast<const T*>(a.rstd)[at], one = a.one_plus ? T(1) : T(0);
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
  // dx is what two subtractions leave: what a layer below sums over it (a gate's bias) may be a
  // thousandth of it. So in double, with statistics of more digits than float ones have: the mean
  // differs from the stored one by that of x - mean.
  const double count = static_cast<double>(n), base = static_cast<double>(mean);
  const double offset = static_cast<double>(one);
  const Moments m = moments(n, x, weight, dy, base, offset);
  double correction = 0, wide_r = static_cast<double>(r);
  if constexpr (sizeof(T) == 4) {
    if (a.subtract_mean) correction = m.d / count;
    wide_r = 1 / std::sqrt(m.dd / count - correction * correction + a.eps);
  }
  const double shift = a.subtract_mean ? m.g / count : 0.0;
  // xhat mean(g xhat) = (x - base - correction) slope
  const double slope = wide_r * wide_r * (m.gd - correction * m.g) / count;
  const double constant = shift - correction * slope;
  const auto gradient = [=](int64_t i) {
    const double g = static_cast<double>(dy[i]) * (offset + static_cast<double>(weight[i]));
    return wide_r * (g - constant - (static_cast<double>(x[i]) - base) * slope);
  };
  if (dsum != nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      dx[i] = static_cast<T>(gradient(i) + static_cast<double>(dsum[i]));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dx[i] = static_cast<T>(gradient(i));
  }
}

// out[i] = sum over blocks, in order, of partial[block][which][i], i < D, of two sums a block.
template <class T>
void combine_blocks(const double* partial, int64_t n_blocks, int64_t D, int64_t which, T* out) {
#pragma omp parallel for schedule(static) if (n_blocks * D > 65536)
  for (int64_t i = 0; i < D; ++i) {
    double sum = 0;
    for (int64_t block = 0; block < n_blocks; ++block) sum += partial[(2 * block + which) * D + i];
    out[i] = static_cast<T>(sum);
  }
}

}  // namespace xlstm::kernels
