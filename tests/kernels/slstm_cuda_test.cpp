// The sLSTM on CUDA against the CPU in float64, on inputs rounded to the type at hand.
#include "kernels/slstm/slstm.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm::test {
namespace {

using Values = std::vector<double>;

struct Options {
  bool bias = true, initial = true, reset = false, time_first = false;
  double forward_clip = 0, recurrent_clip = 0;
  bool recurrent_cut = false;
};

struct Sizes {
  int64_t B, T, H, D;
  int64_t steps() const { return B * T * H * D; }
  int64_t state() const { return B * H * D; }
};

std::string to_string(const Sizes& s, const Types& t, const Options& o) {
  return "B " + std::to_string(s.B) + " T " + std::to_string(s.T) + " H " + std::to_string(s.H) +
         " D " + std::to_string(s.D) + ", " + to_string(t) + (o.bias ? ", bias" : "") +
         (o.initial ? ", initial" : "") + (o.reset ? ", reset" : "") +
         (o.time_first ? ", time first" : "") + (o.recurrent_cut ? ", cut" : "") +
         (o.forward_clip > 0 ? ", clipped" : "");
}

// Inputs as the types hold them. wx and dwx are [B, T, 4, H, D], or [T, B, H, 4, D] in memory.
struct Case {
  Sizes s;
  Types types;
  Options o;
  Values wx, R, bias, h0, c0, n0, m0, dh, dh_final, dc_final, dn_final;
  std::vector<uint8_t> reset;

  Case(const Sizes& sizes, const Types& t, const Options& options)
      : s(sizes), types(t), o(options) {
    const double width = 0.5 / std::sqrt(static_cast<double>(s.D));
    wx = rounded(normal(4 * s.steps(), 1), t.dtype);
    R = rounded(normal(s.H * s.D * 4 * s.D, 2, width), t.weights);
    bias = rounded(normal(s.H * 4 * s.D, 3), t.weights);
    h0 = rounded(normal(s.state(), 4, 0.3), t.dtype);
    c0 = rounded(normal(s.state(), 5), XLSTM_F32);
    n0 = rounded(normal(s.state(), 6, 0.1, 1.5), XLSTM_F32);
    m0 = rounded(normal(s.state(), 7), XLSTM_F32);
    dh = rounded(normal(s.steps(), 8), t.dtype);
    dh_final = rounded(normal(s.state(), 9), XLSTM_F32);
    dc_final = rounded(normal(s.state(), 10), XLSTM_F32);
    dn_final = rounded(normal(s.state(), 11), XLSTM_F32);
    if (o.reset)
      for (int64_t i = 0; i < s.B * s.T; ++i)
        reset.push_back(static_cast<uint8_t>(i * 7 % 23 == 0 || i % s.T == s.T / 2));
  }

