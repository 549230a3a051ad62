// The mLSTM equations of one time step, shared by every backend (C++17, host and device). mlstm.h
// states them; `double` carries the sums of log gates so that a long run of steps loses nothing.
#pragma once

#include <cmath>

#include "kernels/common/philox.h"  // XLSTM_HOST_DEVICE

namespace xlstm::kernels::mlstm {

// The exponent of exp(-m) stops here, below the overflow of float.
constexpr double kMaxFloorExponent = 80.0;

XLSTM_HOST_DEVICE inline double soft_capped(double x, double cap) {
  return cap > 0 ? cap * ::tanh(x / cap) : x;
}

// Stable for every finite x.
XLSTM_HOST_DEVICE inline double log_sigmoid(double x) {
  return (x < 0 ? x : 0.0) - ::log1p(::exp(-::fabs(x)));
}

template <class T>
struct StepGates {
  T forget;  // scales the old state
  T input;   // scales the new key
  T m;       // the new stabiliser
};

// m is rounded to T before the two scales are taken, so the state is exact for the m stored with
// it.
template <class T>
XLSTM_HOST_DEVICE inline StepGates<T> step_gates(T i, T f, T m_before, double cap,
                                                 bool sigmoid_input_gate) {
  const double log_f = log_sigmoid(soft_capped(static_cast<double>(f), cap));
  const double i_capped = soft_capped(static_cast<double>(i), cap);
  if (sigmoid_input_gate) {
    return {static_cast<T>(::exp(log_f)), static_cast<T>(::exp(log_sigmoid(i_capped))), T(0)};
  }
  const double decayed = log_f + static_cast<double>(m_before);
  const T m = static_cast<T>(decayed > i_capped ? decayed : i_capped);
  const double wide_m = static_cast<double>(m);
  return {static_cast<T>(::exp(decayed - wide_m)), static_cast<T>(::exp(i_capped - wide_m)), m};
}

// What |l| is held against: exp(-m), clamped. Written so that a NaN stays one.
template <class T>
XLSTM_HOST_DEVICE inline T floor_exponent(T m) {
  return -m > static_cast<T>(kMaxFloorExponent) ? static_cast<T>(kMaxFloorExponent) : -m;
}

// N = max(|l|, floor) + eps.
template <class T>
XLSTM_HOST_DEVICE inline T denominator(T l, T floor, T eps) {
  const T size = l < T(0) ? -l : l;
  return (size < floor ? floor : size) + eps;
}

// dL/dl = -sign(l) <dh, h> / N where |l| decides the maximum, else 0.
template <class T>
XLSTM_HOST_DEVICE inline T denominator_gradient(T l, T floor, T n, T dh_dot_h) {
  const T size = l < T(0) ? -l : l;
  if (!(size > floor)) return T(0);
  return (l < T(0) ? dh_dot_h : -dh_dot_h) / n;
}

// d/dx of cap * tanh(x / cap), from the capped value.
template <class T>
XLSTM_HOST_DEVICE inline T soft_cap_gradient(T capped, T cap) {
  return cap > T(0) ? T(1) - (capped / cap) * (capped / cap) : T(1);
}

}  // namespace xlstm::kernels::mlstm
