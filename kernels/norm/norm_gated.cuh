// The gate of a norm on the device.
#pragma once

#include "kernels/common/math.cuh"
#include "kernels/norm/norm_gated.h"

namespace xlstm::kernels {

// act(z) and act'(z). SiLU is z times the sigmoid: the choice costs a multiplication, no branch.
struct GateValue {
  float value, slope;
};
template <class T>
__device__ inline GateValue gate_at(float z, bool silu) {
  const float s = Math<T>::sigmoid(z), factor = silu ? z : 1.0f;
  return {s * factor, s * (factor * (1.0f - s) + (silu ? 1.0f : 0.0f))};
}

// Packs of a run that are held at most, forward and backward.
constexpr int64_t kMostGatedPacks = 256;

// What is added to xhat * scale: a weight times the skip's element, or the weight alone.
template <class Args>
const void* shift_weight(const Args& a) {
  return a.skip_weight != nullptr ? a.skip_weight : a.bias;
}

}  // namespace xlstm::kernels
