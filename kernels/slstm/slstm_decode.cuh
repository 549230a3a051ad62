// The products of a decoding step: a warp's part of the sums of the gates of 8 units and some rows
// of the batch. A turn of a warp is 32 elements of the input of a head, 8 of each of 8 rows a lane,
// so that no input needs to go from lane to lane before it meets the weights.
#pragma once

#include <type_traits>

#include "kernels/common/math.cuh"
#include "kernels/common/mma.cuh"
#include "kernels/common/values.cuh"
#include "kernels/slstm/slstm_decode.h"

namespace xlstm::kernels::decode {

using Args = xlstm_slstm_decode_args;

constexpr int kUnits = 8, kTileRows = 8, kGates = 4;
constexpr int kTurn = 32, kLane = 8;  // elements of the inputs: of a warp's turn, of a lane's part
// Of the warps, half sum up W u and W x, and half h R.
template <class T>
constexpr int kMostWarps = sizeof(T) == 2 ? 16 : 8;

// What a warp works on. D is below 2^28, or R would not fit any memory.
struct Place {
  int64_t head, unit, row;  // the first unit and the first row
  int warp, n_warps;        // among those of the same product
  // Where its i-th turn begins.
  __device__ int turn(int i) const { return (warp + i * n_warps) * kTurn; }
};

// A lane's part of a turn: row `row` of eight, elements from `at` on.
struct Part {
  int row = static_cast<int>(threadIdx.x % 32 / 4);
  int at = static_cast<int>(threadIdx.x % 4) * kLane;
};

// Eight neighbouring elements of which `left` exist; the others are zero. kPacked: all or none do,
// and they are aligned to 16 bytes.
template <bool kPacked, class S>
__device__ inline void load_part(const S* p, int left, float (&x)[kLane]) {
#pragma unroll
  for (int i = 0; i < kLane; ++i) x[i] = !kPacked && i < left ? to_float(p[i]) : 0.0f;
  if (kPacked && left > 0) load_values<kLane>(p, x);
}
template <class T>
__device__ inline uint4 words_of(const float (&x)[kLane]) {
  return make_uint4(word_of(x[0], x[1], T{}), word_of(x[2], x[3], T{}), word_of(x[4], x[5], T{}),
                    word_of(x[6], x[7], T{}));
}
// The same rounded to T, in words of two.
template <class T, bool kPacked, class S>
__device__ inline uint4 load_words(const S* p, int left) {
  if constexpr (kPacked && std::is_same_v<T, S>) {
    return left > 0 ? *reinterpret_cast<const uint4*>(p) : make_uint4(0, 0, 0, 0);
  } else {
    float x[kLane];
    load_part<kPacked>(p, left, x);
    return words_of<T>(x);
  }
}

// ---- the convolution ----

constexpr int kTaps = 4;  // of the path that loads whole vectors

// The state's input d >= 1 steps before x, from channel c on; null: zeros.
template <class T>
__device__ inline const T* input_before(const Args& a, int64_t b, int64_t d, int64_t c) {
  if (a.conv_init == nullptr) return nullptr;
  return static_cast<const T*>(a.conv_init) + (b * (a.KS - 1) + a.KS - 1 - d) * a.H * a.D + c;
}

// u of eight channels from c on, of which `left` exist, before the SiLU; `now`: x there.
template <class T, class W>
__device__ inline void convolve_vectors(const Args& a, int64_t b, int64_t c,
                                        const float (&now)[kLane], float (&u)[kLane]) {
  const auto taps = load_raw<kLane * kTaps>(static_cast<const W*>(a.conv_weight) + c * kTaps);
  load_part<true>(static_cast<const W*>(a.conv_bias) + c, a.conv_bias == nullptr ? 0 : kLane, u);
#pragma unroll
  for (int i = 0; i < kLane; ++i) u[i] = fmaf(taps[i * kTaps + kTaps - 1], now[i], u[i]);
#pragma unroll
  for (int d = 1; d < kTaps; ++d) {
    const T* from = input_before<T>(a, b, d, c);
    float before[kLane];
    load_part<true>(from, from == nullptr ? 0 : kLane, before);
#pragma unroll
    for (int i = 0; i < kLane; ++i) u[i] = fmaf(taps[i * kTaps + kTaps - 1 - d], before[i], u[i]);
  }
}
template <class T, class W>
__device__ inline void convolve_elements(const Args& a, int64_t b, int64_t c, int left,
                                         const float (&now)[kLane], float (&u)[kLane]) {
  const W* weight = static_cast<const W*>(a.conv_weight) + c * a.KS;
#pragma unroll
  for (int i = 0; i < kLane; ++i) {
    u[i] = 0;
    if (i >= left) continue;
    if (a.conv_bias != nullptr) u[i] = to_float(static_cast<const W*>(a.conv_bias)[c + i]);
    u[i] = fmaf(to_float(weight[i * a.KS + a.KS - 1]), now[i], u[i]);
    if (a.conv_init == nullptr) continue;
    for (int64_t d = 1; d < a.KS; ++d)
      u[i] = fmaf(to_float(weight[i * a.KS + a.KS - 1 - d]),
                  to_float(*input_before<T>(a, b, d, c + i)), u[i]);
  }
}

// x and u of row b of the batch, eight elements of the head from k on.
template <class T, class W, bool kPacked>
__device__ inline void load_inputs(const Args& a, int64_t head, int64_t b, int k, float (&x)[kLane],
                                   float (&u)[kLane]) {
  const int64_t c = head * a.D + k;
  const int left = b < a.B ? static_cast<int>(a.D) - k : 0;
  load_part<kPacked>(static_cast<const T*>(a.x) + b * a.H * a.D + c, left, x);
  if (a.KS == 0 || left <= 0) {
#pragma unroll
    for (int i = 0; i < kLane; ++i) u[i] = x[i];
    return;
  }
  if (kPacked && a.KS == kTaps) {
    convolve_vectors<T, W>(a, b, c, x, u);
  } else {
    convolve_elements<T, W>(a, b, c, left, x, u);
  }
#pragma unroll
  for (int i = 0; i < kLane; ++i) u[i] *= Math<T>::sigmoid(u[i]);
}

template <bool kPacked>
__device__ inline void load_h(const Args& a, int64_t head, int64_t b, int k, float (&h)[kLane]) {
  load_part<kPacked>(static_cast<const float*>(a.h_init) + (b * a.H + head) * a.D + k,
                     b < a.B ? static_cast<int>(a.D) - k : 0, h);
}

// ---- sums of 16-bit elements, on the tensor cores ----
//
// The weights are the left operand, two tiles of 16 rows for the 32 gates of 8 units, 8 rows of the
// batch the right one. Which element of a turn a lane holds in which place is free as long as both
// operands agree: lane l has those from 8 (l % 4) on, of x one row of the batch, of W one row of
// each gate, 16 bytes of memory in a row.

// Turns of a warp whose weights are on their way at once.
template <class T, class W, bool kPacked>
constexpr int kAhead = kPacked&& std::is_same_v<T, W> ? 2 : 1;

// Tile p of W: rows 0-7 gate 2 p, rows 8-15 gate 2 p + 1 of the units in order.
template <class T, class W, int C, bool kPacked>
__device__ inline void add_inputs(const Args& a, const Place& place, float (&sums)[2][C][4]) {
  constexpr int kTurns = kAhead<T, W, kPacked>;
  const Part part;
  const int D = static_cast<int>(a.D);
  const int64_t unit = place.unit + part.row < D ? place.unit + part.row : D - 1;  // or any
  const int64_t row = (place.head * D + unit) * D;
  for (int i = 0; place.turn(i) < D; i += kTurns) {
    uint4 w[kTurns][kGates];
#pragma unroll
    for (int s = 0; s < kTurns; ++s)
#pragma unroll
      for (int gate = 0; gate < kGates; ++gate) {
        const int k = place.turn(i + s) + part.at;
        w[s][gate] = load_words<T, kPacked>(static_cast<const W*>(a.W[gate]) + row + k, D - k);
      }
#pragma unroll
    for (int s = 0; s < kTurns; ++s) {
      if (place.turn(i + s) >= D) break;
#pragma unroll
      for (int c = 0; c < C; ++c) {
        float x[kLane], u[kLane];
        load_inputs<T, W, kPacked>(a, place.head, place.row + c * kTileRows + part.row,
                                   place.turn(i + s) + part.at, x, u);
        const uint4 right[2] = {words_of<T>(u), words_of<T>(x)};
#pragma unroll
        for (int p = 0; p < 2; ++p) {
          const uint4 &low = w[s][2 * p], &high = w[s][2 * p + 1], &b = right[p];
          multiply_16x8x16<T>(sums[p][c], make_uint4(low.x, high.x, low.y, high.y), b.x, b.y);
          multiply_16x8x16<T>(sums[p][c], make_uint4(low.z, high.z, low.w, high.w), b.z, b.w);
        }
      }
    }
  }
}

// Four neighbouring elements of which `left` exist, rounded to T, in words of two.
template <class T, bool kPacked, class S>
__device__ inline uint2 load_two_words(const S* p, int left) {
  if constexpr (kPacked && std::is_same_v<T, S>) {
    return left > 0 ? *reinterpret_cast<const uint2*>(p) : make_uint2(0, 0);
  } else {
    float x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = !kPacked && i < left ? to_float(p[i]) : 0.0f;
    if (kPacked && left > 0) load_values<4>(p, x);
    return make_uint2(word_of(x[0], x[1], T{}), word_of(x[2], x[3], T{}));
  }
}

// Two units of four elements: the first unit's elements in words of two, and the second's.
__device__ inline uint4 units_of(uint32_t e0, uint32_t e1, uint32_t e2, uint32_t e3) {
  return make_uint4(__byte_perm(e0, e1, 0x5410), __byte_perm(e0, e1, 0x7632),
                    __byte_perm(e2, e3, 0x5410), __byte_perm(e2, e3, 0x7632));
}

// R is dense along the units: a lane reads 4 units of one gate for each of its elements, and joins
// two elements of a unit in a word. Row r of tile p: gate r / 2, unit 4 (r % 2) + 2 p; row 8 + r
// the unit beside it.
template <class T, class W, int C, bool kPacked>
__device__ inline void add_recurrent(const Args& a, const Place& place, float (&sums)[2][C][4]) {
  constexpr int kTurns = kAhead<T, W, kPacked>;
  const Part part;
  const int D = static_cast<int>(a.D);
  const int64_t unit = place.unit + part.row % 2 * 4;
  const W* R = static_cast<const W*>(a.R) + (place.head * D * kGates + part.row / 2) * D + unit;
  const int n_units = static_cast<int>(D - unit);
  for (int i = 0; place.turn(i) < D; i += kTurns) {
    uint2 r[kTurns][kLane];
#pragma unroll
    for (int s = 0; s < kTurns; ++s)
#pragma unroll
      for (int j = 0; j < kLane; ++j) {
        const int k = place.turn(i + s) + part.at + j;
        r[s][j] = load_two_words<T, kPacked>(R + int64_t{k} * kGates * D, k < D ? n_units : 0);
      }
#pragma unroll
    for (int s = 0; s < kTurns; ++s) {
      if (place.turn(i + s) >= D) break;
#pragma unroll
      for (int c = 0; c < C; ++c) {
        float h[kLane];
        load_h<kPacked>(a, place.head, place.row + c * kTileRows + part.row,
                        place.turn(i + s) + part.at, h);
        const uint4 b = words_of<T>(h);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const uint2* e = &r[s][4 * half];
          const uint32_t b0 = half == 0 ? b.x : b.z, b1 = half == 0 ? b.y : b.w;
          multiply_16x8x16<T>(sums[0][c], units_of(e[0].x, e[1].x, e[2].x, e[3].x), b0, b1);
          multiply_16x8x16<T>(sums[1][c], units_of(e[0].y, e[1].y, e[2].y, e[3].y), b0, b1);
        }
      }
    }
  }
}

// The sums of a warp, [gates, units] x [rows of the batch]. Padded: lanes of a warp that write
// neighbouring units meet other banks.
template <int C>
using Sums = float[kGates * kUnits][C * kTileRows + 1];

template <class T, class W, int C, bool kPacked>
__device__ inline void sum_up(const Args& a, const Place& place, bool of_inputs, Sums<C>& out) {
  float sums[2][C][4] = {};
  if (of_inputs) {
    add_inputs<T, W, C, kPacked>(a, place, sums);
  } else if (a.h_init != nullptr) {
    add_recurrent<T, W, C, kPacked>(a, place, sums);
  }
  const int r = Part().row, column = static_cast<int>(threadIdx.x % 4) * 2;
#pragma unroll
  for (int p = 0; p < 2; ++p)
#pragma unroll
    for (int c = 0; c < C; ++c)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int gate = of_inputs ? 2 * p + i / 2 : r / 2;
        const int unit = of_inputs ? r : r % 2 * 4 + 2 * p + i / 2;
        out[gate * kUnits + unit][c * kTileRows + column + i % 2] = sums[p][c][i];
      }
}

}  // namespace xlstm::kernels::decode
