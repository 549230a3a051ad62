// The sLSTM on CUDA against the CPU in float64, on inputs rounded to the type at hand. Which of its
// kernels runs follows from the card, the type and D: clusters (Hopper, 16-bit types, D a multiple
// of 8 up to 768), small heads (16-bit types, D <= 128), spread heads (16-bit types up to 1024;
// float32 while R fits), step by step beyond. Cases name the others where clusters would hide them.
#include <array>
#include <cstdlib>
#include <string>

#include "kernels/slstm/slstm.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm {
namespace {

using test::DeviceArray;
using test::has_cuda_device;
using test::relative_error;
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
      return test::normal(n, next++, std, mean);
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
    for (Values* x : {&c.wx, &c.dh, &c.R}) *x = test::rounded(*x, types.dtype);
    c.bias = test::rounded(c.bias, types.weights);
    for (Values* x : {&c.h0, &c.c0, &c.n0, &c.m0, &c.dhT, &c.dcT, &c.dnT})
      *x = test::rounded(*x, XLSTM_F32);
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

Results on_cpu(const Case& c) {
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
          for (int64_t h = 0; h < sizes_[3]; ++h)
            for (int64_t j = 0; j < D_; ++j, ++dense)
              body(dense, static_cast<size_t>(before_ + b * stride[0] + t * stride[1] +
                                              g * stride[2] + h * stride[3] + j));
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
  std::vector<DeviceArray*> forward_results() { return {h.memory(), &hT, &cT, &nT, &mT}; }
  std::vector<DeviceArray*> backward_results() {
    return {dwx.memory(), &dR, &dbias, &dh0, &dc0, &dn0, &dm0};
  }
};

xlstm_status run(const xlstm_slstm_fwd_args& a) {
  return test::run_on_device(xlstm_slstm_fwd_cuda, xlstm_slstm_fwd_workspace_cuda, a);
}
xlstm_status run(const xlstm_slstm_bwd_args& a) {
  return test::run_on_device(xlstm_slstm_bwd_cuda, xlstm_slstm_bwd_workspace_cuda, a);
}

void check_close(const char* what, const Values& got, const Values& want, double tolerance) {
  INFO(what);
  if (std::all_of(want.begin(), want.end(), [](double x) { return x == 0; })) {
    CHECK(std::all_of(got.begin(), got.end(), [](double x) { return x == 0; }));
    return;
  }
  CHECK(relative_error(got, want) <= tolerance);
}

// c dc + n dn, terms of either sign: the error is held against the size of the terms.
void check_dm0(const Values& got, const Case& c, const Results& want, double tolerance) {
  const auto at = [](const Values& x, size_t i) { return x.empty() ? 0.0 : x[i]; };
  double size = 1e-30, difference = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    size += std::pow(at(c.c0, i) * want.dc0[i], 2) + std::pow(at(c.n0, i) * want.dn0[i], 2);
    difference += std::pow(got[i] - want.dm0[i], 2);
  }
  INFO("dm_init");
  CHECK(std::sqrt(difference / size) <= tolerance);
}

void check(const OnDevice& d, const Results& want) {
  const double forward = test::forward_tolerance(d.types.dtype);
  const double gradient = test::gradient_tolerance(d.types.dtype);
  REQUIRE(run(d.forward_args()) == XLSTM_OK);
  check_close("h", d.h.values(), want.h, forward);
  check_close("final h", d.hT.values(), want.hT, forward);
  check_close("final c", d.cT.values(), want.cT, forward);
  check_close("final n", d.nT.values(), want.nT, forward);
  check_close("final m", d.mT.values(), want.mT, forward);
  CHECK(d.h.surroundings_intact());
  REQUIRE(run(d.backward_args()) == XLSTM_OK);
  check_close("dwx", d.dwx.values(), want.dwx, gradient);
  check_close("dR", d.dR.values(), want.dR, gradient);
  check_close("dbias", d.dbias.values(), want.dbias, gradient);
  check_close("dh_init", d.dh0.values(), want.dh0, gradient);
  check_close("dc_init", d.dc0.values(), want.dc0, gradient);
  check_close("dn_init", d.dn0.values(), want.dn0, gradient);
  check_dm0(d.dm0.values(), d.c, want, gradient);
  CHECK(d.dwx.surroundings_intact());
}

std::string to_string(const Sizes& s) {
  return "B " + std::to_string(s.B) + ", T " + std::to_string(s.T) + ", H " + std::to_string(s.H) +
         ", D " + std::to_string(s.D);
}

void check_case(const Case& original, const Types& types, int32_t variant = XLSTM_SLSTM_AUTO) {
  INFO(to_string(original.s) << ", " << test::to_string(types) << ", variant " << variant);
  const Case c = original.rounded(types);
  OnDevice d(c, types);
  d.variant = variant;
  check(d, on_cpu(c));
}

