// Square blocks of 2, 4 or 8 channels, too small for a matrix product: a register holds several
// blocks side by side, and the weights are permuted so that they do too. In one register x,
// `spread<G, T, i>(x)` puts element i of every block of G on the whole block, so
//   y = sum_i w_i * spread<i>(x),  w_i[h G + o] = W[h, o, i].
#pragma once

#include <utility>

#include "kernels/common/lanes.h"

namespace xlstm::kernels::small_blocks {

template <int G, int i, class T, int... l>
inline Lanes<T> spread(const Lanes<T>& v, std::integer_sequence<int, l...>) {
  constexpr int kCount = sizeof...(l);  // blocks wider than a register compile but never run
  return __builtin_shufflevector(v, v, ((l / G * G + i) % kCount)...);
}

template <int G, class T, int i>
inline Lanes<T> spread(const Lanes<T>& v) {
  return spread<G, i, T>(v, std::make_integer_sequence<int, static_cast<int>(kLanes<T>)>{});
}

// f(i) for i = 0 .. G - 1 as constants, which a shuffle asks for.
template <int G, class F>
inline void for_each_constant(F f) {
  [&]<int... i>(std::integer_sequence<int, i...>) {
    (f(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, G>{});
}

// n < lanes elements; the rest is zero.
template <class T>
inline Lanes<T> load_some(const T* p, int64_t n) {
  Lanes<T> v{};
  std::memcpy(&v, p, static_cast<size_t>(n) * sizeof(T));
  return v;
}
template <class T>
inline void store_some(T* p, const Lanes<T>& v, int64_t n) {
  std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
}

// w [G, P] from W [H, G, G], P = H G rounded up to registers: w[i][h G + o] = W[h, o, i], or
// W[h, i, o] for the way back.
template <class T>
void permute(const T* W, int64_t H, int64_t G, bool way_back, T* w) {
  const int64_t P = whole_lanes<T>(H * G);
  for (int64_t i = 0; i < G; ++i) {
    for (int64_t l = 0; l < P; ++l) {
      const int64_t h = l / G, o = l % G;
      w[i * P + l] = l >= H * G ? T(0) : W[(h * G + (way_back ? i : o)) * G + (way_back ? o : i)];
    }
  }
}

// y [rows, C] = bias + the map of x [rows, C] for one register of channels from c. n = lanes unless
// the row ends inside it.
template <int G, class T, bool kWhole>
inline void map_register(int64_t rows, const T* x, int64_t x_stride, const T* w, int64_t P,
                         const T* bias, T* y, int64_t y_stride, int64_t c, int64_t n) {
  Lanes<T> weights[G];
  for (int i = 0; i < G; ++i) weights[i] = load_lanes(w + i * P + c);
  Lanes<T> start{};
  if (bias != nullptr) start = kWhole ? load_lanes(bias + c) : load_some(bias + c, n);
  for (int64_t r = 0; r < rows; ++r) {
    const T* from = x + r * x_stride + c;
    const Lanes<T> v = kWhole ? load_lanes(from) : load_some(from, n);
    Lanes<T> sum = start;
    for_each_constant<G>([&](auto i) { sum += weights[i] * spread<G, T, i>(v); });
    T* to = y + r * y_stride + c;
    if constexpr (kWhole) {
      store_lanes(to, sum);
    } else {
      store_some(to, sum, n);
    }
  }
}

// y = bias + the map of x, C = H G channels. w as `permute` makes it; bias may be null.
template <int G, class T>
void map_rows(int64_t rows, int64_t C, const T* x, int64_t x_stride, const T* w, const T* bias,
              T* y, int64_t y_stride) {
  constexpr int64_t kRows = 8;  // share the weights; few enough to be streams of the prefetcher
  const int64_t P = whole_lanes<T>(C), whole = C / kLanes<T> * kLanes<T>;
  for (int64_t r = 0; r < rows; r += kRows, x += kRows * x_stride, y += kRows * y_stride) {
    const int64_t here = rows - r < kRows ? rows - r : kRows;
    for (int64_t c = 0; c < whole; c += kLanes<T>)
      map_register<G, T, true>(here, x, x_stride, w, P, bias, y, y_stride, c, kLanes<T>);
    if (whole < C)
      map_register<G, T, false>(here, x, x_stride, w, P, bias, y, y_stride, whole, C - whole);
  }
}

// sums [G + 1, P]: row i += sum_rows dy * spread<i>(x) (dW permuted like w), row G += sum_rows dy.
// x may be null: then only the last row is summed.
template <int G, class T, bool kWhole>
inline void sum_register(int64_t rows, const T* x, int64_t x_stride, const T* dy, int64_t dy_stride,
                         T* sums, int64_t P, int64_t c, int64_t n) {
  Lanes<T> sum[G + 1];
  for (int i = 0; i <= G; ++i) sum[i] = load_lanes(sums + i * P + c);
  for (int64_t r = 0; r < rows; ++r) {
    const T* from = dy + r * dy_stride + c;
    const Lanes<T> d = kWhole ? load_lanes(from) : load_some(from, n);
    sum[G] += d;
    if (x == nullptr) continue;
    const T* in = x + r * x_stride + c;
    const Lanes<T> v = kWhole ? load_lanes(in) : load_some(in, n);
    for_each_constant<G>([&](auto i) { sum[i] += d * spread<G, T, i>(v); });
  }
  for (int i = 0; i <= G; ++i) store_lanes(sums + i * P + c, sum[i]);
}

template <int G, class T>
void sum_rows(int64_t rows, int64_t C, const T* x, int64_t x_stride, const T* dy, int64_t dy_stride,
              T* sums) {
  const int64_t P = whole_lanes<T>(C), whole = C / kLanes<T> * kLanes<T>;
  for (int64_t c = 0; c < whole; c += kLanes<T>)
    sum_register<G, T, true>(rows, x, x_stride, dy, dy_stride, sums, P, c, kLanes<T>);
  if (whole < C)
    sum_register<G, T, false>(rows, x, x_stride, dy, dy_stride, sums, P, whole, C - whole);
}

}  // namespace xlstm::kernels::small_blocks
