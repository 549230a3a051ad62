// How accurate the sLSTM on CUDA is in 16 bits over long sequences: no result may be more than
// twice as wrong as that of the plainest computation in the same type. Errors are Frobenius norms,
// against the CPU in float64 on the same inputs, of each head and of each of the four gates. And
// what the equations keep whatever the inputs, the kernels keep.
#include <map>

#include "tests/kernels/slstm_on_device.h"

namespace xlstm::slstm_test {
namespace {

using test::has_cuda_device;

// What is compared.
enum Quantity { kH, kHT, kCT, kNT, kMT, kDwx, kDR, kDbias, kDh0, kDc0, kDn0, kDm0, kCount };
constexpr std::array<const char*, kCount> kNames{"h",       "final h", "final c", "final n",
                                                 "final m", "dwx",     "dR",      "dbias",
                                                 "dh0",     "dc0",     "dn0",     "dm0"};
std::array<const Values*, kCount> all_of(const Results& r) {
  return {&r.h,  &r.hT,    &r.cT,  &r.nT,  &r.mT,  &r.dwx,
          &r.dR, &r.dbias, &r.dh0, &r.dc0, &r.dn0, &r.dm0};
}

// ---- the naive form ----

// With the -O1 of tests GCC does not clear the upper halves of the vector registers behind the
// loops, and exponentials of the C library then take three times as long.
#pragma GCC push_options
#pragma GCC optimize("O2")
// sum += factors[0] rows[0] + ..., rows of `width` that lie one behind the other. In float32, which
// is exact enough for a few thousand of them beside the rounding of their factors to 16 bits.
void add_rows(float* sum, int64_t width, const float* rows, const float* factors, int64_t n) {
  int64_t k = 0;
  for (; k + 4 <= n; k += 4) {
    const float* r = rows + k * width;
    const float a = factors[k], b = factors[k + 1], c = factors[k + 2], d = factors[k + 3];
#pragma omp simd
    for (int64_t j = 0; j < width; ++j)
      sum[j] +=
          std::fma(a, r[j], b * r[width + j]) + std::fma(c, r[2 * width + j], d * r[3 * width + j]);
  }
  for (; k < n; ++k) {
    const float* r = rows + k * width;
    const float a = factors[k];
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) sum[j] += a * r[j];
  }
}
#pragma GCC pop_options

// The plainest computation in a type, step by step: inputs and everything that is stored rounded to
// it (pre-activations, gates, h; gradients of h and of the pre-activations), and what a product
// takes; sums and states are not. So dR and dbias are sums of rounded factors, rounded once where
// weights are short. What is stored lies in float32, which holds all of the type.
class Naive {
 public:
  Results results;

  Naive(const Case& values, const Types& type) : c(values), s(values.s), types(type) {
    for (auto [x, size] : {std::pair{&results.h, s.h()},
                           {&results.hT, s.state()},
                           {&results.cT, s.state()},
                           {&results.nT, s.state()},
                           {&results.mT, s.state()},
                           {&results.dwx, 4 * s.h()},
                           {&results.dR, s.R()},
                           {&results.dbias, s.bias()},
                           {&results.dh0, s.state()},
                           {&results.dc0, s.state()},
                           {&results.dn0, s.state()},
                           {&results.dm0, s.state()}})
      x->resize(static_cast<size_t>(size));
    compute();
  }

 private:
  using Stored = std::vector<float>;
  // Of one head and row of the batch: a step's numbers lie behind those of the step before.
  struct Sequence {
    Stored h_before, i, f, z, o, sf, dg;  // dg [T, 4, D]
    Values c, n;                          // from the initial state on: [T + 1, D]
  };
  const Case& c;
  const Sizes s;
  const Types types;
  Stored R, transposed;  // [H, D, 4, D] and [H, 4, D, D]
  std::vector<Sequence> sequences;

  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  Sequence& sequence(int64_t b, int64_t head) { return sequences[at(b * s.H + head)]; }
  bool is_reset(int64_t b, int64_t t) const {
    return !c.reset.empty() && c.reset[at(b * s.T + t)] != 0;
  }
  // Where D numbers of an activation or of a state begin.
  size_t row(int64_t b, int64_t t, int64_t head) const {
    return at(((b * s.T + t) * s.H + head) * s.D);
  }
  size_t gate_row(int64_t b, int64_t t, int64_t gate, int64_t head) const {
    return at((((b * s.T + t) * 4 + gate) * s.H + head) * s.D);
  }
  size_t state_row(int64_t b, int64_t head) const { return at((b * s.H + head) * s.D); }
  Values state(const Values& from, int64_t b, int64_t head) const {
    if (from.empty()) return Values(at(s.D));
    const auto begin = from.begin() + static_cast<ptrdiff_t>(state_row(b, head));
    return {begin, begin + s.D};
  }

