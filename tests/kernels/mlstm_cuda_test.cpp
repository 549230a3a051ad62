// The mLSTM on CUDA against the CPU in float64, on inputs rounded to the type at hand.
#include <array>
#include <random>
#include <string>

#include "tests/kernels/mlstm_on_device.h"

namespace xlstm::mlstm_test {
namespace {

using test::DeviceArray;
using test::has_cuda_device;
using test::relative_error;

constexpr std::array kTypes{XLSTM_F32, XLSTM_BF16, XLSTM_F16};

void check_close(const char* what, const DeviceArray& got, const Values<double>& want,
                 double tolerance) {
  INFO(what);
  // A quantity that is zero in truth may be rounding noise of the size of one.
  double size = 0;
  for (const double x : want) size += x * x;
  if (size == 0) {
    for (const double x : got.values()) CHECK(std::abs(x) <= tolerance);
    return;
  }
  CHECK(relative_error(got.values(), want) <= tolerance);
}

void check_forward(const OnDevice& d, const Outputs<double>& want, const Tolerance& t) {
  check_close("h", d.h, want.h, t.forward);
  check_close("C", d.C, want.C, t.forward);
  check_close("m", d.m, want.m, 1e-5);
  check_close("saved m", d.saved_m, want.saved_m, 1e-5);
  if (!d.config.normalize) return;
  check_close("n", d.n, want.n, t.forward);
  check_close("saved l", d.saved_l, want.saved_l, t.forward);
}

double norm(const Values<double>& x, size_t from, size_t n) {
  double sum = 0;
  for (size_t j = from; j < std::min(x.size(), from + n); ++j) sum += x[j] * x[j];
  return std::sqrt(sum);
}

// dm0 is <C0, dC0> + <n0, dn0>: sums of either sign, so its error is held against their size.
void check_dm0(const OnDevice& d, const Grads<double>& want, double tolerance) {
  const auto got = d.dm0.values();
  const auto K = static_cast<size_t>(d.config.K), V = static_cast<size_t>(d.config.V);
  for (size_t head = 0; head < got.size(); ++head) {
    double size = std::abs(want.m0[head]) + 1e-5;
    size += norm(d.c.C0, head * K * V, K * V) * norm(want.C0, head * K * V, K * V);
    if (d.config.normalize) size += norm(d.c.n0, head * K, K) * norm(want.n0, head * K, K);
    INFO("dm0 of head " << head);
    CHECK(std::abs(got[head] - want.m0[head]) <= tolerance * size);
  }
}

void check_backward(const OnDevice& d, const Grads<double>& want, const Tolerance& t) {
  check_close("dq", d.dq, want.q, t.gradient);
  check_close("dk", d.dk, want.k, t.gradient);
  check_close("dv", d.dv, want.v, t.gradient);
  check_close("di", d.di, want.i, t.gate);
  check_close("df", d.df, want.f, t.gate);
  check_close("dC0", d.dC0, want.C0, t.gradient);
  // Made of <h, dh>, in which the error of h counts in full where h and dh are nearly orthogonal.
  if (d.config.normalize) check_close("dn0", d.dn0, want.n0, t.gate);
  check_dm0(d, want, t.gate);
}

std::array<int, 3> n_cases;  // by variant

void check_case(const std::string& name, const Case<double>& original, xlstm_dtype dtype,
                xlstm_dtype gate_dtype = XLSTM_F32) {
  INFO(name << ", " << test::name_of(dtype) << ", gates " << test::name_of(gate_dtype));
  const Case<double> c = rounded(original, dtype, gate_dtype);
  const Outputs<double> want = c.forward();
  const Tolerance tolerance = tolerance_of(dtype);
  for (const xlstm_mlstm_variant variant : {XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT}) {
    INFO("variant " << variant);
    OnDevice d(c, dtype, gate_dtype);
    d.config.variant = variant;
    if (!computes(d)) continue;
    ++n_cases[variant];
    REQUIRE(run(d.forward_args()) == XLSTM_OK);
    check_forward(d, want, tolerance);
    REQUIRE(run(d.backward_args()) == XLSTM_OK);
    check_backward(d, c.backward(want), tolerance);
  }
}

struct Named {
  std::string name;
  Case<double> c;
};

std::vector<Named> variants() {
  const auto base = [](int64_t T) {
    return Case<double>::random(2, T, 2, 24, 40).with_state().with_state_grads();
  };
  std::vector<Named> all{{"state", base(150)},
                         {"from zero", Case<double>::random(1, 150, 3, 16, 32)},
                         {"resets", base(300).with_resets(.02)},
                         {"reset at every step", base(70).with_resets(1)},
                         {"sigmoid gate", base(150).with_resets(.02).with_sigmoid_gate(true)},
                         {"no normaliser", base(150).with_resets(.02).with_sigmoid_gate(false)}};
  all.push_back({"reset before the first step", base(140)});
  all.back().c.reset.assign(280, 0);
  all.back().c.reset[0] = all.back().c.reset[140 + 64] = all.back().c.reset[140 + 128] = 1;
  all.push_back({"soft cap", base(70)});
  all.back().c.config.soft_cap = 1.5;
  all.push_back({"detached", base(70)});
  all.back().c.config.detach_normalizer = 1;
  all.push_back({"gradient of the stabiliser", base(200).with_resets(.02)});
  all.back().c.config.stabilizer_gradient = 1;
  all.back().c.config.eps = 0.5;
  all.push_back({"very low start", Case<double>::random(1, 140, 2, 16, 16).with_resets(.03)});
  all.back().c.config.start_m = -1e30;
  all.push_back({"no gradient of h", base(140)});
  all.back().c.dh = {};
  all.push_back({"only C0", base(70)});
  all.back().c.n0 = all.back().c.m0 = all.back().c.dn = {};
  all.push_back({"only m0 and dn", base(140)});
  all.back().c.C0 = all.back().c.n0 = all.back().c.dC = {};
  return all;
}

TEST_CASE("the mLSTM on CUDA is that of the CPU with every option") {
  if (!has_cuda_device()) return;
  size_t n = 0;  // where few are asked for, each variant in one of the types in turn
  for (const auto& [name, c] : variants()) {
    ++n;
    for (const xlstm_dtype dtype : kTypes)
      if (!test::small_run() || dtype == kTypes[n % 3]) check_case(name, c, dtype);
  }
  check_case("gates of the same type", variants()[0].c, XLSTM_BF16, XLSTM_BF16);
  check_case("gates of the same type", variants()[2].c, XLSTM_F16, XLSTM_F16);
}

TEST_CASE("the mLSTM on CUDA is that of the CPU for every shape") {
  if (!has_cuda_device()) return;
  struct Shape {
    int64_t B, T, H, K, V;
  };
  // The first: aligned and not, one block of columns and more, chunks of its own and shared ones.
  for (const Shape s : test::some<Shape>({{2, 15, 2, 17, 1},
                                          {1, 65, 2, 65, 63},
                                          {1, 140, 1, 136, 130},
                                          {1, 30, 1, 10, 6},
                                          {1, 1, 1, 2, 1},
                                          {1, 2, 1, 3, 5},
                                          {1, 64, 1, 64, 64},
                                          {1, 127, 1, 8, 130},
                                          {2, 128, 1, 72, 64},
                                          {1, 129, 3, 32, 32},
                                          {1, 257, 1, 130, 200},
                                          {1, 200, 1, 300, 16},
                                          {2, 200, 2, 64, 128},
                                          {1, 190, 2, 128, 128},
                                          {2, 130, 1, 128, 256},
                                          {1, 260, 1, 192, 192},
                                          {1, 100, 1, 256, 256},
                                          {1, 100, 3, 40, 200},
                                          {1, 63, 1, 256, 16}},
                                         4)) {
    auto c = Case<double>::random(s.B, s.T, s.H, s.K, s.V).with_state().with_state_grads();
    const std::string name =
        "T " + std::to_string(s.T) + ", K " + std::to_string(s.K) + ", V " + std::to_string(s.V);
    for (const xlstm_dtype dtype : kTypes) check_case(name, c, dtype);
  }
  // With K = 1 the normaliser cancels the query.
  auto one = Case<double>::random(1, 1, 1, 1, 1).with_state().with_state_grads();
  one.with_sigmoid_gate(false);
  for (const xlstm_dtype dtype : kTypes) check_case("all of size 1", one, dtype);
  CHECK(n_cases[XLSTM_MLSTM_PORTABLE] > 0);
  std::printf("%d cases by the portable kernels, %d by sweeps\n", n_cases[XLSTM_MLSTM_PORTABLE],
              n_cases[XLSTM_MLSTM_RESIDENT]);
}

TEST_CASE("wide heads and long sequences of the mLSTM on CUDA", "[.long]") {
  if (!has_cuda_device()) return;
  for (const xlstm_dtype dtype : kTypes) {
    check_case("wide", Case<double>::random(1, 300, 1, 256, 512).with_state_grads(), dtype);
    check_case("very wide", Case<double>::random(1, 150, 1, 1040, 700).with_state(), dtype);
    check_case("long", Case<double>::random(1, 8192, 1, 64, 64).with_resets(.0005), dtype);
  }
}

// The errors of all outputs that a call has, h first.
std::vector<double> errors(const OnDevice& d, const Outputs<double>& h, const Grads<double>& g) {
  REQUIRE(run(d.forward_args()) == XLSTM_OK);
  REQUIRE(run(d.backward_args()) == XLSTM_OK);
  std::vector<double> all;
  for (const auto& [got, want] : {std::pair<const DeviceArray*, const Values<double>*>{&d.h, &h.h},
                                  {&d.C, &h.C},
                                  {&d.dv, &g.v},
                                  {&d.dC0, &g.C0},
                                  {&d.dq, &g.q},
                                  {&d.dk, &g.k},
                                  {&d.di, &g.i},
                                  {&d.df, &g.f}}) {
    CHECK(all_finite(got->values()));
    all.push_back(relative_error(got->values(), *want));
  }
  return all;
}

// Random cases go where sums cancel (a lone step has no dq at all), so the measure of a gradient is
// what the portable kernels, which round in the same places, make of it. The two errors are random:
// over all cases they must be of one size, and none ten times the other.
TEST_CASE("the mLSTM on CUDA for random sizes, gates and documents", "[.property]") {
  if (!has_cuda_device()) return;
  constexpr int kExact = 4;  // outputs whose terms do not cancel: those first in `errors`
  std::mt19937_64 engine(7);
  const auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine);
  };
  int n_sweeps = 0;
  std::array<double, 8> log_ratios{};
  for (int i = 0; i < 1000; ++i) {
    const int64_t step = draw(0, 7) == 0 ? 1 : 8;  // most as sweeps take them
    const int64_t K = step * draw(1, 160 / step), V = step * draw(1, 160 / step);
    auto c = Case<double>::random(draw(1, 2), draw(1, 200), draw(1, 3), K, V);
    if (draw(0, 1) == 0) c.with_state();
    if (draw(0, 1) == 0) c.with_state_grads();
    if (draw(0, 2) == 0) c.with_resets(0.02);
    if (draw(0, 3) == 0) c.with_sigmoid_gate(draw(0, 1) == 0);
    if (draw(0, 3) == 0) c.config.soft_cap = 15;
    const xlstm_dtype dtype = draw(0, 1) == 0 ? XLSTM_BF16 : XLSTM_F16;
    const bool wild = dtype == XLSTM_BF16 && draw(0, 1) == 0;  // float16 would overflow
    for (double& x : c.i) x *= wild ? 5 : 1;
    for (double& x : c.f) x = x * (wild ? 5 : 1) + 2;
    INFO("case " << i << ": B " << c.config.B << ", T " << c.config.T << ", H " << c.config.H
                 << ", K " << K << ", V " << V << (wild ? ", wild gates, " : ", ")
                 << test::name_of(dtype));
    c = rounded(c, dtype, XLSTM_F32);
    const auto want = c.forward();
    const auto gradients = c.backward(want);
    OnDevice d(c, dtype, XLSTM_F32);
    d.config.variant = XLSTM_MLSTM_PORTABLE;
    const auto portable = errors(d, want, gradients);
    for (int e = 0; e < kExact && !wild; ++e) {
      INFO("output " << e);
      CHECK(portable[static_cast<size_t>(e)] <= tolerance_of(dtype).gradient);
    }
    d.config.variant = XLSTM_MLSTM_RESIDENT;
    if (!computes(d)) continue;
    ++n_sweeps;
    const auto resident = errors(d, want, gradients);
    for (size_t e = 0; e < resident.size(); ++e) {
      INFO("output " << e << ", portable " << portable[e]);
      CHECK(resident[e] <= std::max(10 * portable[e], tolerance_of(dtype).gate));
      if (portable[e] > 1e-9 && portable[e] < 1 && resident[e] > 0)
        log_ratios[e] += std::log(resident[e] / portable[e]);
    }
  }
  for (size_t e = 0; e < log_ratios.size() && n_sweeps > 0; ++e) {
    INFO("output " << e);
    CHECK(std::exp(log_ratios[e] / n_sweeps) <= 1.25);
    std::printf("%s%.3f", e == 0 ? "error of sweeps over that of the portable kernels: " : ", ",
                std::exp(log_ratios[e] / n_sweeps));
  }
  std::printf("\n1000 cases by the portable kernels, %d of them by sweeps\n", n_sweeps);
}

