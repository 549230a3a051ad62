// C += A B for a few rows of A and a B that is used again at every time step, so that it is worth
// having it lie as panels: columns in groups of one SIMD register.
//
// Every element of C is one chain of multiply-adds in the order of k, whatever the number of rows,
// so a row's result does not depend on the rows beside it.
#pragma once

#include "kernels/common/lanes.h"

namespace xlstm::kernels {

// Element (k, column) lies at data[column / lanes * panel_stride + k * row_stride + column %
// lanes].
template <class T>
struct Panels {
  const T* data;
  int64_t panel_stride, row_stride;
};

// Element (row, k) lies at data[row * row_stride + k * k_stride].
template <class T>
struct Rows {
  const T* data;
  int64_t row_stride, k_stride;
};

namespace panel_detail {

// R rows, V panels from the first; C has kLanes columns per panel.
template <class T, int R, int V>
inline void block(int64_t K, const Rows<T>& a, const Panels<T>& b, int64_t panel, T* C,
                  int64_t ldc) {
  constexpr int64_t kWidth = kLanes<T>;
  Lanes<T> sum[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sum[r][v] = load_lanes(C + r * ldc + v * kWidth);
  const T* from = b.data + panel * b.panel_stride;
  const T* at = a.data;
  for (int64_t k = 0; k < K; ++k, from += b.row_stride, at += a.k_stride) {
    Lanes<T> column[V];
    for (int v = 0; v < V; ++v) column[v] = load_lanes(from + v * b.panel_stride);
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) sum[r][v] += at[r * a.row_stride] * column[v];
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store_lanes(C + r * ldc + v * kWidth, sum[r][v]);
}

template <class T, int R>
inline void rows(int64_t K, int64_t n_panels, const Rows<T>& a, const Panels<T>& b, T* C,
                 int64_t ldc) {
  constexpr int kMost = R >= 3 ? 2 : 4;  // panels at once: enough sums in flight, none spilled
  int64_t p = 0;
  for (; p + kMost <= n_panels; p += kMost) block<T, R, kMost>(K, a, b, p, C + p * kLanes<T>, ldc);
  for (; p < n_panels; ++p) block<T, R, 1>(K, a, b, p, C + p * kLanes<T>, ldc);
}

}  // namespace panel_detail

// C [n_rows, n_panels * lanes] += A B, rows of C ldc apart.
template <class T>
void panel_product(int64_t n_rows, int64_t K, int64_t n_panels, Rows<T> a, const Panels<T>& b, T* C,
                   int64_t ldc) {
  constexpr int64_t kRows = kLaneBytes == 64 ? 8 : 4;
  using namespace panel_detail;
  for (int64_t r = 0; r < n_rows; r += kRows, a.data += kRows * a.row_stride, C += kRows * ldc) {
    switch (n_rows - r < kRows ? n_rows - r : kRows) {
      case 1:
        rows<T, 1>(K, n_panels, a, b, C, ldc);
        break;
      case 2:
        rows<T, 2>(K, n_panels, a, b, C, ldc);
        break;
      case 3:
        rows<T, 3>(K, n_panels, a, b, C, ldc);
        break;
      case 4:
        rows<T, 4>(K, n_panels, a, b, C, ldc);
        break;
      case 5:
        rows<T, 5>(K, n_panels, a, b, C, ldc);
        break;
      case 6:
        rows<T, 6>(K, n_panels, a, b, C, ldc);
        break;
      case 7:
        rows<T, 7>(K, n_panels, a, b, C, ldc);
        break;
      default:
        rows<T, 8>(K, n_panels, a, b, C, ldc);
        break;
    }
  }
}

}  // namespace xlstm::kernels
