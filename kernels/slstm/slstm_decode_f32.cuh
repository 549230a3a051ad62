// The sums of a decoding step in float32, by multiply-adds: a lane has one gate of one unit and all
// rows of the batch, which it reads from the warp's shared memory.
#pragma once

#include "kernels/slstm/slstm_decode.cuh"

namespace xlstm::kernels::decode {

// A turn's inputs, u and x (or h alone), rows of the batch one after the other. Lanes read both at
// once, from different banks.
template <int C>
using Turn = float[2][C * kTileRows * kTurn + kTurn / 2];

// A lane's weights of a turn from element k0 on.
template <bool kPacked>
__device__ inline void load_weights(const Args& a, const Place& place, bool of_inputs, int k0,
                                    float (&w)[kTurn]) {
  const int gate = static_cast<int>(threadIdx.x % 32) / kUnits;
  const int64_t unit = place.unit + threadIdx.x % kUnits, head = place.head;
  if (of_inputs) {
    const float* row = static_cast<const float*>(a.W[gate]) +
                       (head * a.D + (unit < a.D ? unit : a.D - 1)) * a.D + k0;
#pragma unroll
    for (int j = 0; j < kTurn; j += kLane) {
      float part[kLane];
      load_part<kPacked>(row + j, static_cast<int>(a.D) - k0 - j, part);
#pragma unroll
      for (int i = 0; i < kLane; ++i) w[j + i] = part[i];
    }
    return;
  }
  const float* R =
      static_cast<const float*>(a.R) + ((head * a.D + k0) * kGates + gate) * a.D + unit;
#pragma unroll
  for (int j = 0; j < kTurn; ++j) w[j] = k0 + j < a.D && unit < a.D ? R[j * kGates * a.D] : 0.0f;
}

template <bool kPacked, int C>
__device__ inline void load_turn(const Args& a, const Place& place, bool of_inputs, int k0,
                                 Turn<C>& turn) {
  const Part part;
#pragma unroll
  for (int c = 0; c < C; ++c) {
    const int row = c * kTileRows + part.row, at = row * kTurn + part.at;
    float x[kLane], u[kLane];
    if (of_inputs) {
      load_inputs<float, float, kPacked>(a, place.head, place.row + row, k0 + part.at, x, u);
      store_values<kLane>(turn[1] + at, x);
    } else {
      load_h<kPacked>(a, place.head, place.row + row, k0 + part.at, u);
    }
    store_values<kLane>(turn[0] + at, u);
  }
}

template <int C, bool kPacked>
__device__ inline void sum_up(const Args& a, const Place& place, bool of_inputs, Turn<C>& turn,
                              Sums<C>& out) {
  const int lane = static_cast<int>(threadIdx.x % 32), gate = lane / kUnits;
  float sums[C * kTileRows] = {};
  const bool is_some = of_inputs || a.h_init != nullptr;
  for (int i = 0; is_some && place.turn(i) < a.D; ++i) {
    const int k0 = place.turn(i);
    float w[kTurn];
    load_weights<kPacked>(a, place, of_inputs, k0, w);
    __syncwarp();  // all lanes are done with the turn before
    load_turn<kPacked, C>(a, place, of_inputs, k0, turn);
    __syncwarp();
    const float* inputs = turn[of_inputs ? gate / 2 : 0];
#pragma unroll
    for (int j = 0; j < kTurn; j += 4)
#pragma unroll
      for (int r = 0; r < C * kTileRows; ++r) {
        float x[4];
        load_values<4>(inputs + r * kTurn + j, x);
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[r] = fmaf(w[j + e], x[e], sums[r]);
      }
  }
  __syncwarp();  // the turn and what comes out lie in one place
#pragma unroll
  for (int r = 0; r < C * kTileRows; ++r) out[lane][r] = sums[r];
}

}  // namespace xlstm::kernels::decode