  static float rounded(double x, xlstm_dtype dtype) {
    const auto f = static_cast<float>(x);
    return dtype == XLSTM_BF16  ? __bfloat162float(__float2bfloat16_rn(f))
           : dtype == XLSTM_F16 ? __half2float(__float2half_rn(f))
                                : f;
  }
  float rounded(double x) const { return rounded(x, types.dtype); }

  void forward(int64_t b, int64_t head) {
    Sequence& q = sequence(b, head);
    const size_t D = at(s.D), all = at(s.T) * D;
    for (Stored* x : {&q.h_before, &q.i, &q.f, &q.z, &q.o, &q.sf}) x->resize(all);
    q.dg.resize(4 * all);
    q.c = state(c.c0, b, head);
    q.n = state(c.n0, b, head);
    q.c.resize(D + all);
    q.n.resize(D + all);
    const Values h0 = state(c.h0, b, head);
    Values h = h0, m = state(c.m0, b, head);
    Stored g(4 * D);
    for (int64_t t = 0; t < s.T; ++t) {
      const bool fresh = is_reset(b, t);
      float* h_before = &q.h_before[at(t) * D];
      for (size_t j = 0; j < D; ++j) h_before[j] = fresh ? 0 : rounded(h[j]);
      std::fill(g.begin(), g.end(), 0.0f);
      add_rows(g.data(), 4 * s.D, &R[at(head * s.D * 4 * s.D)], h_before, s.D);
      for (size_t j = 0; j < D; ++j) {
        const size_t x = at(t) * D + j;
        const double c_before = fresh ? 0 : q.c[x], n_before = fresh ? 0 : q.n[x];
        const auto pre = [&](int64_t gate) -> double {
          return rounded(g[at(gate) * D + j] + c.wx[gate_row(b, t, gate, head) + j] +
                         (c.bias.empty() ? 0 : c.bias[at((head * 4 + gate) * s.D) + j]));
        };
        const double gi = pre(0), gf = pre(1);
        const double e = std::exp(-std::abs(gf)), sf = (gf < 0 ? 1 : e) / (1 + e);
        const double l = (fresh ? 0 : m[j]) + std::min(gf, 0.0) - std::log1p(e);
        m[j] = n_before == 0 ? gi : std::max(gi, l);
        q.i[x] = rounded(std::exp(gi - m[j]));
        q.f[x] = rounded(std::min(1.0, std::exp(l - m[j])));
        q.z[x] = rounded(std::tanh(pre(2)));
        q.o[x] = rounded(1 / (1 + std::exp(-pre(3))));
        q.sf[x] = rounded(sf);
        q.c[D + x] = q.f[x] * c_before + q.i[x] * q.z[x];
        q.n[D + x] = q.f[x] * n_before + q.i[x];
        h[j] = rounded(q.o[x] * q.c[D + x] / q.n[D + x]);
      }
      std::copy(h.begin(), h.end(), &results.h[row(b, t, head)]);
    }
    const size_t to = state_row(b, head);
    std::copy(h.begin(), h.end(), &results.hT[to]);
    std::copy(q.c.end() - s.D, q.c.end(), &results.cT[to]);
    std::copy(q.n.end() - s.D, q.n.end(), &results.nT[to]);
    std::copy(m.begin(), m.end(), &results.mT[to]);
  }