Case<float> in_float(const Case<double>& c) {
  Case<float> f;
  f.config = c.config;
  f.config.dtype = f.config.gate_dtype = XLSTM_F32;
  f.q = converted<float>(c.q);
  f.k = converted<float>(c.k);
  f.v = converted<float>(c.v);
  f.i = converted<float>(c.i);
  f.f = converted<float>(c.f);
  return f;
}

TEST_CASE("extreme gates leave the mLSTM on CUDA finite") {
  if (!has_cuda_device()) return;
  for (const auto& [i, f] : {std::pair{15.0, 15.0},
                             {-15.0, 15.0},
                             {15.0, -15.0},
                             {-100.0, -100.0},
                             {300.0, 30.0},
                             {-300.0, -300.0},
                             {1e30, -1e30}}) {
    auto c = Case<double>::random(1, 200, 1, 16, 16);
    for (double& x : c.i) x = x * std::abs(i) / 20 + i;
    for (double& x : c.f) x = x * std::abs(f) / 20 + f;
    INFO("i about " << i << ", f about " << f);
    const auto c_narrow = rounded(c, XLSTM_BF16, XLSTM_F32);
    for (const auto variant : {XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT}) {
      OnDevice narrow(c_narrow, XLSTM_BF16, XLSTM_F32);
      narrow.config.variant = variant;
      if (!computes(narrow)) continue;
      REQUIRE(run(narrow.forward_args()) == XLSTM_OK);
      REQUIRE(run(narrow.backward_args()) == XLSTM_OK);
      for (const DeviceArray* x : {&narrow.h, &narrow.C, &narrow.n, &narrow.m, &narrow.dq,
                                   &narrow.dk, &narrow.dv, &narrow.di, &narrow.df})
        CHECK(all_finite(x->values()));
    }
    const auto exact = rounded(c, XLSTM_F32, XLSTM_F32);
    const OnDevice d(exact, XLSTM_F32, XLSTM_F32);
    REQUIRE(run(d.forward_args()) == XLSTM_OK);
    REQUIRE(run(d.backward_args()) == XLSTM_OK);
    const auto want = exact.forward();
    // Where sums of large terms of either sign nearly vanish no float32 kernel is exact.
    const auto on_cpu = in_float(exact).forward();
    if (std::abs(i) < 1e3) {
      const double inherent = relative_error(converted<double>(on_cpu.h), want.h);
      check_close("h", d.h, want.h, std::max(1e-5, 4 * inherent));
    }
    for (const DeviceArray* x : {&d.h, &d.C, &d.n, &d.m, &d.dq, &d.dk, &d.dv, &d.di, &d.df})
      CHECK(all_finite(x->values()));
  }
}

