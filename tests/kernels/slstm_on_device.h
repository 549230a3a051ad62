// What the tests of the sLSTM on CUDA share: cases, their results on the CPU in float64, a case in
// device memory in any layout, calls with just the workspace that they ask for.
#pragma once

#include <array>
#include <string>

#include "kernels/slstm/slstm.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::slstm_test {

using test::DeviceArray;
using test::Types;
using Values = std::vector<double>;

constexpr Types kF32{XLSTM_F32, XLSTM_F32}, kBf16{XLSTM_BF16, XLSTM_BF16},
    kF16{XLSTM_F16, XLSTM_F16}, kBf16WithF32{XLSTM_BF16, XLSTM_F32},
    kF16WithF32{XLSTM_F16, XLSTM_F32};

struct Sizes {
  int64_t B, T, H, D;
  int64_t state() const { return B * H * D; }
  int64_t h() const { return B * T * H * D; }
  int64_t R() const { return H * D * 4 * D; }
  int64_t bias() const { return H * 4 * D; }
};

// As test::normal, but blocks of it are drawn beside each other: the weights of a large head
// are millions.
inline Values normal(int64_t n, uint64_t seed, double std, double mean = 0) {
  constexpr int64_t kBlock = 1 << 16;
  Values x(static_cast<size_t>(n));
#pragma omp parallel for schedule(dynamic) if (n > kBlock)
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const auto block = static_cast<uint64_t>(begin / kBlock);
    const Values part = test::normal(std::min(kBlock, n - begin), seed + (block << 32), std, mean);
    std::copy(part.begin(), part.end(), x.begin() + begin);
  }
  return x;
}

// Everything contiguous in the order of the header; empty means null.
struct Case {
  Sizes s;
  Values wx, R, bias, h0, c0, n0, m0, dh, dhT, dcT, dnT;
  std::vector<uint8_t> reset;
  double forward_clip = 0, recurrent_clip = 0;
  int recurrent_cut = 0;

  // R is calm enough that rounding errors do not grow over time. Every tenth step or so is a reset.
  static Case random(Sizes s, uint64_t seed = 1) {
    auto draw = [next = seed * 100](int64_t n, double std, double mean = 0) mutable {
      return normal(n, next++, std, mean);
    };
    Case c;
    c.s = s;
    c.wx = draw(4 * s.h(), 1);
    c.R = draw(s.R(), 0.5 / std::sqrt(static_cast<double>(s.D)));
    c.bias = draw(s.bias(), 0.5, 0.3);
    c.h0 = draw(s.state(), 0.4);
    c.c0 = draw(s.state(), 1);
    c.n0 = draw(s.state(), 0.3);
    for (double& x : c.n0) x = 1 + std::abs(x);
    c.m0 = draw(s.state(), 1);
    c.dh = draw(s.h(), 1);
    c.dhT = draw(s.state(), 1);
    c.dcT = draw(s.state(), 1);
    c.dnT = draw(s.state(), 1);
    std::mt19937_64 engine(seed);
    for (int64_t i = 0; i < s.B * s.T; ++i) c.reset.push_back(engine() % 10 == 0);
    return c;
  }
  Case without_options() const {
    Case c = *this;
    c.bias = c.h0 = c.c0 = c.n0 = c.m0 = c.dhT = c.dcT = c.dnT = {};
    c.reset = {};
    return c;
  }
  // With values that the types can hold. The product takes R rounded to the short type.
  Case rounded(const Types& types) const {
    Case c = *this;
    const std::array arrays{&c.wx, &c.R,  &c.dh,  &c.bias, &c.h0, &c.c0,
                            &c.n0, &c.m0, &c.dhT, &c.dcT,  &c.dnT};
#pragma omp parallel for schedule(dynamic) if (s.R() + 4 * s.h() > 1 << 16)
    for (size_t i = 0; i < arrays.size(); ++i)
      *arrays[i] = test::rounded(*arrays[i], i < 3    ? types.dtype
                                             : i == 3 ? types.weights
                                                      : XLSTM_F32);
    return c;
  }
  // With values that all of these types can hold: the CPU then has the truth for all of them at
  // once. (What bfloat16 holds is in bfloat16 still after rounding to float16.)
  Case rounded(const std::vector<Types>& all) const {
    Case c = *this;
    for (const Types& types : all) c = c.rounded(types);
    return c;
  }
};