  void backward(int64_t b, int64_t head) {
    Sequence& q = sequence(b, head);
    const size_t D = at(s.D);
    const Values dhT = state(c.dhT, b, head);
    Stored carried(dhT.begin(), dhT.end());
    Values dc = state(c.dcT, b, head), dn = state(c.dnT, b, head);
    for (int64_t t = s.T - 1; t >= 0; --t) {
      const bool fresh = is_reset(b, t);
      float* dg = &q.dg[at(t) * 4 * D];
      for (size_t j = 0; j < D; ++j) {
        const size_t x = at(t) * D + j;
        const double i = q.i[x], f = q.f[x], z = q.z[x], o = q.o[x], n = q.n[D + x];
        const double c_before = fresh ? 0 : q.c[x], n_before = fresh ? 0 : q.n[x];
        const double dh = rounded(carried[j] + (c.dh.empty() ? 0 : c.dh[row(b, t, head) + j]));
        const double h = o * q.c[D + x] / n;
        const double dct = dc[j] + dh * o / n, dnt = dn[j] - dh * h / n;
        dg[j] = rounded(i * (z * dct + dnt));
        dg[D + j] = rounded(f * (c_before * dct + n_before * dnt) * q.sf[x]);
        dg[2 * D + j] = rounded(i * dct * (1 - z * z));
        dg[3 * D + j] = rounded(dh * h * (1 - o));
        dc[j] = fresh ? 0 : f * dct;
        dn[j] = fresh ? 0 : f * dnt;
        carried[j] = 0;
      }
      if (!fresh) add_rows(carried.data(), s.D, &transposed[at(head * 4 * s.D * s.D)], dg, 4 * s.D);
      for (int64_t gate = 0; gate < 4; ++gate)
        std::copy_n(dg + at(gate) * D, D, &results.dwx[gate_row(b, t, gate, head)]);
    }
    const size_t to = state_row(b, head);
    std::copy(carried.begin(), carried.end(), &results.dh0[to]);
    std::copy(dc.begin(), dc.end(), &results.dc0[to]);
    std::copy(dn.begin(), dn.end(), &results.dn0[to]);
    const Values c0 = state(c.c0, b, head), n0 = state(c.n0, b, head);
    for (size_t j = 0; j < D; ++j) results.dm0[to + j] = c0[j] * dc[j] + n0[j] * dn[j];
  }

  // Of the weights of h[k], or for k = D of the bias.
  void weight_gradient(int64_t head, int64_t k) {
    constexpr int64_t kSteps = 256;  // summed in float32
    Values sum(at(4 * s.D));
    Stored part(at(4 * s.D)), factors(kSteps, 1);
    for (int64_t b = 0; b < s.B; ++b)
      for (int64_t begin = 0; begin < s.T; begin += kSteps) {
        const Sequence& q = sequence(b, head);
        const int64_t n = std::min(kSteps, s.T - begin);
        for (int64_t t = 0; t < n && k < s.D; ++t)
          factors[at(t)] = q.h_before[at((begin + t) * s.D + k)];
        std::fill(part.begin(), part.end(), 0.0f);
        add_rows(part.data(), 4 * s.D, &q.dg[at(begin * 4 * s.D)], factors.data(), n);
        for (size_t j = 0; j < sum.size(); ++j) sum[j] += part[j];
      }
    double* to =
        k < s.D ? &results.dR[at((head * s.D + k) * 4 * s.D)] : &results.dbias[at(head * 4 * s.D)];
    for (size_t j = 0; j < sum.size(); ++j) to[j] = rounded(sum[j], types.weights);
  }

  void compute() {
    R.assign(c.R.begin(), c.R.end());
    transposed.resize(R.size());
#pragma omp parallel for
    for (int64_t row = 0; row < s.H * s.D; ++row)
      for (int64_t j = 0; j < 4 * s.D; ++j)
        transposed[at((row / s.D * 4 * s.D + j) * s.D + row % s.D)] = R[at(row * 4 * s.D + j)];
    sequences.resize(at(s.B * s.H));
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < s.B * s.H; ++i) {
      forward(i / s.H, i % s.H);
      backward(i / s.H, i % s.H);
    }
    // A row of R each, and behind them one of the bias.
#pragma omp parallel for schedule(dynamic)
    for (int64_t row = 0; row < s.H * (s.D + 1); ++row)
      weight_gradient(row / (s.D + 1), row % (s.D + 1));
  }
};

// ---- errors ----

// The largest relative error of rounding to the type; of float32, that of a few steps of a sum.
double unit_of(xlstm_dtype dtype) {
  return dtype == XLSTM_F32 ? 1e-5 : dtype == XLSTM_BF16 ? 1.0 / 512 : 1.0 / 4096;
}
constexpr double kMostOfNaive = 2;
// Of the size of a head's result: what is granted beyond that, for the order of float32 sums and
// the approximations of exponentials, of which the naive form knows nothing. n is 1 with forget
// gates shut, and the gradient of the input gate next to nothing.
constexpr double kFloat32 = 1e-6;