  template <class Args>
  void set_sizes(Args& a, xlstm_dtype dtype, xlstm_dtype weights) const {
    a.dtype = dtype;
    a.weight_dtype = weights;
    a.B = s.B, a.T = s.T, a.H = s.H, a.D = s.D;
  }
  void set_gate_strides(int64_t& b, int64_t& t, int64_t& g, int64_t& h) const {
    const int64_t step = 4 * s.H * s.D;
    b = o.time_first ? step : s.T * step;
    t = o.time_first ? s.B * step : step;
    g = o.time_first ? s.D : s.H * s.D;
    h = o.time_first ? 4 * s.D : s.D;
  }
  void set_h_strides(int64_t& b, int64_t& t, int64_t& h) const {
    b = o.time_first ? s.H * s.D : s.T * s.H * s.D;
    t = o.time_first ? s.B * s.H * s.D : s.H * s.D;
    h = s.D;
  }
};

// Pointers to the arrays of a case, on either side.
struct Arrays {
  void *wx, *R, *bias, *h0, *c0, *n0, *m0, *reset;
  void *h, *h1, *c1, *n1, *m1, *saved;
  void *dh, *dh1, *dc1, *dn1;
  void *dwx, *dR, *dbias, *dh0, *dc0, *dn0, *dm0;
};

xlstm_slstm_fwd_args forward_args(const Case& c, const Arrays& x, xlstm_dtype dtype,
                                  xlstm_dtype weights) {
  xlstm_slstm_fwd_args a{};
  c.set_sizes(a, dtype, weights);
  a.wx = x.wx;
  c.set_gate_strides(a.wx_stride_b, a.wx_stride_t, a.wx_stride_g, a.wx_stride_h);
  a.R = x.R;
  a.bias = c.o.bias ? x.bias : nullptr;
  if (c.o.initial) a.h_init = x.h0, a.c_init = x.c0, a.n_init = x.n0, a.m_init = x.m0;
  a.reset = c.o.reset ? static_cast<const uint8_t*>(x.reset) : nullptr;
  a.forward_clip = c.o.forward_clip;
  a.h = x.h;
  c.set_h_strides(a.h_stride_b, a.h_stride_t, a.h_stride_h);
  a.h_final = x.h1, a.c_final = x.c1, a.n_final = x.n1, a.m_final = x.m1;
  a.saved = x.saved;
  return a;
}

xlstm_slstm_bwd_args backward_args(const Case& c, const Arrays& x, xlstm_dtype dtype,
                                   xlstm_dtype weights) {
  xlstm_slstm_bwd_args a{};
  c.set_sizes(a, dtype, weights);
  a.R = x.R;
  if (c.o.initial) a.h_init = x.h0, a.c_init = x.c0, a.n_init = x.n0;
  a.reset = c.o.reset ? static_cast<const uint8_t*>(x.reset) : nullptr;
  a.h = x.h;
  c.set_h_strides(a.h_stride_b, a.h_stride_t, a.h_stride_h);
  a.saved = x.saved;
  a.recurrent_clip = c.o.recurrent_clip;
  a.recurrent_cut = c.o.recurrent_cut;
  a.dh = x.dh;
  c.set_h_strides(a.dh_stride_b, a.dh_stride_t, a.dh_stride_h);
  a.dh_final = x.dh1, a.dc_final = x.dc1, a.dn_final = x.dn1;
  a.dwx = x.dwx;
  c.set_gate_strides(a.dwx_stride_b, a.dwx_stride_t, a.dwx_stride_g, a.dwx_stride_h);
  a.dR = x.dR, a.dbias = x.dbias;
  a.dh_init = x.dh0, a.dc_init = x.dc0, a.dn_init = x.dn0, a.dm_init = x.dm0;
  return a;
}

// What both sides compute, by name.
using Results = std::vector<std::pair<const char*, Values>>;

Results on_host(const Case& c) {
  const auto n = [](int64_t size) {
    return Values(static_cast<size_t>(std::max<int64_t>(size, 1)));
  };
  const Sizes& s = c.s;
  Case in = c;
  Values h = n(s.steps()), h1 = n(s.state()), c1 = h1, n1 = h1, m1 = h1;
  Values dwx = n(4 * s.steps()), dR = n(s.H * s.D * 4 * s.D), dbias = n(s.H * 4 * s.D);
  Values dh0 = h1, dc0 = h1, dn0 = h1, dm0 = h1;
  const int64_t saved_bytes = xlstm_slstm_saved_bytes_cpu(XLSTM_F64, s.B, s.T, s.H, s.D);
  Values saved = n(saved_bytes / 8 + 16);
  const Arrays x{
      in.wx.data(),       in.R.data(),        in.bias.data(),     in.h0.data(), in.c0.data(),
      in.n0.data(),       in.m0.data(),       in.reset.data(),    h.data(),     h1.data(),
      c1.data(),          n1.data(),          m1.data(),          saved.data(), in.dh.data(),
      in.dh_final.data(), in.dc_final.data(), in.dn_final.data(), dwx.data(),   dR.data(),
      dbias.data(),       dh0.data(),         dc0.data(),         dn0.data(),   dm0.data()};
  REQUIRE(run_on_host(xlstm_slstm_fwd_cpu, xlstm_slstm_fwd_workspace_cpu,
                      forward_args(c, x, XLSTM_F64, XLSTM_F64)) == XLSTM_OK);
  REQUIRE(run_on_host(xlstm_slstm_bwd_cpu, xlstm_slstm_bwd_workspace_cpu,
                      backward_args(c, x, XLSTM_F64, XLSTM_F64)) == XLSTM_OK);
  return {{"h", h},   {"h1", h1},       {"c1", c1},   {"n1", n1},   {"m1", m1},   {"dwx", dwx},
          {"dR", dR}, {"dbias", dbias}, {"dh0", dh0}, {"dc0", dc0}, {"dn0", dn0}, {"dm0", dm0}};
}

struct OnDevice {
  const Case& c;
  DeviceArray wx, R, bias, h0, c0, n0, m0, reset, h, h1, c1, n1, m1, saved, dh, dh1, dc1, dn1, dwx,
      dR, dbias, dh0, dc0, dn0, dm0;

