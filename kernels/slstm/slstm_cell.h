// The sLSTM cell: one unit, one time step, forward and backward. The only place that has these
// equations. `Math` gives exp_of_nonpositive (x <= 0), log1p_of_fraction (0 <= x <= 1), tanh and
// divide of T, so that every backend brings its own.
#pragma once

#include "kernels/common/philox.h"  // XLSTM_HOST_DEVICE

namespace xlstm::kernels {

// What one step leaves: the new state, h before any clamp, and what the backward wants.
template <class T>
struct SlstmStep {
  T c, n, m, h;
  T i, f, z, o;       // i' = e^{g_i - m}, f' = e^{l - m}, tanh(g_z), sigmoid(g_o)
  T one_minus_sig_f;  // sigmoid(-g_f), the derivative of log sigmoid at g_f
};

template <class T>
struct SlstmStepGrad {
  T i, f, z, o;  // gradients of the four pre-activations
  T c, n;        // gradients of the state before the step
};

// g_*: pre-activations with the recurrent part and the bias; c, n, m: the state before the step.
template <class T, class Math>
XLSTM_HOST_DEVICE inline SlstmStep<T> slstm_cell_forward(T g_i, T g_f, T g_z, T g_o, T c, T n,
                                                         T m) {
  const T one = T(1), zero = T(0);
  const T abs_f = g_f < zero ? -g_f : g_f;
  const T e_f = Math::exp_of_nonpositive(-abs_f);
  const T inv_f = Math::divide(one, one + e_f);
  const T l = m + ((g_f < zero ? g_f : zero) - Math::log1p_of_fraction(e_f));
  // One of i' and f' is always 1, so one exponential serves both. A fresh unit (n == 0) takes
  // m = g_i whatever l is; then f' is cut at 1 and multiplies zeros.
  const T d = g_i - l;
  const T q = Math::exp_of_nonpositive(d < zero ? d : -d);
  const bool fresh = n == zero;
  const T abs_o = g_o < zero ? -g_o : g_o;
  const T e_o = Math::exp_of_nonpositive(-abs_o);
  const T inv_o = Math::divide(one, one + e_o);
  SlstmStep<T> s;
  s.i = ((d >= zero) | fresh) ? one : q;
  s.f = d >= zero ? q : one;
  s.m = ((d >= zero) | fresh) ? g_i : l;
  s.z = Math::tanh(g_z);
  s.o = g_o < zero ? e_o * inv_o : inv_o;
  s.one_minus_sig_f = g_f < zero ? inv_f : e_f * inv_f;
  s.c = s.f * c + s.i * s.z;
  s.n = s.f * n + s.i;
  s.h = s.o * Math::divide(s.c, s.n);
  return s;
}

// s: c, n, i, f, z, o, one_minus_sig_f of the step (m and h are not read); c_before, n_before: the
// state before it; dh: the whole gradient of h_t; dc, dn: gradients of c_t and n_t from later.
// The gradient through m cancels identically, so m is a constant here.
template <class T, class Math>
XLSTM_HOST_DEVICE inline SlstmStepGrad<T> slstm_cell_backward(const SlstmStep<T>& s, T c_before,
                                                              T n_before, T dh, T dc, T dn) {
  const T one = T(1);
  const T o_over_n = Math::divide(s.o, s.n);
  const T h = o_over_n * s.c;
  const T dc_t = dc + dh * o_over_n;
  const T dn_t = dn - Math::divide(dh * h, s.n);
  SlstmStepGrad<T> g;
  g.i = s.i * (s.z * dc_t + dn_t);
  g.f = s.f * (c_before * dc_t + n_before * dn_t) * s.one_minus_sig_f;
  g.z = s.i * dc_t * ((one - s.z) * (one + s.z));
  g.o = dh * h * (one - s.o);
  g.c = s.f * dc_t;
  g.n = s.f * dn_t;
  return g;
}

}  // namespace xlstm::kernels
