// Each activation's value and slope, from one evaluation of its expensive part.
#pragma once

#include <cmath>

#include "kernels/activation/activation.h"
#include "kernels/common/vec_math.h"

namespace xlstm::kernels {

// value = act(x), slope = act'(x).
template <class T>
struct ValueAndSlope {
  T value, slope;
};

template <class T>
struct Silu {
  static T value(T x) { return x * vec::sigmoid(x); }
  static ValueAndSlope<T> both(T x) {
    const T s = vec::sigmoid(x);
    return {x * s, s * (T(1) + x * (T(1) - s))};
  }
};

template <class T>
struct Gelu {
  static constexpr T kRootHalf = T(0.70710678118654752440), kDensity = T(0.39894228040143267794);
  static T value(T x) { return T(0.5) * x * vec::erfc(-x * kRootHalf); }
  static ValueAndSlope<T> both(T x) {
    const T below = T(0.5) * vec::erfc(-x * kRootHalf);
    // For infinite x the density is 0, but infinity times 0 is not; far out both are the same.
    const T c = std::fabs(x) > T(40) ? std::copysign(T(40), x) : x;
    const T slope = below + c * kDensity * vec::exp(T(-0.5) * c * c);
    return {x * below, x == x ? slope : x};
  }
};

template <class T>
struct Relu {
  static T value(T x) { return x < T(0) ? T(0) : x; }
  static ValueAndSlope<T> both(T x) { return {value(x), x > T(0) ? T(1) : T(0)}; }
};

template <class T>
struct ReluSquared {
  static T value(T x) {
    const T r = Relu<T>::value(x);
    return r * r;
  }
  static ValueAndSlope<T> both(T x) {
    const T r = Relu<T>::value(x);
    return {r * r, T(2) * r};
  }
};

template <class T>
struct Sigmoid {
  static T value(T x) { return vec::sigmoid(x); }
  static ValueAndSlope<T> both(T x) {
    const T s = vec::sigmoid(x);
    return {s, s * (T(1) - s)};
  }
};

template <class T>
struct Selu {
  static constexpr T kScale = T(1.0507009873554804934), kAlpha = T(1.6732632423543772848);
  static T value(T x) {
    const T negative = kScale * kAlpha * vec::expm1(x);
    return x > T(0) ? kScale * x : negative;
  }
  static ValueAndSlope<T> both(T x) {
    const T negative = kScale * kAlpha * vec::expm1(x);
    return {x > T(0) ? kScale * x : negative, x > T(0) ? kScale : negative + kScale * kAlpha};
  }
};

// Calls f(functions of the activation in T).
template <class T, class F>
void with_activation(xlstm_activation activation, const F& f) {
  switch (activation) {
    case XLSTM_SILU:
      return f(Silu<T>{});
    case XLSTM_GELU:
      return f(Gelu<T>{});
    case XLSTM_RELU:
      return f(Relu<T>{});
    case XLSTM_RELU_SQUARED:
      return f(ReluSquared<T>{});
    case XLSTM_SIGMOID:
      return f(Sigmoid<T>{});
    case XLSTM_SELU:
      return f(Selu<T>{});
  }
}

}  // namespace xlstm::kernels