struct Results {
  Values h, hT, cT, nT, mT, dwx, dR, dbias, dh0, dc0, dn0, dm0;
};

// What both directions and both backends have in common.
template <class Args>
void set_case(Args& a, const Case& c, const Types& types) {
  a.dtype = types.dtype;
  a.weight_dtype = types.weights;
  a.B = c.s.B;
  a.T = c.s.T;
  a.H = c.s.H;
  a.D = c.s.D;
}

inline Results on_cpu(const Case& c) {
  const Sizes& s = c.s;
  const auto maybe = [](const auto& x) { return x.empty() ? nullptr : x.data(); };
  const auto array = [](int64_t n) { return Values(static_cast<size_t>(n)); };
  Results r{array(s.h()),     array(s.state()), array(s.state()), array(s.state()),
            array(s.state()), array(4 * s.h()), array(s.R()),     array(s.bias()),
            array(s.state()), array(s.state()), array(s.state()), array(s.state())};
  Values saved(static_cast<size_t>(xlstm_slstm_saved_bytes_cpu(XLSTM_F64, s.B, s.T, s.H, s.D) / 8));
  constexpr Types kF64{XLSTM_F64, XLSTM_F64};
  xlstm_slstm_fwd_args f{};
  set_case(f, c, kF64);
  f.wx = c.wx.data();
  f.wx_stride_h = s.D;
  f.wx_stride_g = s.H * s.D;
  f.wx_stride_t = 4 * s.H * s.D;
  f.wx_stride_b = s.T * 4 * s.H * s.D;
  f.R = c.R.data();
  f.bias = maybe(c.bias);
  f.h_init = maybe(c.h0);
  f.c_init = maybe(c.c0);
  f.n_init = maybe(c.n0);
  f.m_init = maybe(c.m0);
  f.reset = maybe(c.reset);
  f.forward_clip = c.forward_clip;
  f.h = r.h.data();
  f.h_stride_h = s.D;
  f.h_stride_t = s.H * s.D;
  f.h_stride_b = s.T * s.H * s.D;
  f.h_final = r.hT.data();
  f.c_final = r.cT.data();
  f.n_final = r.nT.data();
  f.m_final = r.mT.data();
  f.saved = saved.data();
  REQUIRE(test::run_on_host(xlstm_slstm_fwd_cpu, xlstm_slstm_fwd_workspace_cpu, f) == XLSTM_OK);
  xlstm_slstm_bwd_args b{};
  set_case(b, c, kF64);
  b.R = f.R;
  b.h_init = f.h_init;
  b.c_init = f.c_init;
  b.n_init = f.n_init;
  b.reset = f.reset;
  b.h = f.h;
  b.h_stride_b = b.dh_stride_b = f.h_stride_b;
  b.h_stride_t = b.dh_stride_t = f.h_stride_t;
  b.h_stride_h = b.dh_stride_h = f.h_stride_h;
  b.saved = saved.data();
  b.recurrent_clip = c.recurrent_clip;
  b.recurrent_cut = c.recurrent_cut;
  b.dh = maybe(c.dh);
  b.dh_final = maybe(c.dhT);
  b.dc_final = maybe(c.dcT);
  b.dn_final = maybe(c.dnT);
  b.dwx = r.dwx.data();
  b.dwx_stride_b = f.wx_stride_b;
  b.dwx_stride_t = f.wx_stride_t;
  b.dwx_stride_g = f.wx_stride_g;
  b.dwx_stride_h = f.wx_stride_h;
  b.dR = r.dR.data();
  b.dbias = r.dbias.data();
  b.dh_init = r.dh0.data();
  b.dc_init = r.dc0.data();
  b.dn_init = r.dn0.data();
  b.dm_init = r.dm0.data();
  REQUIRE(test::run_on_host(xlstm_slstm_bwd_cpu, xlstm_slstm_bwd_workspace_cpu, b) == XLSTM_OK);
  return r;
}

// In which order the dimensions b, t, g, h lie in memory, outermost first; elements after each row
// and before the first.
struct Order {
  std::array<size_t, 4> dimensions{0, 1, 2, 3};
  int64_t after_row = 0, before = 0;
};