// Norms of the errors, by head and gate (other results than of gates: gate 0), over the norm of all
// gates of the head.
Values errors_of(int quantity, const Sizes& s, const Values& got, const Values& want) {
  REQUIRE(got.size() == want.size());
  const bool of_weights = quantity == kDR || quantity == kDbias;
  const auto n_rows = static_cast<int64_t>(want.size()) / s.D;
  Values errors(static_cast<size_t>(s.H * 4)), sizes(static_cast<size_t>(s.H));
  for (int64_t row = 0; row < n_rows; ++row) {
    const int64_t head = of_weights ? row * s.H / n_rows : row % s.H;
    const int64_t gate = of_weights ? row % 4 : quantity == kDwx ? row / s.H % 4 : 0;
    double error = 0, size = 0;
    for (auto x = static_cast<size_t>(row * s.D); x < static_cast<size_t>((row + 1) * s.D); ++x) {
      error += (got[x] - want[x]) * (got[x] - want[x]);
      size += want[x] * want[x];
    }
    errors[static_cast<size_t>(head * 4 + gate)] += error;
    sizes[static_cast<size_t>(head)] += size;
  }
  for (size_t x = 0; x < errors.size(); ++x) {
    const double size = sizes[x / 4];
    errors[x] = std::sqrt(size > 0 ? errors[x] / size : errors[x]);
  }
  return errors;
}

// The worst ratios of a variant, where errors are more than what float32 is granted.
class Report {
 public:
  void note(int32_t variant, int quantity, double ratio) {
    double& worst = worst_[variant][static_cast<size_t>(quantity)];
    worst = std::max(worst, ratio);
  }
  void print() const {
    for (const auto& [variant, ratios] : worst_) {
      std::printf("variant %d, worst error over that of the naive form:", variant);
      for (size_t j = 0; j < kCount; ++j) std::printf(" %s %.2f,", kNames[j], ratios[j]);
      std::printf("\n");
    }
  }

 private:
  std::map<int32_t, std::array<double, kCount>> worst_;
};

// ---- cases ----

// Around what the pre-activations of the forget gates of each head lie.
constexpr std::array kForget{0.0, 3.0, 30.0, -30.0};

Case with_forget_gates(Case c) {
  REQUIRE(c.s.H == int64_t{kForget.size()});
  for (int64_t row = 0; row < c.s.B * c.s.T; ++row)
    for (int64_t j = 0; j < c.s.H * c.s.D; ++j)
      c.wx[static_cast<size_t>((row * 4 + 1) * c.s.H * c.s.D + j)] +=
          kForget[static_cast<size_t>(j / c.s.D)];
  return c;
}

void check_against_naive(const Case& original, Report& report) {
  const std::vector<Types> all_types{kBf16, kF16};
  const Case c = original.rounded(all_types);
  const Sizes& s = c.s;
  const Results want = on_cpu(c);
  for (const Types& types : all_types) {
    std::array<Values, kCount> naive;
    {
      const Naive form(c, types);
      for (int j = 0; j < kCount; ++j) {
        const auto q = static_cast<size_t>(j);
        naive[q] = errors_of(j, s, *all_of(form.results)[q], *all_of(want)[q]);
      }
    }
    OnDevice d(c, types);
    for (const int32_t variant : variants_of(s, types)) {
      d.variant = variant;
      for (const DeviceArray* x : d.forward_results()) x->poison();
      for (const DeviceArray* x : d.backward_results()) x->poison();
      REQUIRE(run(d.forward_args()) == XLSTM_OK);
      REQUIRE(run(d.backward_args()) == XLSTM_OK);
      const Results got = d.results();
      for (int j = 0; j < kCount; ++j) {
        const auto q = static_cast<size_t>(j);
        const Values errors = errors_of(j, s, *all_of(got)[q], *all_of(want)[q]);
        for (size_t x = 0; x < errors.size(); ++x) {
          INFO(to_string(s) << ", " << test::to_string(types) << ", variant " << variant << ", "
                            << kNames[q] << ", forget gates around " << kForget[x / 4] << ", gate "
                            << x % 4 << ": error " << errors[x] << ", naive " << naive[q][x]);
          CHECK(std::isfinite(naive[q][x]));
          CHECK(errors[x] <= std::max(kMostOfNaive * naive[q][x], kFloat32));
          if (errors[x] > kFloat32) report.note(variant, j, errors[x] / naive[q][x]);
        }
      }
    }
  }
}