// The kernels that compute a case on this card, besides the one that is chosen.
std::vector<int32_t> variants_of(const Sizes& s, const Types& types) {
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

// One shape for each kernel. Where few are asked for, short ones, and the large heads that go step
// by step are left to a case of their own.
struct Form {
  Sizes s;
  Types types;
};
const std::vector<Form>& forms() {
  static const std::vector<Form> all{
      {{9, 12, 2, 40}, kBf16}, {{3, 7, 1, 5}, kF16},     {{9, 12, 2, 128}, kF16},
      {{9, 12, 2, 42}, kBf16}, {{70, 5, 2, 64}, kF16},   {{300, 5, 1, 24}, kBf16},
      {{9, 7, 2, 192}, kBf16}, {{3, 7, 1, 385}, kF16},   {{3, 5, 1, 640}, kBf16},
      {{9, 7, 5, 256}, kF16},  {{33, 5, 2, 360}, kBf16}, {{9, 5, 1, 512}, kF16},
      {{9, 12, 2, 24}, kF32},  {{3, 5, 1, 606}, kF32},   {{3, 4, 1, 1100}, kBf16}};
  static const std::vector<Form> few{{{9, 5, 1, 40}, kBf16},
                                     {{3, 3, 1, 12}, kBf16},
                                     {{3, 3, 1, 144}, kF16},
                                     {{3, 3, 1, 146}, kF16},
                                     {{9, 3, 1, 24}, kF32}};
  return test::small_run() ? few : all;
}

TEST_CASE("small heads of the sLSTM on CUDA are those of the CPU") {
  if (!has_cuda_device()) return;
  // The first: every width of a head, one tile of the batch and two.
  for (const Sizes s : test::some<Sizes>({{9, 5, 2, 5},
                                          {3, 7, 1, 17},
                                          {1, 6, 1, 64},
                                          {3, 5, 1, 100},
                                          {33, 2, 3, 1},
                                          {1, 1, 1, 9},
                                          {3, 5, 2, 5},
                                          {8, 2, 1, 16},
                                          {9, 70, 1, 17},
                                          {16, 70, 3, 40},
                                          {33, 5, 12, 64},
                                          {8, 300, 2, 64},
                                          {3, 9, 2, 100},
                                          {1, 2, 5, 127},
                                          {3, 70, 2, 128}},
                                         4)) {
    const Case c = Case::random(s);
    for (const Types& types : {kF32, kBf16, kF16}) {
      check_case(c, types);
      check_case(c.without_options(), types);
      if (types.dtype != XLSTM_F32) check_case(c, types, XLSTM_SLSTM_SMALL);
    }
  }
}

TEST_CASE("spread heads of the sLSTM on CUDA are those of the CPU") {
  if (!has_cuda_device()) return;
  // The first: every number of units a block, 8, 16 and 32 rows.
  for (const Sizes s : test::some<Sizes>({{9, 4, 1, 160},
                                          {2, 3, 1, 384},
                                          {17, 3, 1, 642},
                                          {1, 1, 1, 129},
                                          {3, 5, 2, 192},
                                          {2, 300, 1, 192},
                                          {16, 70, 1, 256},
                                          {8, 5, 2, 384},
                                          {9, 2, 1, 512},
                                          {2, 40, 1, 513},
                                          {17, 5, 1, 768},
                                          {3, 5, 1, 1000},
                                          {8, 5, 1, 1024}},
                                         3))
    for (const Types& types : {kF32, kBf16, kF16}) {
      check_case(Case::random(s), types);
      if (types.dtype != XLSTM_F32) check_case(Case::random(s), types, XLSTM_SLSTM_SPREAD);
    }
  if (test::small_run()) return check_case(Case::random({1, 2, 1, 1000}), kF32);
  for (const Types& types : {kF32, kBf16, kF16}) {
    check_case(Case::random({3, 70, 2, 192}).without_options(), types);
    check_case(Case::random({3, 5, 1, 642}).without_options(), types);
  }
}

TEST_CASE("an sLSTM on CUDA with more to do than blocks at once") {
  if (!has_cuda_device()) return;
  if (test::small_run()) return test::skipped("few cases are asked for, and these are large");
  for (const Types& types : {kF32, kBf16})
    for (const Sizes s :
         {Sizes{40, 2, 12, 192}, {33, 3, 2, 500}, {40, 2, 3, 600}, {33, 3, 1, 1000}})
      for (const int32_t variant : variants_of(s, types))
        check_case(Case::random(s), types, variant);
  check_case(Case::random({1100, 3, 2, 64}), kBf16);
  check_case(Case::random({300, 3, 4, 256}), kF16);
}

TEST_CASE("heads of every class of the sLSTM on CUDA are those of the CPU") {
  if (!has_cuda_device()) return;
  // Where few are asked for: one, four and eight blocks to a head, 4 rows and 8, groups of units
  // that do not fill the last block or its product.
  const std::vector<Sizes> all = test::some<Sizes>(
      {{70, 3, 2, 64},  {5, 3, 1, 136}, {70, 2, 1, 264}, {1, 5, 3, 8},    {4, 9, 2, 16},
       {5, 7, 2, 24},   {8, 5, 3, 32},  {9, 33, 2, 64},  {16, 5, 2, 96},  {17, 5, 3, 128},
       {140, 3, 1, 88}, {3, 7, 1, 160}, {33, 5, 4, 192}, {4, 31, 2, 256}, {70, 3, 5, 256},
       {2, 5, 1, 320},  {9, 5, 2, 384}, {64, 3, 2, 384}, {3, 5, 1, 448},  {5, 3, 2, 512},
       {25, 3, 2, 512}, {3, 3, 1, 520}, {4, 5, 1, 648},  {9, 3, 1, 768},  {26, 3, 1, 768},
       {2, 3, 1, 1024}, {70, 3, 1, 8},  {35, 3, 7, 120}},
      3);
  for (const Sizes& s : all)
    for (const Types& types : {kBf16, kF16}) {
      check_case(Case::random(s), types);
      check_case(Case::random(s, 2).without_options(), types);
    }
}

// What one kernel saves for the backward, every other one reads.
TEST_CASE("the kernels of the sLSTM on CUDA go with each other") {
  if (!has_cuda_device()) return;
  for (const Form& form : test::some<Form>({{{9, 5, 2, 64}, kBf16},
                                            {{3, 4, 1, 256}, kF16},
                                            {{5, 4, 1, 20}, kBf16},
                                            {{3, 4, 1, 130}, kF16},
                                            {{3, 4, 1, 20}, kF32}},
                                           2)) {
    const Case c = Case::random(form.s).rounded(form.types);
    const Results want = on_cpu(c);
    const std::vector<int32_t> variants = variants_of(form.s, form.types);
    CHECK(variants.size() >= 2);
    for (const int32_t forward : variants)
      for (const int32_t backward : variants) {
        INFO(to_string(form.s) << ", " << test::to_string(form.types) << ", variants " << forward
                               << " and " << backward);
        OnDevice d(c, form.types);
        d.variant = forward;
        REQUIRE(run(d.forward_args()) == XLSTM_OK);
        d.variant = backward;
        REQUIRE(run(d.backward_args()) == XLSTM_OK);
        const double tolerance = test::gradient_tolerance(form.types.dtype);
        check_close("dwx", d.dwx.values(), want.dwx, tolerance);
        check_close("dR", d.dR.values(), want.dR, tolerance);
        check_close("dh_init", d.dh0.values(), want.dh0, tolerance);
      }
  }
}

TEST_CASE("clusters of the sLSTM on CUDA refuse what others compute") {
  if (!has_cuda_device()) return;
  const auto asked = [](const Sizes& s, const Types& types) {
    Case c;
    c.s = s;
    xlstm_slstm_fwd_args f{};
    xlstm_slstm_bwd_args b{};
    set_case(f, c, types);
    set_case(b, c, types);
    f.variant = b.variant = XLSTM_SLSTM_CLUSTER;
    return std::string(xlstm_slstm_fwd_variant_cuda(&f)) + ", " + xlstm_slstm_bwd_variant_cuda(&b);
  };
  CHECK(asked({2, 3, 1, 64}, kF32) == "none, none");
  CHECK(asked({2, 3, 1, 60}, kBf16) == "none, none");
  CHECK(asked({2, 3, 1, 776}, kF16) == "none, none");
  CHECK(asked({0, 3, 1, 64}, kF16) == "nothing, nothing");
  const std::string here = asked({2, 3, 1, 64}, kF16);
  CHECK((here == "cluster, cluster" || here == "none, none"));
}

// Memory behind every output keeps its bytes, and behind the workspace too.
TEST_CASE("the sLSTM on CUDA writes nothing beyond its outputs") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    INFO(to_string(form.s) << ", " << test::to_string(form.types));
    const Case c = Case::random(form.s).rounded(form.types);
    constexpr int64_t kGuard = 256;
    OnDevice d(c, form.types);
    std::vector<std::pair<DeviceArray*, int64_t>> guarded;
    for (DeviceArray* x :
         {&d.hT, &d.cT, &d.nT, &d.mT, &d.dR, &d.dbias, &d.dh0, &d.dc0, &d.dn0, &d.dm0, &d.saved}) {
      const int64_t bytes = x->n_bytes();
      *x = DeviceArray::bytes(bytes + kGuard);
      guarded.emplace_back(x, bytes);
    }
    auto f = d.forward_args();
    auto b = d.backward_args();
    const int64_t forward_bytes = xlstm_slstm_fwd_workspace_cuda(&f);
    const int64_t backward_bytes = xlstm_slstm_bwd_workspace_cuda(&b);
    DeviceArray forward = DeviceArray::bytes(forward_bytes + kGuard);
    DeviceArray backward = DeviceArray::bytes(backward_bytes + kGuard);
    guarded.emplace_back(&forward, forward_bytes);
    guarded.emplace_back(&backward, backward_bytes);
    REQUIRE(xlstm_slstm_fwd_cuda(&f, {nullptr, forward, forward_bytes, nullptr}) == XLSTM_OK);
    REQUIRE(xlstm_slstm_bwd_cuda(&b, {nullptr, backward, backward_bytes, nullptr}) == XLSTM_OK);
    test::check_cuda(cudaDeviceSynchronize(), "kernels");
    CHECK(d.h.surroundings_intact());
    CHECK(d.dwx.surroundings_intact());
    for (const auto& [x, bytes] : guarded) {
      const auto got = x->raw<unsigned char>();
      CHECK(std::all_of(got.begin() + bytes, got.end(), [](unsigned char y) { return y == 0xff; }));
    }
  }
}