// An array [B, T, G, H, D] laid out on the device. What surrounds its rows is NaN and must stay so.
class Laid {
 public:
  Laid(const Sizes& s, int64_t G, xlstm_dtype dtype, const Order& order, const Values& values)
      : sizes_{s.B, s.T, G, s.H}, D_(s.D), dtype_(dtype), before_(order.before) {
    int64_t size = s.D + order.after_row;
    for (size_t i = 4; i-- > 0;) {
      stride[order.dimensions[i]] = size;
      size *= sizes_[order.dimensions[i]];
    }
    Values memory(static_cast<size_t>(before_ + size), NAN);
    if (!values.empty()) each([&](size_t dense, size_t laid) { memory[laid] = values[dense]; });
    memory_ = DeviceArray(memory, dtype);
  }
  void* get() const { return static_cast<char*>(memory_.get()) + before_ * test::size_of(dtype_); }
  Values values() const {
    const Values memory = memory_.values();
    Values out(static_cast<size_t>(sizes_[0] * sizes_[1] * sizes_[2] * sizes_[3] * D_));
    each([&](size_t dense, size_t laid) { out[dense] = memory[laid]; });
    return out;
  }
  bool surroundings_intact() const {
    Values memory = memory_.values();
    each([&](size_t, size_t laid) { memory[laid] = NAN; });
    return std::all_of(memory.begin(), memory.end(), [](double x) { return std::isnan(x); });
  }
  DeviceArray* memory() { return &memory_; }

  std::array<int64_t, 4> stride{};

 private:
  template <class Body>
  void each(Body body) const {
    size_t dense = 0;
    for (int64_t b = 0; b < sizes_[0]; ++b)
      for (int64_t t = 0; t < sizes_[1]; ++t)
        for (int64_t g = 0; g < sizes_[2]; ++g)
          for (int64_t h = 0; h < sizes_[3]; ++h) {
            const auto row = static_cast<size_t>(before_ + b * stride[0] + t * stride[1] +
                                                 g * stride[2] + h * stride[3]);
            for (size_t j = 0; j < static_cast<size_t>(D_); ++j) body(dense++, row + j);
          }
  }
  std::array<int64_t, 4> sizes_;
  int64_t D_;
  xlstm_dtype dtype_;
  int64_t before_;
  DeviceArray memory_;
};

// A case on the device.
struct OnDevice {
  const Case& c;
  Types types;
  int32_t variant = XLSTM_SLSTM_AUTO;
  Laid wx, h, dh, dwx;
  DeviceArray R, bias, h0, c0, n0, m0, dhT, dcT, dnT, reset, saved;
  DeviceArray hT, cT, nT, mT, dR, dbias, dh0, dc0, dn0, dm0;

  OnDevice(const Case& values, const Types& type, const Order& wx_order = {},
           const Order& h_order = {})
      : c(values),
        types(type),
        wx(c.s, 4, type.dtype, wx_order, c.wx),
        h(c.s, 1, type.dtype, h_order, {}),
        dh(c.s, 1, type.dtype, h_order, c.dh),
        dwx(c.s, 4, type.dtype, wx_order, {}),
        R(c.R, type.weights),
        bias(c.bias, type.weights),
        reset(DeviceArray::of(c.reset)),
        saved(DeviceArray::bytes(
            xlstm_slstm_saved_bytes_cuda(type.dtype, c.s.B, c.s.T, c.s.H, c.s.D))),
        dR(c.s.R(), type.weights),
        dbias(c.s.bias(), type.weights) {
    for (auto [to, from] : {std::pair{&h0, &c.h0},
                            {&c0, &c.c0},
                            {&n0, &c.n0},
                            {&m0, &c.m0},
                            {&dhT, &c.dhT},
                            {&dcT, &c.dcT},
                            {&dnT, &c.dnT}})
      *to = DeviceArray(*from, XLSTM_F32);
    for (DeviceArray* to : {&hT, &cT, &nT, &mT, &dh0, &dc0, &dn0, &dm0})
      *to = DeviceArray(c.s.state(), XLSTM_F32);
  }

  static void* maybe(const DeviceArray& x) { return x.n_bytes() == 0 ? nullptr : x.get(); }

