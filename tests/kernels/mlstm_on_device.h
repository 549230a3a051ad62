// What the tests of the mLSTM on CUDA share: a case in device memory, calls with just the workspace
// that they ask for, tolerances.
#pragma once

#include <array>
#include <string>

#include "tests/cuda_device.h"
#include "tests/kernels/mlstm_case.h"

namespace xlstm::mlstm_test {

using test::DeviceArray;

struct Tolerance {
  double forward, gradient, gate;
};
// Frobenius. A 16-bit product rounds the weighted scores and the states besides the result; the
// gradients of gates are differences of sums of such products.
inline Tolerance tolerance_of(xlstm_dtype dtype) {
  return dtype == XLSTM_F32    ? Tolerance{1e-5, 2e-5, 5e-5}
         : dtype == XLSTM_BF16 ? Tolerance{4e-3, 8e-3, 1e-2}
                               : Tolerance{1e-3, 2e-3, 2.5e-3};
}

// The case with values that the types can hold.
inline Case<double> rounded(Case<double> c, xlstm_dtype dtype, xlstm_dtype gate_dtype) {
  for (auto* x : {&c.q, &c.k, &c.v, &c.dh}) *x = test::rounded(*x, dtype);
  for (auto* x : {&c.i, &c.f}) *x = test::rounded(*x, gate_dtype);
  for (auto* x : {&c.C0, &c.n0, &c.m0, &c.dC, &c.dn}) *x = test::rounded(*x, XLSTM_F32);
  return c;
}

// A case on the device. Absent inputs stay null.
struct OnDevice {
  const Case<double>& c;
  xlstm_mlstm_config config;
  xlstm_dtype dtype, gate_dtype;
  DeviceArray q, k, v, i, f, C0, n0, m0, dh, dC, dn, reset;
  DeviceArray h, C, n, m, saved_m, saved_l;
  DeviceArray dq, dk, dv, di, df, dC0, dn0, dm0;

  OnDevice(const Case<double>& values, xlstm_dtype type, xlstm_dtype gate_type)
      : c(values), config(values.config), dtype(type), gate_dtype(gate_type) {
    config.dtype = dtype;
    config.gate_dtype = gate_dtype;
    const auto [B, T, H, K, V] = std::array{config.B, config.T, config.H, config.K, config.V};
    for (auto [to, from] : {std::pair{&q, &c.q}, {&k, &c.k}, {&v, &c.v}, {&dh, &c.dh}})
      *to = DeviceArray(*from, dtype);
    i = DeviceArray(c.i, gate_dtype);
    f = DeviceArray(c.f, gate_dtype);
    for (auto [to, from] :
         {std::pair{&C0, &c.C0}, {&n0, &c.n0}, {&m0, &c.m0}, {&dC, &c.dC}, {&dn, &c.dn}})
      *to = DeviceArray(*from, XLSTM_F32);
    reset = DeviceArray::of(c.reset);
    h = DeviceArray(B * T * H * V, dtype);
    for (auto [to, size] : {std::pair{&C, B * H * K * V},
                            {&n, B * H * K},
                            {&m, B * H},
                            {&saved_m, B * H * T},
                            {&saved_l, B * H * T},
                            {&dC0, B * H * K * V},
                            {&dn0, B * H * K},
                            {&dm0, B * H}})
      *to = DeviceArray(size, XLSTM_F32);
    dq = DeviceArray(B * T * H * K, dtype);
    dk = DeviceArray(B * T * H * K, dtype);
    dv = DeviceArray(B * T * H * V, dtype);
    di = DeviceArray(B * T * H, gate_dtype);
    df = DeviceArray(B * T * H, gate_dtype);
  }

  static void* maybe(const DeviceArray& x) { return x.n_bytes() == 0 ? nullptr : x.get(); }

  template <class Args>
  void set_inputs(Args& a) const {
    a.config = config;
    a.q = q;
    a.k = k;
    a.v = v;
    a.i = i;
    a.f = f;
    a.q_stride = a.k_stride = c.rows(config.K);
    a.v_stride = a.h_stride = c.rows(config.V);
    a.i_stride = a.f_stride = c.rows(1);
    a.reset = static_cast<const uint8_t*>(maybe(reset));
    a.C0 = maybe(C0);
    a.n0 = maybe(n0);
    a.m0 = maybe(m0);
  }
  xlstm_mlstm_fwd_args forward_args() const {
    xlstm_mlstm_fwd_args a{};
    set_inputs(a);
    a.h = h;
    a.C = C;
    a.n = n;
    a.m = m;
    a.saved_m = saved_m;
    a.saved_l = saved_l;
    return a;
  }
  xlstm_mlstm_bwd_args backward_args() const {
    xlstm_mlstm_bwd_args a{};
    set_inputs(a);
    a.h = h;
    a.dh = maybe(dh);
    a.dh_stride = c.rows(config.V);
    a.saved_m = saved_m;
    a.saved_l = saved_l;
    a.dC = maybe(dC);
    a.dn = maybe(dn);
    a.dq = dq;
    a.dk = dk;
    a.dv = dv;
    a.di = di;
    a.df = df;
    a.dq_stride = a.dk_stride = c.rows(config.K);
    a.dv_stride = c.rows(config.V);
    a.di_stride = a.df_stride = c.rows(1);
    a.dC0 = dC0;
    a.dn0 = dn0;
    a.dm0 = dm0;
    return a;
  }
};

inline xlstm_status run(const xlstm_mlstm_fwd_args& a) {
  const DeviceArray workspace = DeviceArray::bytes(xlstm_mlstm_fwd_workspace_cuda(&a));
  return xlstm_mlstm_fwd_cuda(&a, {nullptr, workspace, workspace.n_bytes(), nullptr});
}
inline xlstm_status run(const xlstm_mlstm_bwd_args& a) {
  const DeviceArray workspace = DeviceArray::bytes(xlstm_mlstm_bwd_workspace_cuda(&a));
  return xlstm_mlstm_bwd_cuda(&a, {nullptr, workspace, workspace.n_bytes(), nullptr});
}

// Whether the variant that the case asks for computes it here.
inline bool computes(const OnDevice& d) {
  const auto forward = d.forward_args();
  const auto backward = d.backward_args();
  return xlstm_mlstm_fwd_variant_cuda(&forward) != std::string("none") &&
         xlstm_mlstm_bwd_variant_cuda(&backward) != std::string("none");
}

}  // namespace xlstm::mlstm_test