TEST_CASE("random shapes and options of the sLSTM on CUDA", "[.property]") {
  if (!has_cuda_device()) return;
  std::mt19937_64 engine(11);
  const auto draw = [&](int64_t from, int64_t to) {
    return from + static_cast<int64_t>(engine() % static_cast<uint64_t>(to - from + 1));
  };
  for (uint64_t i = 0; i < 500; ++i) {
    Sizes s{draw(1, 40), draw(1, 14), draw(1, 4), draw(1, 8) * 8};
    const int64_t kind = draw(0, 9);
    if (kind < 3) s.D = draw(1, 140);
    if (kind == 3) s.D = draw(17, 48) * 8;
    if (kind == 4) s = {draw(1, 12), draw(1, 5), 1, draw(49, 100) * 8};
    if (kind == 5) s.D = draw(129, 300);
    Case c = Case::random(s, i + 1);
    if (draw(0, 1) == 0) c.reset = {};
    if (draw(0, 2) == 0) c.bias = {};
    if (draw(0, 2) == 0) c.h0 = {};
    if (draw(0, 2) == 0) c.c0 = c.n0 = c.m0 = {};
    if (draw(0, 3) == 0) c.dhT = c.dcT = c.dnT = {};
    if (draw(0, 5) == 0) c.dh = {};
    if (draw(0, 5) == 0) c.forward_clip = 0.1;
    if (draw(0, 5) == 0) c.recurrent_clip = 0.05;
    c.recurrent_cut = draw(0, 7) == 0;
    if (c.dh.empty() && c.dhT.empty()) c.dh = test::normal(s.h(), i + 7);
    const std::vector<Types> types{kBf16, kF16, kBf16WithF32, kF16WithF32, kF32};
    INFO("shape " << i);
    check_case(c, types[static_cast<size_t>(draw(0, 4))]);
  }
}