TEST_CASE("long sequences of the sLSTM on CUDA are no more than twice as wrong as naive ones") {
  if (!has_cuda_device()) return;
  // Where few are asked for, short ones.
  const int64_t T = test::small_run() ? 64 : 4096;
  Report report;
  for (const Sizes s :
       {Sizes{2, T, 4, 64}, {1, T, 4, 128}, {1, T / 4, 4, 256}, {1, T / 16, 4, 768}}) {
    Case c = with_forget_gates(Case::random(s));
    c.reset = {};
    check_against_naive(c, report);
  }
  check_against_naive(with_forget_gates(Case::random({2, T / 8, 4, 64})), report);
  report.print();
}

// ---- what the equations keep ----

// The gradients of the input gates, summed over time: the sizes of the sums, all added, over the
// sizes of what they are sums of.
double sum_of_input_gates(const Sizes& s, const Values& dwx) {
  Values sums(static_cast<size_t>(s.state()));
  double size = 0;
  for (int64_t b = 0; b < s.B; ++b)
    for (int64_t t = 0; t < s.T; ++t)
      for (int64_t j = 0; j < s.H * s.D; ++j) {
        const double x = dwx[static_cast<size_t>((b * s.T + t) * 4 * s.H * s.D + j)];
        sums[static_cast<size_t>(b * s.H * s.D + j)] += x;
        size += std::abs(x);
      }
  double sum = 0;
  for (const double x : sums) sum += std::abs(x);
  return sum / size;
}

// One of i' and f' is always 1, so n is at least 1, and c is no larger than n. To add a number to
// the pre-activations of the input gate of all steps scales c and n alike, and h does not change.
TEST_CASE("what the sLSTM keeps from the zero state it keeps on CUDA") {
  if (!has_cuda_device()) return;
  struct Form {
    Sizes s;
    Types types;
  };
  for (const Form& form : test::some<Form>({{{9, 40, 2, 64}, kBf16},
                                            {{3, 9, 1, 256}, kF16},
                                            {{9, 12, 2, 24}, kF32},
                                            {{3, 33, 4, 128}, kF16},
                                            {{17, 33, 1, 256}, kBf16},
                                            {{2, 20, 1, 768}, kF16},
                                            {{3, 12, 1, 1000}, kBf16},
                                            {{3, 20, 1, 300}, kF32}},
                                           3))
    for (const double scale : {1.0, 8.0})  // where it is large, gates and h are at their limits
      for (const bool resets : {false, true}) {
        const Sizes& s = form.s;
        const Case all = Case::random(s);
        Case c = all.without_options();
        if (resets) c.reset = all.reset;
        for (double& x : c.wx) x *= scale;
        c = c.rounded(form.types);
        OnDevice d(c, form.types);
        for (const int32_t variant : variants_of(s, form.types)) {
          INFO(to_string(s) << ", " << test::to_string(form.types) << ", inputs times " << scale
                            << (resets ? ", resets" : "") << ", variant " << variant);
          d.variant = variant;
          auto f = d.forward_args();
          for (f.T = 1; f.T <= s.T; ++f.T) {
            d.nT.poison();
            REQUIRE(run(f) == XLSTM_OK);
            const Values n = d.nT.values();
            CHECK(std::all_of(n.begin(), n.end(), [](double x) { return x >= 1; }));
          }
          for (const DeviceArray* x : d.forward_results()) x->poison();
          for (const DeviceArray* x : d.backward_results()) x->poison();
          REQUIRE(run(d.forward_args()) == XLSTM_OK);
          REQUIRE(run(d.backward_args()) == XLSTM_OK);
          // 16 bits have nothing between 1 and what float32 may make of it.
          const double most = form.types.dtype == XLSTM_F32 ? 1 + kFloat32 : 1;
          const Values h = d.h.values();
          CHECK(std::all_of(h.begin(), h.end(), [&](double x) { return std::abs(x) <= most; }));
          CHECK(sum_of_input_gates(s, d.dwx.values()) <= unit_of(form.types.dtype));
        }
      }
}

}  // namespace
}  // namespace xlstm::slstm_test