  explicit OnDevice(const Case& values) : c(values) {
    const Sizes& s = c.s;
    const auto [dtype, weights] = c.types;
    wx = DeviceArray(c.wx, dtype);
    R = DeviceArray(c.R, weights);
    bias = DeviceArray(c.bias, weights);
    for (auto [to, from] : {std::pair{&h0, &c.h0},
                            {&c0, &c.c0},
                            {&n0, &c.n0},
                            {&m0, &c.m0},
                            {&dh1, &c.dh_final},
                            {&dc1, &c.dc_final},
                            {&dn1, &c.dn_final}})
      *to = DeviceArray(*from, XLSTM_F32);
    reset = DeviceArray::of(c.reset);
    dh = DeviceArray(c.dh, dtype);
    h = DeviceArray(s.steps(), dtype);
    for (DeviceArray* state : {&h1, &c1, &n1, &m1, &dh0, &dc0, &dn0, &dm0})
      *state = DeviceArray(s.state(), XLSTM_F32);
    saved = DeviceArray::bytes(xlstm_slstm_saved_bytes_cuda(dtype, s.B, s.T, s.H, s.D));
    dwx = DeviceArray(4 * s.steps(), dtype);
    dR = DeviceArray(s.H * s.D * 4 * s.D, weights);
    dbias = DeviceArray(s.H * 4 * s.D, weights);
  }
  Arrays arrays() const {
    return {wx,    R,  bias, h0,  c0,  n0,  m0, reset, h,   h1,  c1,  n1, m1,
            saved, dh, dh1,  dc1, dn1, dwx, dR, dbias, dh0, dc0, dn0, dm0};
  }
  xlstm_slstm_fwd_args forward() const {
    return forward_args(c, arrays(), c.types.dtype, c.types.weights);
  }
  xlstm_slstm_bwd_args backward() const {
    return backward_args(c, arrays(), c.types.dtype, c.types.weights);
  }
  xlstm_status run() const {
    const xlstm_status status =
        run_on_device(xlstm_slstm_fwd_cuda, xlstm_slstm_fwd_workspace_cuda, forward());
    if (status != XLSTM_OK) return status;
    return run_on_device(xlstm_slstm_bwd_cuda, xlstm_slstm_bwd_workspace_cuda, backward());
  }
  Results results() const {
    return {{"h", h.values()},     {"h1", h1.values()},       {"c1", c1.values()},
            {"n1", n1.values()},   {"m1", m1.values()},       {"dwx", dwx.values()},
            {"dR", dR.values()},   {"dbias", dbias.values()}, {"dh0", dh0.values()},
            {"dc0", dc0.values()}, {"dn0", dn0.values()},     {"dm0", dm0.values()}};
  }
};

// In a short type h and the gradients of the gates are rounded at every step before they go through
// R, and the errors of all steps add up.
double tolerance_of(xlstm_dtype dtype, bool gradient) {
  if (dtype == XLSTM_F32) return gradient ? 3e-5 : 1e-5;
  return (gradient ? 2.5 : 1) * (dtype == XLSTM_BF16 ? 6e-3 : 8e-4);
}

void check(const Sizes& s, const Types& types, const Options& o = {}) {
  INFO(to_string(s, types, o));
  const Case c(s, types, o);
  const OnDevice device(c);
  REQUIRE(device.run() == XLSTM_OK);
  const Results want = on_host(c), got = device.results();
  for (size_t i = 0; i < want.size(); ++i) {
    INFO(want[i].first);
    if (got[i].second.empty()) continue;
    const bool absent = !o.initial && want[i].first == std::string("dm0");
    CHECK((absent ? max_error(got[i].second, want[i].second)
                  : relative_error(got[i].second, want[i].second)) <
          tolerance_of(types.dtype, want[i].first[0] == 'd'));
  }
}

TEST_CASE("sLSTM on CUDA: every size of a head") {
  if (!has_cuda_device()) return;
  for (const Types& types : all_types())
    for (const int64_t D :
         {1, 5, 16, 17, 40, 64, 100, 128, 129, 192, 256, 384, 512, 768, 1000, 1024})
      check({3, 9, 2, D}, types);
}

TEST_CASE("sLSTM on CUDA: heads that no card holds at once go step by step") {
  if (!has_cuda_device()) return;
  check({2, 4, 1, 1100}, {XLSTM_BF16, XLSTM_F32});
  check({9, 3, 2, 1100}, {XLSTM_F16, XLSTM_F16}, {.reset = true});
  check({2, 3, 1, 2500}, {XLSTM_F32, XLSTM_F32}, {.recurrent_clip = 0.05});
}

TEST_CASE("sLSTM on CUDA: batches, heads and lengths") {
  if (!has_cuda_device()) return;
  for (const Types types : {Types{XLSTM_BF16, XLSTM_F32}, Types{XLSTM_F32, XLSTM_F32}})
    for (const int64_t D : {32, 160})
      for (const int64_t B : {1, 8, 33})
        for (const int64_t T : {1, 2, 5, 70}) check({B, T, 3, D}, types);
  for (const int64_t D : {64, 192}) {
    check({2, 300, 12, D}, {XLSTM_F16, XLSTM_F32});
    check({2, 300, 4, D}, {XLSTM_F32, XLSTM_F32});
  }
}

TEST_CASE("sLSTM on CUDA: options") {
  if (!has_cuda_device()) return;
  for (const Types types :
       {Types{XLSTM_BF16, XLSTM_BF16}, Types{XLSTM_F16, XLSTM_F32}, Types{XLSTM_F32, XLSTM_F32}})
    for (const Sizes& s : {Sizes{5, 40, 2, 48}, Sizes{9, 21, 2, 200}, Sizes{3, 17, 3, 7}}) {
      check(s, types, {.bias = false, .initial = false});
      check(s, types, {.reset = true});
      check(s, types, {.initial = false, .reset = true, .time_first = true});
      check(s, types, {.forward_clip = 0.3});
      check(s, types, {.recurrent_clip = 0.02});
      check(s, types, {.recurrent_cut = true});
    }
}

TEST_CASE("sLSTM on CUDA: nothing to do") {
  if (!has_cuda_device()) return;
  for (const Sizes& s : {Sizes{3, 0, 2, 16}, Sizes{0, 4, 2, 16}, Sizes{2, 4, 0, 16}})
    for (const Types types : {Types{XLSTM_BF16, XLSTM_F32}, Types{XLSTM_F32, XLSTM_F32}}) {
      INFO(to_string(s, types, {}));
      const Case c(s, types, {});
      const OnDevice device(c);
      REQUIRE(device.run() == XLSTM_OK);
      for (const double x : device.dR.values()) CHECK(x == 0);
      if (s.T == 0) CHECK(device.c1.values() == c.c0);
    }
}

TEST_CASE("sLSTM on CUDA: every gradient can be absent, and nothing saved") {
  if (!has_cuda_device()) return;
  for (const int64_t D : {48, 160}) {
    const Case c({3, 11, 2, D}, {XLSTM_BF16, XLSTM_F32}, {});
    const OnDevice device(c);
    REQUIRE(device.run() == XLSTM_OK);
    const Values dR = device.dR.values(), dwx = device.dwx.values(), h = device.h.values();
    xlstm_slstm_bwd_args a = device.backward();
    a.dwx = nullptr, a.dh_init = a.dc_init = a.dn_init = a.dm_init = nullptr;
    REQUIRE(run_on_device(xlstm_slstm_bwd_cuda, xlstm_slstm_bwd_workspace_cuda, a) == XLSTM_OK);
    CHECK(device.dR.values() == dR);
    a = device.backward();
    a.dR = a.dbias = nullptr;
    REQUIRE(run_on_device(xlstm_slstm_bwd_cuda, xlstm_slstm_bwd_workspace_cuda, a) == XLSTM_OK);
    CHECK(device.dwx.values() == dwx);
    xlstm_slstm_fwd_args f = device.forward();
    f.saved = nullptr, f.h_final = f.c_final = f.n_final = f.m_final = nullptr;
    REQUIRE(run_on_device(xlstm_slstm_fwd_cuda, xlstm_slstm_fwd_workspace_cuda, f) == XLSTM_OK);
    CHECK(device.h.values() == h);
  }
}

TEST_CASE("sLSTM on CUDA: the same bits every time") {
  if (!has_cuda_device()) return;
  for (const Types types : {Types{XLSTM_BF16, XLSTM_F32}, Types{XLSTM_F32, XLSTM_F32}})
    for (const int64_t D : {64, 192}) {
      const Case c({17, 50, 3, D}, types, {.reset = true});
      OnDevice device(c);
      CHECK(same_bits_again([&] { REQUIRE(device.run() == XLSTM_OK); },
                            {&device.h, &device.c1, &device.dwx, &device.dR, &device.dbias}));
    }
}

TEST_CASE("sLSTM on CUDA: bad arguments") {
  if (!has_cuda_device()) return;
  const Case c({2, 3, 2, 8}, {XLSTM_F32, XLSTM_F32}, {});
  const OnDevice device(c);
  const auto status = [](const xlstm_slstm_fwd_args& a) {
    return run_on_device(xlstm_slstm_fwd_cuda, xlstm_slstm_fwd_workspace_cuda, a);
  };
  xlstm_slstm_fwd_args a = device.forward();
  a.dtype = a.weight_dtype = XLSTM_F64;
  CHECK(status(a) == XLSTM_BAD_DTYPE);
  a = device.forward();
  a.weight_dtype = XLSTM_BF16;
  CHECK(status(a) == XLSTM_BAD_DTYPE);
  a = device.forward();
  a.R = nullptr;
  CHECK(status(a) == XLSTM_NULL_POINTER);
  a = device.forward();
  a.D = -1;
  CHECK(status(a) == XLSTM_BAD_SIZE);
  a = device.forward();
  a.saved = static_cast<char*>(a.saved) + 4;
  CHECK(status(a) == XLSTM_BAD_STRIDE);
  CHECK(xlstm_slstm_fwd_cuda(nullptr, {}) == XLSTM_NULL_POINTER);
  const Case large({2, 3, 2, 160}, {XLSTM_F32, XLSTM_F32}, {});
  const OnDevice on_device(large);
  a = on_device.forward();
  CHECK(xlstm_slstm_fwd_cuda(&a, {}) == XLSTM_WORKSPACE_TOO_SMALL);
}

TEST_CASE("sLSTM on CUDA: time", "[.bench]") {
  if (!has_cuda_device()) return;
  std::printf("%-28s %10s %10s us per step, forward and with backward\n", "heads x dim, batch", "",
              "");
  for (const Sizes& s : {Sizes{16, 1024, 12, 64}, Sizes{16, 1024, 8, 128}, Sizes{16, 1024, 4, 192},
                         Sizes{16, 1024, 4, 256}, Sizes{16, 1024, 1, 768}, Sizes{64, 1024, 12, 64},
                         Sizes{64, 1024, 4, 256}, Sizes{1, 1024, 12, 64}}) {
    const Types types{XLSTM_BF16, XLSTM_F32};
    const Case c(s, types, {});
    const OnDevice device(c);
    const xlstm_slstm_fwd_args f = device.forward();
    const xlstm_slstm_bwd_args b = device.backward();
    const DeviceArray fw = DeviceArray::bytes(xlstm_slstm_fwd_workspace_cuda(&f)),
                      bw = DeviceArray::bytes(xlstm_slstm_bwd_workspace_cuda(&b));
    const double forward = median_ms(
        [&] {
          xlstm_slstm_fwd_cuda(&f, {nullptr, fw.get(), fw.n_bytes(), nullptr});
        },
        10);
    const double backward = median_ms(
        [&] {
          xlstm_slstm_bwd_cuda(&b, {nullptr, bw.get(), bw.n_bytes(), nullptr});
        },
        10);
    std::printf("%3d x %4d, %3d %24.3f %10.3f\n", static_cast<int>(s.H), static_cast<int>(s.D),
                static_cast<int>(s.B), forward * 1e3 / static_cast<double>(s.T),
                (forward + backward) * 1e3 / static_cast<double>(s.T));
  }
}

}  // namespace
}  // namespace xlstm::test