// The plainest computation in the same type: inputs and everything that is stored rounded to it
// (pre-activations, gates, h; gradients of h and of the pre-activations), sums and states not.
struct Naive {
  const Case& c;
  xlstm_dtype dtype;
  Values h, dwx;

  double rounded(double x) const { return test::rounded({x}, dtype)[0]; }
  Naive(const Case& values, xlstm_dtype type) : c(values), dtype(type) {
    const Sizes& s = c.s;
    const size_t n = static_cast<size_t>(s.h());
    h.resize(n);
    dwx.resize(4 * n);
    for (int64_t b = 0; b < s.B; ++b)
      for (int64_t head = 0; head < s.H; ++head) sequence(b, head);
  }
  size_t at(int64_t b, int64_t t, int64_t head, int64_t j) const {
    return static_cast<size_t>(((b * c.s.T + t) * c.s.H + head) * c.s.D + j);
  }
  size_t gate_at(int64_t b, int64_t t, int64_t gate, int64_t head, int64_t j) const {
    return static_cast<size_t>((((b * c.s.T + t) * 4 + gate) * c.s.H + head) * c.s.D + j);
  }
  const double* weights(int64_t head, int64_t k, int64_t gate) const {
    return &c.R[static_cast<size_t>(((head * c.s.D + k) * 4 + gate) * c.s.D)];
  }
  void sequence(int64_t b, int64_t head) {
    const Sizes& s = c.s;
    const size_t D = static_cast<size_t>(s.D), all = static_cast<size_t>(s.T) * D;
    Values cs(all), ns(all), is(all), fs(all), zs(all), os(all), sf(all), m(D);
    for (int64_t t = 0; t < s.T; ++t) {
      Values g(4 * D);
      for (int64_t k = 0; t > 0 && k < s.D; ++k)
        for (int64_t gate = 0; gate < 4; ++gate)
          for (size_t j = 0; j < D; ++j)
            g[static_cast<size_t>(gate) * D + j] +=
                h[at(b, t - 1, head, k)] * weights(head, k, gate)[j];
      for (size_t j = 0; j < D; ++j) {
        const auto pre = [&](int64_t gate) {
          return rounded(g[static_cast<size_t>(gate) * D + j] +
                         c.wx[gate_at(b, t, gate, head, static_cast<int64_t>(j))]);
        };
        const size_t x = static_cast<size_t>(t) * D + j;
        const double before_c = t > 0 ? cs[x - D] : 0, before_n = t > 0 ? ns[x - D] : 0;
        const double gi = pre(0), gf = pre(1);
        const double l = m[j] + std::min(gf, 0.0) - std::log1p(std::exp(-std::abs(gf)));
        m[j] = before_n == 0 ? gi : std::max(gi, l);
        is[x] = rounded(std::exp(gi - m[j]));
        fs[x] = rounded(std::min(1.0, std::exp(l - m[j])));
        zs[x] = rounded(std::tanh(pre(2)));
        os[x] = rounded(1 / (1 + std::exp(-pre(3))));
        sf[x] = rounded(1 / (1 + std::exp(gf)));
        cs[x] = fs[x] * before_c + is[x] * zs[x];
        ns[x] = fs[x] * before_n + is[x];
        h[at(b, t, head, static_cast<int64_t>(j))] = rounded(os[x] * cs[x] / ns[x]);
      }
    }
    Values dc(D), dn(D), carried(D);
    for (int64_t t = s.T - 1; t >= 0; --t) {
      for (size_t j = 0; j < D; ++j) {
        const size_t x = static_cast<size_t>(t) * D + j;
        const int64_t unit = static_cast<int64_t>(j);
        const double dh = rounded(carried[j] + c.dh[at(b, t, head, unit)]);
        const double h_t = os[x] * cs[x] / ns[x];
        const double dct = dc[j] + dh * os[x] / ns[x], dnt = dn[j] - dh * h_t / ns[x];
        const double before_c = t > 0 ? cs[x - D] : 0, before_n = t > 0 ? ns[x - D] : 0;
        dwx[gate_at(b, t, 0, head, unit)] = rounded(is[x] * (zs[x] * dct + dnt));
        dwx[gate_at(b, t, 1, head, unit)] =
            rounded(fs[x] * (before_c * dct + before_n * dnt) * sf[x]);
        dwx[gate_at(b, t, 2, head, unit)] = rounded(is[x] * dct * (1 - zs[x] * zs[x]));
        dwx[gate_at(b, t, 3, head, unit)] = rounded(dh * h_t * (1 - os[x]));
        dc[j] = fs[x] * dct;
        dn[j] = fs[x] * dnt;
      }
      for (int64_t k = 0; k < s.D; ++k) {
        double sum = 0;
        for (int64_t gate = 0; gate < 4; ++gate)
          for (size_t j = 0; j < D; ++j)
            sum +=
                weights(head, k, gate)[j] * dwx[gate_at(b, t, gate, head, static_cast<int64_t>(j))];
        carried[static_cast<size_t>(k)] = sum;
      }
    }
  }
};

