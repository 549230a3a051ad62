// What the forward and the backward on the CPU share: how the work is cut, and small copies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/common/lanes.h"
#include "kernels/common/types.h"
#include "kernels/common/vec_math.h"
#include "kernels/slstm/panel_product.h"

namespace xlstm::kernels {

// The functions that slstm_cell.h asks for.
struct SlstmVecMath {
  template <class T>
  static T exp_of_nonpositive(T x) {
    return vec::exp_of_nonpositive(x);
  }
  template <class T>
  static T log1p_of_fraction(T x) {
    return vec::log1p_of_fraction(x);
  }
  // The odd Taylor series below 1/2, (1 - t) / (1 + t) with t = e^{-2|x|} above.
  static float tanh(float x) {
    const float a = std::fabs(x), z = x * x;
    float p = 0.0035921280f;
    p = p * z - 0.0088632355f;
    p = p * z + 0.021869488f;
    p = p * z - 0.053968254f;
    p = p * z + 0.13333333f;
    p = p * z - 0.33333333f;
    const float small = x + x * z * p;
    const float t = vec::exp_of_nonpositive(-2.0f * a);
    const float big = std::copysign((1.0f - t) / (1.0f + t), x);
    return a < 0.5f ? small : big;
  }
  static double tanh(double x) { return std::tanh(x); }
  template <class T>
  static T divide(T a, T b) {
    return a / b;
  }
};

// The order in which one step of one unit is saved (slstm.h).
enum SlstmSaved : int64_t { kSavedC, kSavedN, kSavedI, kSavedF, kSavedZ, kSavedO, kSavedS };
inline constexpr int64_t kSavedArrays = 7;

// A task is one head and `rows` rows of the batch. A function of the shape alone, because the sums
// over the batch (dR, dbias) are taken tile by tile.
struct SlstmTiles {
  int64_t rows, tiles, tasks;
};

inline SlstmTiles slstm_tiles(int64_t B, int64_t H) {
  constexpr int64_t kRows = 8, kEnoughTasks = 64;
  SlstmTiles t{kRows, 0, 0};
  if (B == 0 || H == 0) return t;
  const int64_t wanted = std::clamp(kEnoughTasks / H, int64_t{1}, (B + kRows - 1) / kRows);
  t.rows = ((B + wanted - 1) / wanted + kRows - 1) / kRows * kRows;
  t.tiles = (B + t.rows - 1) / t.rows;
  t.tasks = t.tiles * H;
  return t;
}

// Hands out pieces of the workspace, each aligned to 64 bytes.
template <class T>
class SlstmCarver {
 public:
  explicit SlstmCarver(void* from) : at_(static_cast<T*>(from)) {}
  static constexpr int64_t rounded(int64_t n) {
    constexpr int64_t kStep = 64 / static_cast<int64_t>(sizeof(T));
    return (n + kStep - 1) / kStep * kStep;
  }
  T* take(int64_t n) {
    T* piece = at_;
    at_ += rounded(n);
    return piece;
  }

 private:
  T* at_;
};

template <class T>
inline void copy_row(T* to, const T* from, int64_t n) {
  for (int64_t j = 0; j < n; ++j) to[j] = from[j];
}
template <class T>
inline void zero_row(T* to, int64_t n) {
  for (int64_t j = 0; j < n; ++j) to[j] = T(0);
}

// Rows b0 .. b0 + rows - 1 of head h of a state [B, H, D] (null: zeros) into rows of width W >= D.
template <class T>
void load_state(T* to, int64_t W, const void* state, int64_t b0, int64_t rows, int64_t h, int64_t H,
                int64_t D) {
  zero_row(to, rows * W);
  if (state == nullptr) return;
  for (int64_t r = 0; r < rows; ++r)
    copy_row(to + r * W, static_cast<const T*>(state) + ((b0 + r) * H + h) * D, D);
}

// The way back; a null state is not wanted.
template <class T>
void store_state(void* state, const T* from, int64_t W, int64_t b0, int64_t rows, int64_t h,
                 int64_t H, int64_t D) {
  if (state == nullptr) return;
  for (int64_t r = 0; r < rows; ++r)
    copy_row(static_cast<T*>(state) + ((b0 + r) * H + h) * D, from + r * W, D);
}

}  // namespace xlstm::kernels