TEST_CASE("the mLSTM on CUDA gives the same bits every time") {
  if (!has_cuda_device()) return;
  const auto variant = GENERATE(XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT);
  const auto c = rounded(Case<double>::random(2, 200, 2, 72, 200).with_state().with_state_grads(),
                         XLSTM_BF16, XLSTM_F32);
  OnDevice first(c, XLSTM_BF16, XLSTM_F32);
  first.config.variant = variant;
  const auto bits = [](const OnDevice& d) {
    std::vector<unsigned char> all;
    for (const DeviceArray* x : {&d.h, &d.C, &d.n, &d.m, &d.saved_m, &d.saved_l, &d.dq, &d.dk,
                                 &d.dv, &d.di, &d.df, &d.dC0, &d.dn0, &d.dm0}) {
      const auto part = x->raw<unsigned char>();
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  };
  if (!computes(first)) return;
  REQUIRE(run(first.forward_args()) == XLSTM_OK);
  REQUIRE(run(first.backward_args()) == XLSTM_OK);
  const auto want = bits(first);
  test::note_bits(want.data(), want.size());
  for (int repeat = 1; repeat < test::n_repeats(); ++repeat) {
    OnDevice again(c, XLSTM_BF16, XLSTM_F32);
    again.config.variant = variant;
    REQUIRE(run(again.forward_args()) == XLSTM_OK);
    REQUIRE(run(again.backward_args()) == XLSTM_OK);
    REQUIRE(bits(again) == want);
  }
}

TEST_CASE("heads on CUDA may be read from one interleaved projection") {
  if (!has_cuda_device()) return;
  const auto variant = GENERATE(XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT);
  const int64_t B = 2, T = 140, H = 2;
  for (const auto [K, V, width] :
       test::some<std::array<int64_t, 3>>({{5, 6, 16}, {16, 32, 64}, {24, 40, 91}}, 1)) {
    for (const xlstm_dtype dtype : kTypes) {
      INFO("K " << K << ", " << test::name_of(dtype) << ", variant " << variant);
      const auto c = rounded(Case<double>::random(B, T, H, K, V), dtype, XLSTM_F32);
      OnDevice d(c, dtype, XLSTM_F32);
      d.config.variant = variant;
      if (!computes(d)) continue;
      const xlstm_mlstm_stride packed{T * H * width, H * width, width};
      const auto size = test::size_of(dtype);
      Values<double> in(static_cast<size_t>(B * T * H * width));
      for (int64_t r = 0; r < B * T * H; ++r) {
        std::copy_n(c.q.begin() + r * K, K, in.begin() + r * width);
        std::copy_n(c.k.begin() + r * K, K, in.begin() + r * width + K);
        std::copy_n(c.v.begin() + r * V, V, in.begin() + r * width + 2 * K);
      }
      const DeviceArray x(in, dtype), y(static_cast<int64_t>(in.size()), dtype),
          dx(static_cast<int64_t>(in.size()), dtype);
      const auto part = [&](const DeviceArray& of, int64_t offset) {
        return static_cast<void*>(static_cast<char*>(of.get()) + offset * size);
      };
      auto a = d.forward_args();
      auto b = d.backward_args();
      REQUIRE(run(a) == XLSTM_OK);
      REQUIRE(run(b) == XLSTM_OK);
      a.q = b.q = part(x, 0);
      a.k = b.k = part(x, K);
      a.v = b.v = part(x, 2 * K);
      a.q_stride = a.k_stride = a.v_stride = a.h_stride = packed;
      b.q_stride = b.k_stride = b.v_stride = b.h_stride = packed;
      b.dq_stride = b.dk_stride = b.dv_stride = packed;
      a.h = part(y, 2 * K);
      b.h = a.h;
      b.dq = part(dx, 0);
      b.dk = part(dx, K);
      b.dv = part(dx, 2 * K);
      if (variant == XLSTM_MLSTM_RESIDENT && width % 8 != 0) {  // nothing for the copy engine
        CHECK(run(a) == XLSTM_BAD_VARIANT);
        CHECK(run(b) == XLSTM_BAD_VARIANT);
        continue;
      }
      REQUIRE(run(a) == XLSTM_OK);
      REQUIRE(run(b) == XLSTM_OK);
      const auto compare = [&](const DeviceArray& wide, int64_t offset, int64_t n,
                               const DeviceArray& dense) {
        Values<double> got;
        const auto all = wide.values();
        for (int64_t r = 0; r < B * T * H; ++r)
          got.insert(got.end(), all.begin() + r * width + offset,
                     all.begin() + r * width + offset + n);
        // Rows that are not aligned are summed in another order.
        CHECK(relative_error(got, dense.values()) <= tolerance_of(dtype).forward / 4);
        for (int64_t r = 0; r < B * T * H && 2 * K + V < width; ++r)  // nothing beside the rows
          REQUIRE(std::isnan(all[static_cast<size_t>(r * width + 2 * K + V)]));
      };
      compare(y, 2 * K, V, d.h);
      compare(dx, 0, K, d.dq);
      compare(dx, K, K, d.dk);
      compare(dx, 2 * K, V, d.dv);
    }
  }
}

TEST_CASE("the mLSTM on CUDA updates a state in place and carries it over an empty sequence") {
  if (!has_cuda_device()) return;
  const auto variant = GENERATE(XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT);
  const auto c = rounded(Case<double>::random(2, 70, 2, 24, 200).with_state().with_state_grads(),
                         XLSTM_BF16, XLSTM_F32);
  OnDevice d(c, XLSTM_BF16, XLSTM_F32);
  d.config.variant = variant;
  if (!computes(d)) return;
  auto a = d.forward_args();
  REQUIRE(run(a) == XLSTM_OK);
  a.C = d.C0.get();
  a.n = d.n0.get();
  a.m = d.m0.get();
  REQUIRE(run(a) == XLSTM_OK);
  CHECK(same_bits(d.C0.values(), d.C.values()));
  CHECK(same_bits(d.n0.values(), d.n.values()));
  CHECK(same_bits(d.m0.values(), d.m.values()));

  auto none = c.steps(0, 0);
  none.C0 = c.C0;
  none.n0 = c.n0;
  none.m0 = c.m0;
  none.dC = c.dC;
  none.dn = c.dn;
  const OnDevice empty(none, XLSTM_BF16, XLSTM_F32);
  REQUIRE(run(empty.forward_args()) == XLSTM_OK);
  CHECK(same_bits(empty.C.values(), c.C0));
  CHECK(same_bits(empty.n.values(), c.n0));
  CHECK(same_bits(empty.m.values(), c.m0));
  REQUIRE(run(empty.backward_args()) == XLSTM_OK);
  CHECK(same_bits(empty.dC0.values(), c.dC));
  CHECK(same_bits(empty.dn0.values(), c.dn));
}

TEST_CASE("optional results of the mLSTM on CUDA may be left out") {
  if (!has_cuda_device()) return;
  const auto variant = GENERATE(XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT);
  const auto c = rounded(Case<double>::random(1, 150, 2, 24, 40), XLSTM_BF16, XLSTM_F32);
  OnDevice d(c, XLSTM_BF16, XLSTM_F32);
  d.config.variant = variant;
  if (!computes(d)) return;
  auto a = d.forward_args();
  REQUIRE(run(a) == XLSTM_OK);
  const auto h = d.h.values();
  a.C = a.n = a.m = a.saved_m = a.saved_l = nullptr;
  REQUIRE(run(a) == XLSTM_OK);
  CHECK(same_bits(d.h.values(), h));
  auto b = d.backward_args();
  REQUIRE(run(b) == XLSTM_OK);
  const auto dq = d.dq.values(), df = d.df.values(), dm0 = d.dm0.values();
  b.dC0 = b.dn0 = nullptr;
  REQUIRE(run(b) == XLSTM_OK);
  CHECK(same_bits(d.dm0.values(), dm0));
  b.dm0 = nullptr;
  REQUIRE(run(b) == XLSTM_OK);
  CHECK(same_bits(d.dq.values(), dq));
  CHECK(same_bits(d.df.values(), df));
}

TEST_CASE("steps of the mLSTM on CUDA are those of the CPU") {
  if (!has_cuda_device()) return;
  struct Shape {
    int64_t B, H, K, V;
  };
  for (const Shape s : test::some<Shape>({{2, 3, 5, 7},
                                          {2, 2, 64, 64},
                                          {1, 2, 33, 132},
                                          {1, 1, 1500, 260},
                                          {1, 1, 1, 1},
                                          {3, 4, 128, 512}},
                                         4))
    for (const int variant : {0, 1, 2})
      for (const xlstm_dtype dtype : kTypes) {
        INFO("K " << s.K << ", V " << s.V << ", variant " << variant << ", "
                  << test::name_of(dtype));
        constexpr int64_t kSteps = 5;
        auto random = Case<double>::random(s.B, kSteps, s.H, s.K, s.V).with_state();
        if (variant > 0) random.with_sigmoid_gate(variant == 1);
        const auto c = rounded(random, dtype, XLSTM_F32);
        const auto want = c.forward();
        const OnDevice d(c, dtype, XLSTM_F32);
        for (int64_t t = 0; t < kSteps; ++t) {
          const auto at = [&](const DeviceArray& x, int64_t width, int64_t size) {
            return static_cast<void*>(static_cast<char*>(x.get()) + t * s.H * width * size);
          };
          const int64_t size = test::size_of(dtype);
          xlstm_mlstm_step_args a{};
          a.config = d.config;
          a.q = at(d.q, s.K, size);
          a.k = at(d.k, s.K, size);
          a.v = at(d.v, s.V, size);
          a.i = at(d.i, 1, 4);
          a.f = at(d.f, 1, 4);
          a.q_stride = a.k_stride = c.rows(s.K);
          a.v_stride = a.h_stride = c.rows(s.V);
          a.i_stride = a.f_stride = c.rows(1);
          a.h = at(d.h, s.V, size);
          a.C = d.C0;
          a.n = c.config.normalize ? d.n0.get() : nullptr;
          a.m = variant == 0 ? d.m0.get() : nullptr;
          REQUIRE(xlstm_mlstm_step_cuda(&a, {}) == XLSTM_OK);
        }
        check_close("h", d.h, want.h, tolerance_of(dtype).forward);
        check_close("C", d.C0, want.C, 1e-5);
        if (c.config.normalize) check_close("n", d.n0, want.n, 1e-5);
        if (variant == 0) check_close("m", d.m0, want.m, 1e-5);
      }
}

TEST_CASE("steps of the mLSTM on CUDA have the same bits every time") {
  if (!has_cuda_device()) return;
  const int64_t B = 3, H = 2, K = 72, V = 132;
  for (const xlstm_dtype dtype : kTypes) {
    INFO(test::name_of(dtype));
    const auto c = rounded(Case<double>::random(B, 1, H, K, V).with_state(), dtype, XLSTM_F32);
    std::vector<std::vector<unsigned char>> first;
    for (int repeat = 0; repeat < test::n_repeats(); ++repeat) {
      const OnDevice d(c, dtype, XLSTM_F32);  // the state is overwritten
      xlstm_mlstm_step_args a{};
      a.config = d.config;
      a.q = d.q;
      a.k = d.k;
      a.v = d.v;
      a.i = d.i;
      a.f = d.f;
      a.q_stride = a.k_stride = c.rows(K);
      a.v_stride = a.h_stride = c.rows(V);
      a.i_stride = a.f_stride = c.rows(1);
      a.h = d.h;
      a.C = d.C0;
      a.n = d.n0;
      a.m = d.m0;
      REQUIRE(xlstm_mlstm_step_cuda(&a, {}) == XLSTM_OK);
      const DeviceArray* results[] = {&d.h, &d.C0, &d.n0, &d.m0};
      for (size_t i = 0; i < 4; ++i) {
        const auto bytes = results[i]->raw<unsigned char>();
        if (repeat == 0) {
          test::note_bits(bytes.data(), bytes.size());
          first.push_back(bytes);
        }
        REQUIRE(bytes == first[i]);
      }
    }
  }
}

TEST_CASE("a step of the mLSTM on CUDA continues the states that its rows name") {
  if (!has_cuda_device()) return;
  constexpr int64_t kSlots = 6, H = 3;
  const std::vector<int64_t> slots{4, -1, 0, kSlots, 2};  // rows 1 and 3 have none
  const auto B = static_cast<int64_t>(slots.size());
  for (const auto& [K, V] : {std::pair<int64_t, int64_t>{3, 5}, {64, 132}, {1100, 64}}) {
    INFO("K " << K << ", V " << V);
    const auto c = rounded(Case<double>::random(B, 1, H, K, V).with_state(), XLSTM_BF16, XLSTM_F32);
    const auto held =
        rounded(Case<double>::random(kSlots, 1, H, K, V).with_state(), XLSTM_BF16, XLSTM_F32);
    const auto has_slot = [&](int64_t slot) { return slot >= 0 && slot < kSlots; };
    // Rows of `from`, one per batch row, from or into the places of their slots.
    const auto gather = [&](const Values<double>& from, Values<double> to, int64_t width) {
      for (int64_t b = 0; b < B; ++b)
        if (const int64_t slot = slots[static_cast<size_t>(b)]; has_slot(slot))
          std::copy_n(from.begin() + slot * width, width, to.begin() + b * width);
      return to;
    };
    const auto scatter = [&](const Values<double>& from, Values<double> to, int64_t width) {
      for (int64_t b = 0; b < B; ++b)
        if (const int64_t slot = slots[static_cast<size_t>(b)]; has_slot(slot))
          std::copy_n(from.begin() + b * width, width, to.begin() + slot * width);
      return to;
    };
    auto gathered = c;
    gathered.C0 = gather(held.C0, c.C0, H * K * V);
    gathered.n0 = gather(held.n0, c.n0, H * K);
    gathered.m0 = gather(held.m0, c.m0, H);
    const OnDevice rows(gathered, XLSTM_BF16, XLSTM_F32), states(held, XLSTM_BF16, XLSTM_F32);
    xlstm_mlstm_step_args a{};
    a.config = rows.config;
    a.q = rows.q;
    a.k = rows.k;
    a.v = rows.v;
    a.i = rows.i;
    a.f = rows.f;
    a.q_stride = a.k_stride = c.rows(K);
    a.v_stride = a.h_stride = c.rows(V);
    a.i_stride = a.f_stride = c.rows(1);
    a.h = rows.h;
    a.C = rows.C0;
    a.n = rows.n0;
    a.m = rows.m0;
    REQUIRE(xlstm_mlstm_step_cuda(&a, {}) == XLSTM_OK);
    Values<double> want = rows.h.values();
    for (int64_t b = 0; b < B; ++b)
      if (!has_slot(slots[static_cast<size_t>(b)]))
        std::fill_n(want.begin() + b * H * V, H * V, 0.0);

    rows.h.poison();
    const DeviceArray slot_list = DeviceArray::of(slots);
    a.C = states.C0;
    a.n = states.n0;
    a.m = states.m0;
    a.slots = static_cast<const int64_t*>(slot_list.get());
    a.n_slots = kSlots;
    REQUIRE(xlstm_mlstm_step_cuda(&a, {}) == XLSTM_OK);
    CHECK(same_bits(rows.h.values(), want));
    CHECK(same_bits(states.C0.values(), scatter(rows.C0.values(), held.C0, H * K * V)));
    CHECK(same_bits(states.n0.values(), scatter(rows.n0.values(), held.n0, H * K)));
    CHECK(same_bits(states.m0.values(), scatter(rows.m0.values(), held.m0, H)));
  }
}

TEST_CASE("the mLSTM on CUDA refuses what it cannot do") {
  if (!has_cuda_device()) return;
  const auto c = rounded(Case<double>::random(1, 3, 1, 4, 4), XLSTM_BF16, XLSTM_F32);
  const OnDevice d(c, XLSTM_BF16, XLSTM_F32);
  auto a = d.forward_args();
  CHECK(xlstm_mlstm_fwd_cuda(&a, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  a.config.gate_dtype = XLSTM_F16;
  CHECK(run(a) == XLSTM_BAD_DTYPE);
  CHECK(xlstm_mlstm_fwd_workspace_cuda(&a) == 0);
  a = d.forward_args();
  a.config.dtype = XLSTM_F64;
  CHECK(run(a) == XLSTM_BAD_DTYPE);
  a = d.forward_args();
  a.config.variant = 3;
  CHECK(run(a) == XLSTM_BAD_VALUE);
  OnDevice wide(c, XLSTM_F32, XLSTM_F32);
  wide.config.variant = XLSTM_MLSTM_RESIDENT;
  CHECK(run(wide.forward_args()) == XLSTM_BAD_VARIANT);
  CHECK(run(wide.backward_args()) == XLSTM_BAD_VARIANT);
  a = d.forward_args();
  a.q = nullptr;
  CHECK(run(a) == XLSTM_NULL_POINTER);
  auto b = d.backward_args();
  CHECK(xlstm_mlstm_bwd_cuda(&b, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  b.config.gate_dtype = XLSTM_F16;
  CHECK(run(b) == XLSTM_BAD_DTYPE);
  a = d.forward_args();
  a.config.B = 0;
  CHECK(xlstm_mlstm_fwd_cuda(&a, {}) == XLSTM_OK);
  CHECK(std::isnan(d.h.values()[0]));
}

// `count` numbers of N(mean, 1): a block of random ones over and over, since many take long to
// draw. Zeros would not do, for the card is faster at a lower power.
DeviceArray random_on_device(int64_t count, xlstm_dtype dtype, double mean) {
  static std::mt19937_64 engine(11);
  std::normal_distribution<double> normal(mean, 1);
  Values<double> block(static_cast<size_t>(std::min<int64_t>(count, 1 << 18)));
  for (double& x : block) x = normal(engine);
  const DeviceArray from(block, dtype);
  DeviceArray to = DeviceArray::bytes(count * test::size_of(dtype));
  for (int64_t at = 0; at < to.n_bytes(); at += from.n_bytes())
    test::check_cuda(cudaMemcpy(static_cast<char*>(to.get()) + at, from.get(),
                                static_cast<size_t>(std::min(from.n_bytes(), to.n_bytes() - at)),
                                cudaMemcpyDeviceToDevice),
                     "copy");
  return to;
}

TEST_CASE("times of the mLSTM on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  struct Shape {
    int64_t B, T, H, K, V;
  };
  std::printf("%-34s %9s %9s %9s %9s %9s   (bf16; useful flops, least bytes)\n",
              "variant, B x T, H x K x V", "fwd ms", "TFLOP/s", "GB/s", "bwd ms", "work MB");
  for (const Shape s : {Shape{32, 2048, 8, 256, 512},
                        {16, 4096, 8, 256, 512},
                        {8, 8192, 8, 256, 512},
                        {4, 16384, 8, 256, 512},
                        {32, 2048, 8, 128, 256},
                        {32, 2048, 4, 128, 128},
                        {32, 2048, 16, 64, 64},
                        {32, 2048, 4, 192, 192},
                        {32, 2048, 4, 384, 384},
                        {8, 2048, 4, 384, 384},
                        {32, 2048, 4, 512, 512},
                        {32, 2048, 2, 1024, 1024},
                        {64, 256, 4, 32, 32},
                        {1, 65536, 8, 256, 512}}) {
    xlstm_mlstm_config config = Case<double>::random(1, 1, 1, 1, 1).config;
    config.B = s.B;
    config.T = s.T;
    config.H = s.H;
    config.K = s.K;
    config.V = s.V;
    config.dtype = XLSTM_BF16;
    config.gate_dtype = XLSTM_F32;
    const int64_t n = s.B * s.T * s.H;
    const auto narrow = [](int64_t count) { return random_on_device(count, XLSTM_BF16, 0); };
    const auto wide = [](int64_t count, double mean) {
      return random_on_device(count, XLSTM_F32, mean);
    };
    const auto room = [](int64_t count, int64_t size) { return DeviceArray::bytes(count * size); };
    const DeviceArray q = narrow(n * s.K), k = narrow(n * s.K), v = narrow(n * s.V), i = wide(n, 0),
                      f = wide(n, 4), h = room(n * s.V, 2), m = room(n, 4), l = room(n, 4),
                      dq = room(n * s.K, 2), dk = room(n * s.K, 2), dv = room(n * s.V, 2),
                      di = room(n, 4), df = room(n, 4);
    const auto rows = [&](int64_t width) {
      return xlstm_mlstm_stride{s.T * s.H * width, s.H * width, width};
    };
    const auto set = [&](auto& a) {
      a.config = config;
      a.q = q;
      a.k = k;
      a.v = v;
      a.i = i;
      a.f = f;
      a.h = h;
      a.saved_m = m;
      a.saved_l = l;
      a.q_stride = a.k_stride = rows(s.K);
      a.v_stride = a.h_stride = rows(s.V);
      a.i_stride = a.f_stride = rows(1);
    };
    xlstm_mlstm_fwd_args a{};
    set(a);
    xlstm_mlstm_bwd_args b{};
    set(b);
    b.dh = v;
    b.dq = dq;
    b.dk = dk;
    b.dv = dv;
    b.di = di;
    b.df = df;
    b.dh_stride = b.dv_stride = rows(s.V);
    b.dq_stride = b.dk_stride = rows(s.K);
    b.di_stride = b.df_stride = rows(1);
    const double steps = static_cast<double>(n), K = static_cast<double>(s.K),
                 V = static_cast<double>(s.V);
    const double flops = steps * (4 * K * V + 64 * (K + V)), bytes = steps * 4 * (K + V);
    for (const auto variant : {XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT}) {
      a.config.variant = b.config.variant = variant;
      const DeviceArray workspace = DeviceArray::bytes(
          std::max(xlstm_mlstm_fwd_workspace_cuda(&a), xlstm_mlstm_bwd_workspace_cuda(&b)));
      const xlstm_exec exec{nullptr, workspace, workspace.n_bytes(), nullptr};
      if (xlstm_mlstm_fwd_cuda(&a, exec) == XLSTM_BAD_VARIANT) continue;
      const double forward =
          test::median_ms([&] { REQUIRE(xlstm_mlstm_fwd_cuda(&a, exec) == XLSTM_OK); }, 10);
      const double backward =
          test::median_ms([&] { REQUIRE(xlstm_mlstm_bwd_cuda(&b, exec) == XLSTM_OK); }, 10);
      std::printf("%-9s %2ld x %5ld, %2ld x %3ld x %3ld %9.3f %9.1f %9.0f %9.3f %9.0f\n",
                  xlstm_mlstm_fwd_variant_cuda(&a), long{s.B}, long{s.T}, long{s.H}, long{s.K},
                  long{s.V}, forward, flops / forward * 1e-9, bytes / forward * 1e-6, backward,
                  static_cast<double>(workspace.n_bytes()) * 1e-6);
    }
  }
  for (const int64_t B : {1, 8, 64, 256}) {
    const int64_t H = 8, K = 256, V = 512;
    xlstm_mlstm_step_args a{};
    a.config = Case<double>::random(1, 1, 1, 1, 1).config;
    a.config.B = B;
    a.config.H = H;
    a.config.K = K;
    a.config.V = V;
    a.config.dtype = XLSTM_BF16;
    a.config.gate_dtype = XLSTM_F32;
    const DeviceArray state = DeviceArray::bytes(B * H * (K * V + K + 1) * 4),
                      rows = DeviceArray::bytes(B * H * V * 2),
                      gates = DeviceArray::bytes(B * H * 4);
    float* C = static_cast<float*>(state.get());
    a.q = a.k = a.v = a.h = rows;
    a.i = a.f = gates;
    a.C = C;
    a.n = C + B * H * K * V;
    a.m = C + B * H * (K * V + K);
    a.q_stride = a.k_stride = a.v_stride = a.h_stride = {H * V, H * V, V};
    a.i_stride = a.f_stride = {H, H, 1};
    const double ms = test::median_ms([&] { REQUIRE(xlstm_mlstm_step_cuda(&a, {}) == XLSTM_OK); });
    std::printf("step, B %3ld, 8 x 256 x 512: %.4f ms, %.0f GB/s\n", long{B}, ms,
                static_cast<double>(B * H * K * V * 8) / ms * 1e-6);
  }
}

}  // namespace
}  // namespace xlstm::mlstm_test