TEST_CASE("long sequences of the sLSTM on CUDA are no more than twice as wrong as naive ones") {
  if (!has_cuda_device()) return;
  // Where few are asked for, short ones.
  const int64_t T = test::small_run() ? 64 : 4096;
  for (const Sizes s : {Sizes{2, T, 1, 64}, {1, T, 1, 128}, {1, T / 4, 1, 256}})
    for (const Types& types : {kBf16, kF16})
      for (const double forget : {0.0, 3.0}) {
        INFO(to_string(s) << ", " << test::to_string(types) << ", forget gates around " << forget);
        Case c = Case::random(s).without_options();
        for (int64_t i = 0; i < s.B * s.T; ++i)
          for (int64_t j = 0; j < s.H * s.D; ++j)
            c.wx[static_cast<size_t>((i * 4 + 1) * s.H * s.D + j)] += forget;
        c = c.rounded(types);
        const Results want = on_cpu(c);
        const Naive naive(c, types.dtype);
        const OnDevice d(c, types);
        REQUIRE(run(d.forward_args()) == XLSTM_OK);
        REQUIRE(run(d.backward_args()) == XLSTM_OK);
        CHECK(relative_error(d.h.values(), want.h) <= 2 * relative_error(naive.h, want.h));
        CHECK(relative_error(d.dwx.values(), want.dwx) <= 2 * relative_error(naive.dwx, want.dwx));
      }
}

TEST_CASE("the sLSTM on CUDA step by step is that of the CPU") {
  if (!has_cuda_device()) return;
  if (test::small_run()) {
    check_case(Case::random({9, 2, 1, 1030}), kF16);
    check_case(Case::random({1, 2, 1, 1030}).without_options(), kBf16WithF32);
    check_case(Case::random({1, 2, 1, 1500}).without_options(), kF32);
    return;
  }
  check_case(Case::random({2, 3, 1, 2048}), kBf16);
  check_case(Case::random({9, 4, 2, 1030}), kF16);
  check_case(Case::random({1, 5, 1, 1030}).without_options(), kBf16WithF32);
  check_case(Case::random({9, 3, 1, 1500}), kF32);
  check_case(Case::random({3, 1, 1, 1500}).without_options(), kF32);
}

TEST_CASE("the sLSTM on CUDA with float32 weights beside 16-bit activations") {
  if (!has_cuda_device()) return;
  for (const Sizes s : test::some<Sizes>({{9, 4, 1, 40},
                                          {3, 3, 1, 200},
                                          {9, 40, 3, 40},
                                          {8, 12, 2, 128},
                                          {9, 12, 2, 200},
                                          {3, 5, 1, 700}},
                                         2))
    for (const Types& types : {kBf16WithF32, kF16WithF32}) check_case(Case::random(s), types);
  // The product takes R rounded: weights beyond the short type give the bits of rounded ones.
  for (const Sizes s : test::some<Sizes>({{3, 9, 2, 64}, {3, 9, 1, 192}, {2, 3, 1, 1100}}, 1)) {
    const Case exact = Case::random(s).rounded(kBf16WithF32);
    Case c = exact;
    c.R = test::rounded(Case::random(s).R, XLSTM_F32);
    const OnDevice a(exact, kBf16WithF32), b(c, kBf16WithF32);
    for (const OnDevice* d : {&a, &b}) {
      REQUIRE(run(d->forward_args()) == XLSTM_OK);
      REQUIRE(run(d->backward_args()) == XLSTM_OK);
    }
    CHECK(a.h.values() == b.h.values());
    CHECK(a.dwx.values() == b.dwx.values());
    CHECK(a.dR.values() == b.dR.values());
  }
}

TEST_CASE("the options of the sLSTM on CUDA, one by one") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    const Case base = Case::random(form.s);
    std::vector<Case> all(12, base);
    all[0].bias = {};
    all[1].h0 = {};
    all[2].c0 = all[2].n0 = all[2].m0 = {};
    all[3].reset = {};
    for (uint8_t& r : all[4].reset) r = 1;
    all[5].reset.assign(all[5].reset.size(), 0);
    for (int64_t b = 0; b < form.s.B; b += 2) all[5].reset[static_cast<size_t>(b * form.s.T)] = 1;
    all[6].forward_clip = 0.1;
    all[7].recurrent_clip = 0.05;
    all[8].recurrent_cut = 1;
    all[9].dh = {};
    all[10].dhT = {};
    all[11].dcT = all[11].dnT = {};
    // Where few are asked for, each option in two of the forms.
    const auto number = static_cast<size_t>(&form - forms().data());
    for (size_t i = 0; i < all.size(); ++i) {
      if (test::small_run() && i % 2 != number % 2) continue;
      INFO("variant " << i);
      check_case(all[i], form.types);
    }
  }
}

TEST_CASE("the arrays of the sLSTM on CUDA may lie in any order, aligned or not") {
  if (!has_cuda_device()) return;
  const std::vector<std::pair<Order, Order>> orders{
      {{{1, 0, 3, 2}}, {{1, 0, 2, 3}}},               // time first
      {{{0, 1, 3, 2}}, {{0, 3, 2, 1}}},               // gates inside the head; heads outside time
      {{{2, 0, 3, 1}, 8, 16}, {{0, 1, 2, 3}, 8, 8}},  // aligned gaps
      {{{0, 1, 2, 3}, 3, 1}, {{1, 0, 2, 3}, 1, 3}}};  // nothing aligned
  for (const Form& form : forms()) {
    const Case c = Case::random(form.s).rounded(form.types);
    const Results want = on_cpu(c);
    for (size_t i = 0; i < orders.size(); ++i) {
      if (test::small_run() && i == 1) continue;
      INFO("order " << i << ", " << to_string(form.s) << ", " << test::to_string(form.types));
      check(OnDevice(c, form.types, orders[i].first, orders[i].second), want);
    }
  }
}