  xlstm_slstm_fwd_args forward_args() const {
    xlstm_slstm_fwd_args a{};
    set_case(a, c, types);
    a.wx = wx.get();
    a.wx_stride_b = wx.stride[0];
    a.wx_stride_t = wx.stride[1];
    a.wx_stride_g = wx.stride[2];
    a.wx_stride_h = wx.stride[3];
    a.R = R;
    a.bias = maybe(bias);
    a.h_init = maybe(h0);
    a.c_init = maybe(c0);
    a.n_init = maybe(n0);
    a.m_init = maybe(m0);
    a.reset = static_cast<const uint8_t*>(maybe(reset));
    a.forward_clip = c.forward_clip;
    a.h = h.get();
    a.h_stride_b = h.stride[0];
    a.h_stride_t = h.stride[1];
    a.h_stride_h = h.stride[3];
    a.h_final = hT;
    a.c_final = cT;
    a.n_final = nT;
    a.m_final = mT;
    a.saved = saved;
    a.variant = variant;
    return a;
  }
  xlstm_slstm_bwd_args backward_args() const {
    xlstm_slstm_bwd_args a{};
    set_case(a, c, types);
    a.R = R;
    a.h_init = maybe(h0);
    a.c_init = maybe(c0);
    a.n_init = maybe(n0);
    a.reset = static_cast<const uint8_t*>(maybe(reset));
    a.h = h.get();
    a.h_stride_b = h.stride[0];
    a.h_stride_t = h.stride[1];
    a.h_stride_h = h.stride[3];
    a.saved = saved;
    a.recurrent_clip = c.recurrent_clip;
    a.recurrent_cut = c.recurrent_cut;
    a.dh = c.dh.empty() ? nullptr : dh.get();
    a.dh_stride_b = dh.stride[0];
    a.dh_stride_t = dh.stride[1];
    a.dh_stride_h = dh.stride[3];
    a.dh_final = maybe(dhT);
    a.dc_final = maybe(dcT);
    a.dn_final = maybe(dnT);
    a.dwx = dwx.get();
    a.dwx_stride_b = dwx.stride[0];
    a.dwx_stride_t = dwx.stride[1];
    a.dwx_stride_g = dwx.stride[2];
    a.dwx_stride_h = dwx.stride[3];
    a.dR = dR;
    a.dbias = dbias;
    a.dh_init = dh0;
    a.dc_init = dc0;
    a.dn_init = dn0;
    a.dm_init = dm0;
    a.variant = variant;
    return a;
  }
  // Valid after both calls.
  Results results() const {
    return {h.values(),  hT.values(),    cT.values(),  nT.values(),  mT.values(),  dwx.values(),
            dR.values(), dbias.values(), dh0.values(), dc0.values(), dn0.values(), dm0.values()};
  }
  std::vector<DeviceArray*> forward_results() { return {h.memory(), &hT, &cT, &nT, &mT}; }
  std::vector<DeviceArray*> backward_results() {
    return {dwx.memory(), &dR, &dbias, &dh0, &dc0, &dn0, &dm0};
  }
};

inline xlstm_status run(const xlstm_slstm_fwd_args& a) {
  return test::run_on_device(xlstm_slstm_fwd_cuda, xlstm_slstm_fwd_workspace_cuda, a);
}
inline xlstm_status run(const xlstm_slstm_bwd_args& a) {
  return test::run_on_device(xlstm_slstm_bwd_cuda, xlstm_slstm_bwd_workspace_cuda, a);
}

inline std::string to_string(const Sizes& s) {
  return "B " + std::to_string(s.B) + ", T " + std::to_string(s.T) + ", H " + std::to_string(s.H) +
         ", D " + std::to_string(s.D);
}

// The kernels that compute a case on this card, besides the one that is chosen.
inline std::vector<int32_t> variants_of(const Sizes& s, const Types& types) {
  std::vector<int32_t> all;
  xlstm_slstm_fwd_args f{};
  xlstm_slstm_bwd_args b{};
  Case c;
  c.s = s;
  set_case(f, c, types);
  set_case(b, c, types);
  for (const int32_t variant :
       {XLSTM_SLSTM_CLUSTER, XLSTM_SLSTM_SMALL, XLSTM_SLSTM_SPREAD, XLSTM_SLSTM_STEP}) {
    f.variant = b.variant = variant;
    if (xlstm_slstm_fwd_variant_cuda(&f) != std::string("none") &&
        xlstm_slstm_bwd_variant_cuda(&b) != std::string("none"))
      all.push_back(variant);
  }
  return all;
}

}  // namespace xlstm::slstm_test
