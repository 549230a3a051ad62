// The functions of one variable that elements pass through on the device.
#pragma once

#include <cmath>

namespace xlstm::kernels {

// float32 functions: accurate ones for float results; fast ones where the result is rounded to 16
// bits, of few instructions, for they would otherwise take longer than memory does: the relative
// error is below 2e-7 times max(1, |x|), that of tanh below 1e-5.
template <class T>
struct Math {
  static __device__ float exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  static __device__ float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  static __device__ float exp(float x) { return exp2(x * 1.4426950408889634f); }
  static __device__ float sigmoid(float x) {
    return reciprocal(1.0f + exp2(x * -1.4426950408889634f));
  }
  static __device__ float sigmoid_slope(float x) {
    const float e = exp(-fabsf(x)), s = reciprocal(1.0f + e);
    return e * s * s;
  }
  static __device__ float tanh(float x) {
    const float far = 1.0f - 2.0f * reciprocal(1.0f + exp2(x * 2.8853900817779268f));
    const float xx = x * x;  // near 0 the difference would cancel
    return xx < 2.5e-3f ? x + x * xx * (-0.33333333f + 0.13333333f * xx) : far;
  }
};
template <>
struct Math<float> {
  static __device__ float exp(float x) { return expf(x); }
  static __device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
  static __device__ float sigmoid_slope(float x) {
    const float e = expf(-fabsf(x));
    return e / ((1.0f + e) * (1.0f + e));
  }
  static __device__ float tanh(float x) { return tanhf(x); }
};

}  // namespace xlstm::kernels