TEST_CASE("results of the sLSTM on CUDA that are not wanted change no others") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    INFO(to_string(form.s) << ", " << test::to_string(form.types));
    const Case c = Case::random(form.s).rounded(form.types);
    OnDevice d(c, form.types);
    REQUIRE(run(d.forward_args()) == XLSTM_OK);
    REQUIRE(run(d.backward_args()) == XLSTM_OK);
    const Values h = d.h.values();
    auto f = d.forward_args();
    f.h_final = f.c_final = f.n_final = f.m_final = f.saved = nullptr;
    d.h.memory()->poison();
    REQUIRE(run(f) == XLSTM_OK);
    CHECK(d.h.values() == h);

    std::vector<std::vector<unsigned char>> want;
    for (DeviceArray* x : d.backward_results()) want.push_back(x->raw<unsigned char>());
    using Args = xlstm_slstm_bwd_args;
    const std::array<void * Args::*, 7> outputs{&Args::dwx,     &Args::dR,      &Args::dbias,
                                                &Args::dh_init, &Args::dc_init, &Args::dn_init,
                                                &Args::dm_init};
    for (size_t i = 0; i < outputs.size(); ++i) {
      for (const bool alone : {false, true}) {
        INFO("output " << i << (alone ? " alone" : " absent"));
        auto b = d.backward_args();
        for (size_t j = 0; j < outputs.size(); ++j)
          if ((i == j) != alone) b.*outputs[j] = nullptr;
        for (DeviceArray* x : d.backward_results()) x->poison();
        REQUIRE(run(b) == XLSTM_OK);
        for (size_t j = 0; j < outputs.size(); ++j) {
          const auto got = d.backward_results()[j]->raw<unsigned char>();
          if ((i == j) == alone) {
            CHECK(got == want[j]);
          } else {
            CHECK(std::all_of(got.begin(), got.end(), [](unsigned char x) { return x == 0xff; }));
          }
        }
      }
    }
  }
}

TEST_CASE("the sLSTM on CUDA gives the same bits every time") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    INFO(to_string(form.s) << ", " << test::to_string(form.types));
    const Case c = Case::random(form.s).rounded(form.types);
    OnDevice d(c, form.types);
    CHECK(test::same_bits_again([&] { REQUIRE(run(d.forward_args()) == XLSTM_OK); },
                                d.forward_results()));
    CHECK(test::same_bits_again([&] { REQUIRE(run(d.backward_args()) == XLSTM_OK); },
                                d.backward_results()));
  }
}

TEST_CASE("a sequence in single steps has the bits of the whole on CUDA") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    INFO(to_string(form.s) << ", " << test::to_string(form.types));
    Case c = Case::random(form.s).rounded(form.types);
    c.reset = {};
    const OnDevice d(c, form.types);
    REQUIRE(run(d.forward_args()) == XLSTM_OK);
    std::array<DeviceArray, 8> state;  // the four before the step, the four after it
    for (size_t i = 0; i < 8; ++i)
      state[i] = i < 4 ? DeviceArray(std::array{c.h0, c.c0, c.n0, c.m0}[i], XLSTM_F32)
                       : DeviceArray(c.s.state(), XLSTM_F32);
    const Values want = d.h.values(), final_c = d.cT.values(), final_m = d.mT.values();
    for (int64_t t = 0; t < c.s.T; ++t) {
      auto a = d.forward_args();
      const int64_t size = test::size_of(form.types.dtype);
      a.T = 1;
      a.wx = static_cast<const char*>(a.wx) + t * a.wx_stride_t * size;
      a.h = static_cast<char*>(a.h) + t * a.h_stride_t * size;
      a.saved = nullptr;
      a.h_init = state[0];
      a.c_init = state[1];
      a.n_init = state[2];
      a.m_init = state[3];
      a.h_final = state[4];
      a.c_final = state[5];
      a.n_final = state[6];
      a.m_final = state[7];
      REQUIRE(run(a) == XLSTM_OK);
      for (size_t i = 0; i < 4; ++i) std::swap(state[i], state[4 + i]);
    }
    CHECK(d.h.values() == want);
    CHECK(state[1].values() == final_c);
    CHECK(state[3].values() == final_m);
  }
}

// Pre-activations are whole numbers far apart, so that exponentials are 0 or 1 but for 1e-17 and
// every type sees the same gates.
TEST_CASE("gates of the sLSTM on CUDA wide open and shut") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    Case c = Case::random(form.s);
    std::fill(c.R.begin(), c.R.end(), 0.0);
    c.bias = c.m0 = {};
    std::mt19937_64 engine(5);
    const auto set_gate = [&](int64_t gate, const Values& choices) {
      const int64_t size = form.s.H * form.s.D;
      for (size_t i = 0; i < c.wx.size(); ++i)
        if (static_cast<int64_t>(i) / size % 4 == gate)
          c.wx[i] = choices[engine() % choices.size()];
    };
    set_gate(0, {-9984, -40, 0, 40, 9984});
    set_gate(1, {-9984, -40, 40, 9984});
    check_case(c, form.types);
    set_gate(0, {0});  // i' and f' both 1 at every step
    set_gate(1, {9984});
    check_case(c, form.types);
  }
}

TEST_CASE("extreme pre-activations leave the sLSTM on CUDA finite") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms())
    for (const double extreme : {-1e4, 1e4}) {
      INFO(to_string(form.s) << ", " << test::to_string(form.types) << ", " << extreme);
      Case c = Case::random(form.s).rounded(form.types);
      std::fill(c.wx.begin(), c.wx.end(), extreme);
      const OnDevice d(c, form.types);
      REQUIRE(run(d.forward_args()) == XLSTM_OK);
      REQUIRE(run(d.backward_args()) == XLSTM_OK);
      for (const Values& x : {d.h.values(), d.nT.values(), d.dwx.values(), d.dR.values(),
                              d.dh0.values(), d.dc0.values(), d.dn0.values()})
        CHECK(std::all_of(x.begin(), x.end(), [](double y) { return std::isfinite(y); }));
    }
}

