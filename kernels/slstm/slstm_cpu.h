// What the forward and the backward on the CPU share: how the work is cut, and small copies.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/common/lanes.h"
#include "kernels/common/types.h"
#include "kernels/slstm/panel_product.h"

namespace xlstm::kernels {

// Functions of the cell over ranges that it is known to stay in, which makes them half as long as
// those of vec_math.h. NaN in gives NaN out.
struct SlstmVecMath {
  // e^x for x <= 0; below -87 it is 0.
  static float exp_of_nonpositive(float x) {
    constexpr float kLog2e = 1.44269504088896341f, kLn2Hi = 0.693359375f, kLn2Lo = -2.12194440e-4f;
    constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    const float c = x < -87.0f ? -87.0f : x;
    const float shifted = c * kLog2e + kShift;
    const float n = shifted - kShift;
    const float r = (c - n * kLn2Hi) - n * kLn2Lo;
    float p = 1.9841270e-4f;  // Taylor to degree 7
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666668e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    const int32_t power = (std::bit_cast<int32_t>(shifted) - 0x4B400000 + 127) << 23;
    const float y = p * std::bit_cast<float>(power);
    return x < -87.0f ? 0.0f : y;
  }
  static double exp_of_nonpositive(double x) { return std::exp(x); }

  // log(1 + e) for 0 <= e <= 1, as 2 atanh(e / (2 + e)): the series in z <= 1/9 to z^6.
  static float log1p_of_fraction(float e) {
    const float s = e / (2.0f + e), z = s * s;
    float p = 2.0f / 13;
    p = p * z + 2.0f / 11;
    p = p * z + 2.0f / 9;
    p = p * z + 2.0f / 7;
    p = p * z + 2.0f / 5;
    p = p * z + 2.0f / 3;
    return s * (p * z + 2.0f);
  }
  static double log1p_of_fraction(double e) { return std::log1p(e); }

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
    const float t = exp_of_nonpositive(-2.0f * a);
    const float big = std::copysign((1.0f - t) / (1.0f + t), x);
    return a < 0.5f ? small : big;
  }
  static double tanh(double x) { return std::tanh(x); }
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