TEST_CASE("NaN in one row of the sLSTM on CUDA stays in its document") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    INFO(to_string(form.s) << ", " << test::to_string(form.types));
    const Sizes& s = form.s;
    Case c = Case::random(s).rounded(form.types);
    c.reset.assign(c.reset.size(), 0);
    c.reset[2] = 1;  // row 0, step 2
    c.dhT = c.dcT = c.dnT = {};
    for (int64_t j = 0; j < 4 * s.H * s.D; ++j) c.wx[static_cast<size_t>(j)] = NAN;
    const OnDevice d(c, form.types);
    REQUIRE(run(d.forward_args()) == XLSTM_OK);
    REQUIRE(run(d.backward_args()) == XLSTM_OK);
    const Values h = d.h.values(), dwx = d.dwx.values();
    const auto finite_from = [](const Values& x, int64_t from) {
      return std::all_of(x.begin() + from, x.end(), [](double y) { return std::isfinite(y); });
    };
    CHECK(std::isnan(h[0]));
    CHECK(std::isnan(h[static_cast<size_t>(s.H * s.D)]));
    CHECK(finite_from(h, 2 * s.H * s.D));
    CHECK(finite_from(dwx, 2 * 4 * s.H * s.D));
  }
}

TEST_CASE("no steps, no batch, no heads, no units of the sLSTM on CUDA") {
  if (!has_cuda_device()) return;
  for (const Types& types : {kF32, kBf16, kF16}) {
    const Case none = Case::random({3, 0, 2, 40}).rounded(types);
    const OnDevice d(none, types);
    REQUIRE(run(d.forward_args()) == XLSTM_OK);
    CHECK(d.hT.values() == none.h0);
    CHECK(d.cT.values() == none.c0);
    CHECK(d.nT.values() == none.n0);
    CHECK(d.mT.values() == none.m0);
    REQUIRE(run(d.backward_args()) == XLSTM_OK);
    CHECK(d.dh0.values() == none.dhT);
    CHECK(d.dc0.values() == none.dcT);
    CHECK(d.dn0.values() == none.dnT);
    CHECK(d.dR.values() == Values(none.R.size(), 0.0));
    CHECK(d.dbias.values() == Values(none.bias.size(), 0.0));
    Values dm;
    for (size_t i = 0; i < none.c0.size(); ++i)
      dm.push_back(none.c0[i] * none.dcT[i] + none.n0[i] * none.dnT[i]);
    check_dm0(d.dm0.values(), none, on_cpu(none), 1e-6);
    CHECK(test::max_error(d.dm0.values(), dm) < 1e-6);

    const Case no_rows = Case::random({0, 4, 2, 40});
    const OnDevice e(no_rows, types);
    REQUIRE(run(e.forward_args()) == XLSTM_OK);
    REQUIRE(run(e.backward_args()) == XLSTM_OK);
    CHECK(e.dR.values() == Values(no_rows.R.size(), 0.0));
    CHECK(e.dbias.values() == Values(no_rows.bias.size(), 0.0));
    for (const Sizes s : {Sizes{2, 3, 0, 5}, {2, 3, 2, 0}}) {
      const Case empty = Case::random(s);
      const OnDevice g(empty, types);
      CHECK(run(g.forward_args()) == XLSTM_OK);
      CHECK(run(g.backward_args()) == XLSTM_OK);
    }
  }
}

TEST_CASE("the sLSTM on CUDA refuses what it cannot do") {
  if (!has_cuda_device()) return;
  for (const Form& form : forms()) {
    const Case c = Case::random(form.s);
    const OnDevice d(c, form.types);
    const auto forward_with = [&](auto change) {
      auto a = d.forward_args();
      change(a);
      return run(a);
    };
    using F = xlstm_slstm_fwd_args;
    CHECK(forward_with([](F& a) { a.D = -1; }) == XLSTM_BAD_SIZE);
    CHECK(forward_with([](F& a) { a.T = INT64_MAX / 8; }) == XLSTM_BAD_SIZE);
    CHECK(forward_with([](F& a) { a.wx = nullptr; }) == XLSTM_NULL_POINTER);
    CHECK(forward_with([](F& a) { a.R = nullptr; }) == XLSTM_NULL_POINTER);
    CHECK(forward_with([](F& a) { a.h = nullptr; }) == XLSTM_NULL_POINTER);
    CHECK(forward_with([](F& a) { a.h_stride_t = 1; }) == XLSTM_BAD_STRIDE);
    CHECK(forward_with([](F& a) { a.saved = static_cast<char*>(a.saved) + 4; }) ==
          XLSTM_MISALIGNED);
    CHECK(forward_with([](F& a) { a.forward_clip = NAN; }) == XLSTM_BAD_VALUE);
    CHECK(forward_with([](F& a) { a.dtype = a.weight_dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
    CHECK(forward_with([](F& a) {
            a.weight_dtype = a.dtype == XLSTM_F16 ? XLSTM_BF16 : XLSTM_F16;
          }) == XLSTM_BAD_DTYPE);
    auto f = d.forward_args();
    const int64_t forward_bytes = xlstm_slstm_fwd_workspace_cuda(&f);
    REQUIRE(forward_bytes > 0);
    const DeviceArray workspace = DeviceArray::bytes(forward_bytes);
    CHECK(xlstm_slstm_fwd_cuda(&f, {nullptr, workspace, forward_bytes - 1, nullptr}) ==
          XLSTM_WORKSPACE_TOO_SMALL);
    CHECK(xlstm_slstm_fwd_cuda(&f, {}) == XLSTM_WORKSPACE_TOO_SMALL);
    const auto backward_with = [&](auto change) {
      auto a = d.backward_args();
      change(a);
      return run(a);
    };
    using G = xlstm_slstm_bwd_args;
    CHECK(backward_with([](G& a) { a.B = -1; }) == XLSTM_BAD_SIZE);
    CHECK(backward_with([](G& a) { a.saved = nullptr; }) == XLSTM_NULL_POINTER);
    CHECK(backward_with([](G& a) { a.h = nullptr; }) == XLSTM_NULL_POINTER);
    CHECK(backward_with([](G& a) { a.dwx_stride_g = 1; }) == XLSTM_BAD_STRIDE);
    CHECK(backward_with([](G& a) { a.recurrent_clip = -1; }) == XLSTM_BAD_VALUE);
    CHECK(backward_with([](G& a) { a.recurrent_cut = 2; }) == XLSTM_BAD_VALUE);
    CHECK(backward_with([](G& a) { a.weight_dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
    auto b = d.backward_args();
    CHECK(xlstm_slstm_bwd_cuda(&b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
    // Nothing has been written.
    for (const Values& x : {d.h.values(), d.cT.values(), d.dwx.values(), d.dR.values()})
      CHECK(std::all_of(x.begin(), x.end(), [](double y) { return std::isnan(y); }));
  }
  CHECK(xlstm_slstm_saved_bytes_cuda(XLSTM_BF16, INT64_MAX / 2, 4, 4, 4) == 0);
  CHECK(xlstm_slstm_saved_bytes_cuda(XLSTM_F64, 1, 1, 1, 1) == 0);
}

// Random bf16 numbers, the same million over and over.
DeviceArray noise(int64_t n, double std) {
  constexpr int64_t kBlock = 1 << 20;
  const DeviceArray block(test::normal(kBlock, 1, std), XLSTM_BF16);
  DeviceArray all = DeviceArray::bytes(2 * n);
  for (int64_t at = 0; at < n; at += kBlock)
    test::check_cuda(
        cudaMemcpy(static_cast<char*>(all.get()) + 2 * at, block.get(),
                   static_cast<size_t>(2 * std::min(kBlock, n - at)), cudaMemcpyDeviceToDevice),
        "copy");
  return all;
}

TEST_CASE("times of the sLSTM on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  std::printf("%-14s %8s %8s %8s %10s   (bf16, T = 1024, us per time step)\n", "heads x dim, B",
              "forward", "saving", "backward", "fwd + bwd");
  const char* only = std::getenv("XLSTM_BENCH_VARIANT");  // a number of xlstm_slstm_variant
  for (const Sizes s : {Sizes{16, 1024, 12, 64},
                        {16, 1024, 8, 128},
                        {16, 1024, 4, 192},
                        {16, 1024, 4, 256},
                        {16, 1024, 1, 768},
                        {64, 1024, 12, 64},
                        {64, 1024, 4, 256},
                        {1, 1024, 12, 64},
                        {16, 1024, 1, 1024},
                        {64, 1024, 1, 768}}) {
    Case c;
    c.s = s;
    const DeviceArray wx = noise(4 * s.h(), 1), h = noise(s.h(), 1), dwx = noise(4 * s.h(), 1),
                      R = noise(s.R(), 0.5 / std::sqrt(static_cast<double>(s.D))),
                      dR = noise(s.R(), 1), dbias = noise(s.bias(), 1),
                      saved = DeviceArray::bytes(
                          xlstm_slstm_saved_bytes_cuda(XLSTM_BF16, s.B, s.T, s.H, s.D));
    xlstm_slstm_fwd_args f{};
    set_case(f, c, kBf16);
    f.wx = wx;
    f.wx_stride_h = s.D;
    f.wx_stride_g = s.H * s.D;
    f.wx_stride_t = 4 * s.H * s.D;
    f.wx_stride_b = s.T * 4 * s.H * s.D;
    f.R = R;
    f.h = h;
    f.h_stride_h = s.D;
    f.h_stride_t = s.H * s.D;
    f.h_stride_b = s.T * s.H * s.D;
    xlstm_slstm_bwd_args b{};
    set_case(b, c, kBf16);
    b.R = R;
    b.h = b.dh = h;  // the size of dh does not matter for the time
    b.h_stride_b = b.dh_stride_b = f.h_stride_b;
    b.h_stride_t = b.dh_stride_t = f.h_stride_t;
    b.h_stride_h = b.dh_stride_h = f.h_stride_h;
    b.saved = saved;
    b.dwx = dwx;
    b.dwx_stride_b = f.wx_stride_b;
    b.dwx_stride_t = f.wx_stride_t;
    b.dwx_stride_g = f.wx_stride_g;
    b.dwx_stride_h = f.wx_stride_h;
    b.dR = dR;
    b.dbias = dbias;
    if (only != nullptr) f.variant = b.variant = std::atoi(only);
    const DeviceArray workspace = DeviceArray::bytes(
        std::max(xlstm_slstm_fwd_workspace_cuda(&f), xlstm_slstm_bwd_workspace_cuda(&b)));
    const xlstm_exec exec{nullptr, workspace, workspace.n_bytes(), nullptr};
    const auto per_step = [&](const std::function<void()>& call) {
      return test::median_ms(call, 10) * 1e3 / static_cast<double>(s.T);
    };
    const auto forward = [&] { REQUIRE(xlstm_slstm_fwd_cuda(&f, exec) == XLSTM_OK); };
    const auto backward = [&] { REQUIRE(xlstm_slstm_bwd_cuda(&b, exec) == XLSTM_OK); };
    const double plain = per_step(forward);
    f.saved = saved;
    const double saving = per_step(forward), back = per_step(backward);
    const double both = per_step([&] {
      forward();
      backward();
    });
    std::printf("%2ld x %4ld, %3ld  %8.3f %8.3f %8.3f %10.3f   %s, %s\n", long{s.H}, long{s.D},
                long{s.B}, plain, saving, back, both, xlstm_slstm_fwd_variant_cuda(&f),
                xlstm_slstm_bwd_variant_cuda(&b));
  }
}

}  // namespace
}  // namespace xlstm
