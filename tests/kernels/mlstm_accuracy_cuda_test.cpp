// How accurate the mLSTM on CUDA is in 16 bits: no output may be twice as wrong as that of the
// naive twin (mlstm_twin.h), nor beyond a limit that the twin keeps. Errors are relative, in the
// Frobenius norm, against the CPU in float64 on the same rounded inputs. And the kernels write
// their outputs, all of them, and nothing else.
#include <array>
#include <map>
#include <string>

#include "tests/kernels/mlstm_on_device.h"
#include "tests/kernels/mlstm_twin.h"

namespace xlstm::mlstm_test {
namespace {

using test::has_cuda_device;

constexpr std::array kTypes{XLSTM_BF16, XLSTM_F16};
constexpr std::array kVariants{XLSTM_MLSTM_PORTABLE, XLSTM_MLSTM_RESIDENT};

// What is compared, in the order in which it is printed.
enum Quantity { kH, kC, kN, kDq, kDk, kDv, kDi, kDf, kDC0, kDn0, kDm0, kCount };
constexpr std::array<const char*, kCount> kNames{"h",  "C",  "n",   "dq",  "dk", "dv",
                                                 "di", "df", "dC0", "dn0", "dm0"};
using All = std::array<const Values<double>*, kCount>;
All all_of(const Results& r) {
  return {&r.out.h,   &r.out.C,   &r.out.n,    &r.grads.q,  &r.grads.k, &r.grads.v,
          &r.grads.i, &r.grads.f, &r.grads.C0, &r.grads.n0, &r.grads.m0};
}

Results values_of(const OnDevice& d) {
  return {{d.h.values(), d.C.values(), d.n.values(), d.m.values(), d.saved_m.values(),
           d.saved_l.values()},
          {d.dq.values(), d.dk.values(), d.dv.values(), d.di.values(), d.df.values(),
           d.dC0.values(), d.dn0.values(), d.dm0.values()}};
}

// ---- limits ----

// The largest relative error of rounding to the type.
double unit_of(xlstm_dtype dtype) {
  return dtype == XLSTM_BF16 ? 1.0 / 512 : 1.0 / 4096;
}
constexpr double kMostOfTwin = 2;
// The error of the twin is the mean of what these have, with chunks as long as those of the
// kernels: where a few steps have most of a gradient, a single one may be lucky.
constexpr std::array kTwins{TwinForm{64, false}, TwinForm{128, true}};
// Smaller errors are not compared: this is what the float32 kernels are granted, so it is due to
// the order of float32 sums and the rounding of exponents, in which the twin is no measure. n has
// nothing but such errors, and so have states of a single step.
constexpr double kFloat32 = 1e-5;

// That of the error, where the twin keeps it. There is none for dn0 and dm0, sums over steps whose
// terms <h, dh> / N cancel as the inputs will have it.
double limit_of(int quantity, xlstm_dtype dtype) {
  const Tolerance t = tolerance_of(dtype);
  if (quantity <= kN) return t.forward;
  if (quantity == kDi || quantity == kDf) return t.gate;
  return quantity == kDn0 || quantity == kDm0 ? INFINITY : t.gradient;
}

// ---- errors ----

// Squares of error and size, of a head or of all.
struct Squares {
  double error = 0, size = 0;
  // Of what is zero in truth, the error itself.
  double relative() const { return std::sqrt(size > 0 ? error / size : error); }
};

// By head: from [B,T,H,width], or from a state [B,H,...].
std::vector<Squares> squares_of(int quantity, const xlstm_mlstm_config& c,
                                const Values<double>& got, const Values<double>& want) {
  REQUIRE(got.size() == want.size());
  const bool is_state = quantity == kC || quantity == kN || quantity >= kDC0;
  const int64_t n_rows = c.B * c.H * (is_state ? 1 : c.T);
  const auto width = static_cast<int64_t>(want.size()) / n_rows;
  std::vector<Squares> all(static_cast<size_t>(c.B * c.H));
  for (int64_t row = 0; row < n_rows; ++row) {
    Squares sum;
    for (int64_t j = row * width; j < (row + 1) * width; ++j) {
      const double x = want[static_cast<size_t>(j)], difference = got[static_cast<size_t>(j)] - x;
      sum.error += difference * difference;
      sum.size += x * x;
    }
    Squares& s = all[static_cast<size_t>(is_state ? row : row / (c.T * c.H) * c.H + row % c.H)];
    s.error += sum.error;
    s.size += sum.size;
  }
  return all;
}

// How errors are compared with those of the twin. kTotal: of all heads together. kByHead: the
// geometric mean of the errors of heads. Where l = <q, n> passes by zero with nothing to hold N up,
// a single step has most of h and of the gradients, and so the error of a head is one number drawn.
enum class Compare { kTotal, kByHead };

double relative_error(const std::vector<Squares>& heads, Compare compare) {
  if (compare == Compare::kByHead) {
    double sum = 0;
    for (const Squares& s : heads) sum += std::log(std::max(s.relative(), kFloat32));
    return std::exp(sum / static_cast<double>(heads.size()));
  }
  Squares sum;
  for (const Squares& s : heads) {
    sum.error += s.error;
    sum.size += s.size;
  }
  return sum.relative();
}

// ---- cases ----

struct Named {
  std::string name;
  Case<double> c;
  Compare compare = Compare::kTotal;
};

// Inputs of N(0, 1), forget gates of N(4, 1).
Case<double> normal_case(int64_t B, int64_t T, int64_t H, int64_t K, int64_t V) {
  auto c = Case<double>::random(B, T, H, K, V);
  for (double& f : c.f) f += 1;
  return c;
}
std::string sizes_of(const xlstm_mlstm_config& c) {
  return std::to_string(c.B) + " x " + std::to_string(c.T) + " x " + std::to_string(c.H) + ", " +
         std::to_string(c.K) + " x " + std::to_string(c.V);
}

// The worst ratio of each output, by variant.
class Report {
 public:
  explicit Report(std::string name) : name_(std::move(name)) {}
  void note(int variant, int quantity, double ratio) {
    double& worst = worst_[variant][static_cast<size_t>(quantity)];
    worst = std::max(worst, ratio);
  }
  void print() const {
    for (const auto& [variant, ratios] : worst_) {
      std::printf("%s, %s, worst error over that of the twin:", name_.c_str(),
                  variant == XLSTM_MLSTM_PORTABLE ? "portable" : "resident");
      for (size_t j = 0; j < kCount; ++j) {
        if (ratios[j] > 0) std::printf(" %s %.2f", kNames[j], ratios[j]);
      }
      std::printf("\n");
    }
  }

 private:
  std::string name_;
  std::map<int, std::array<double, kCount>> worst_;
};

// One case in one type: the truth, the twin, and what is to be thought of a result.
class Judge {
 public:
  Judge(const Named& named, xlstm_dtype type) : dtype(type), compare(named.compare) {
    c = rounded(named.c, dtype, XLSTM_F32);
    exact.out = c.forward();
    exact.grads = c.backward(exact.out);
    for (size_t j = 0; j < kTwins.size(); ++j) twins[j] = twin_of(c, dtype, kTwins[j]);
    for (int j = 0; j < kCount; ++j) naive_errors[static_cast<size_t>(j)] = naive_error(j);
  }

  void check(const Results& got, int variant, Report& report) const {
    const All is = all_of(got);
    for (int j = 0; j < kCount; ++j) {
      const auto at = static_cast<size_t>(j);
      const double error = error_of(j, is), naive = naive_errors[at];
      INFO(kNames[at] << ": error " << error << ", of the twin " << naive);
      if (!in_range(naive)) continue;
      CHECK(all_finite(*is[at]));
      if (j == kDf && df_vanishes()) {
        check_vanished(got.grads.f);
        continue;
      }
      const double measure = std::max({naive, least_of(j), j == kDm0 ? dm0_error() : 0.0});
      const double ratio = error / measure;
      CHECK(ratio <= kMostOfTwin);
      if (naive <= limit_of(j, dtype)) CHECK(error <= std::max(limit_of(j, dtype), kFloat32));
      if (error > kFloat32) report.note(variant, j, ratio);
    }
  }

  const Case<double>& values() const { return c; }

 private:
  xlstm_dtype dtype;
  Compare compare;
  Case<double> c;
  Results exact;
  std::array<Results, kTwins.size()> twins;
  std::array<double, kCount> naive_errors{};

  double error_of(int quantity, const All& got) const {
    const auto at = static_cast<size_t>(quantity);
    return relative_error(squares_of(quantity, c.config, *got[at], *all_of(exact)[at]),
                          quantity == kDm0 ? Compare::kTotal : compare);
  }
  // Root of the mean square over the twins.
  double naive_error(int quantity) const {
    double sum = 0;
    for (const Results& twin : twins) sum += std::pow(error_of(quantity, all_of(twin)), 2);
    return std::sqrt(sum / static_cast<double>(twins.size()));
  }

  // Numbers that float16 does not have (1e-13 after input gates of -30) come out as zeros or
  // infinities, and that is all there is to say.
  bool in_range(double naive) const { return dtype == XLSTM_BF16 || naive < 0.5; }

  // The error that every twin must be granted. The gradients of gates and of n and m are made of
  // <h, dh> and <k, dk>, one number a step, and steps in which l is small have most of them: the
  // twin's error is a sum of few draws and may happen to be next to nothing. That of one factor
  // rounded once is never too much.
  double least_of(int quantity) const {
    const bool of_few = quantity == kDi || quantity == kDf || quantity >= kDn0;
    return of_few ? unit_of(dtype) : kFloat32;
  }

  // dm0 = <C0, dC0> + <n0, dn0> is one number a head. Its error is a draw of a normal distribution,
  // because C0 and n0 are; what the twin drew may be anything. So it is held against twice the
  // standard deviation, which follows from the twin's errors of dC0 and dn0.
  double dm0_error() const {
    double variance = 0, size = 0;
    for (const Results& twin : twins)
      for (const auto& [j, state] : {std::pair{kDC0, &c.C0}, {kDn0, &c.n0}}) {
        if (state->empty()) continue;
        const auto at = static_cast<size_t>(j);
        const auto heads = squares_of(j, c.config, *all_of(twin)[at], *all_of(exact)[at]),
                   states = squares_of(j, c.config, *state, *state);
        const double numbers = static_cast<double>(state->size() / heads.size());
        for (size_t head = 0; head < heads.size(); ++head)
          variance += heads[head].error * states[head].size / numbers;
      }
    variance /= static_cast<double>(twins.size());
    for (const double x : exact.grads.m0) size += x * x;
    return size > 0 ? 2 * std::sqrt(variance / size) : 0;
  }

  // The gradient of forget gates is a sum over the later steps of terms of the size of di, which
  // cancel: all of it where the gates let nothing through. Then what is left of df is less than one
  // rounding of a term, and its own error says nothing; that of a step is held against the terms.
  double slope(size_t step) const { return 1 / (1 + std::exp(c.f[step])); }
  bool df_vanishes() const {
    double size = 0, terms = 0;
    for (size_t j = 0; j < exact.grads.f.size(); ++j) {
      size += std::pow(exact.grads.f[j], 2);
      terms += std::pow(slope(j) * exact.grads.i[j], 2);
    }
    return std::sqrt(size) < unit_of(dtype) * std::sqrt(terms);
  }
  void check_vanished(const Values<double>& df) const {
    const double term = largest(exact.grads.i);
    double worst = 0;
    for (size_t j = 0; j < df.size(); ++j) worst = std::max(worst, std::abs(df[j]) / slope(j));
    CHECK(worst <= 4 * unit_of(dtype) * term);
  }
};

void check(const Named& named, Report& report) {
  for (const xlstm_dtype dtype : kTypes) {
    INFO(named.name << ", " << sizes_of(named.c.config) << ", " << test::name_of(dtype));
    const Judge judge(named, dtype);
    for (const xlstm_mlstm_variant variant : kVariants) {
      INFO("variant " << variant);
      OnDevice d(judge.values(), dtype, XLSTM_F32);
      d.config.variant = variant;
      if (!computes(d)) continue;
      REQUIRE(run(d.forward_args()) == XLSTM_OK);
      REQUIRE(run(d.backward_args()) == XLSTM_OK);
      judge.check(values_of(d), variant, report);
    }
  }
}

TEST_CASE("the mLSTM on CUDA is as accurate as its naive twin for every length") {
  if (!has_cuda_device()) return;
  Report report("lengths");
  // Several heads each: the gradients of gates and of n and m are sums of few large terms, so that
  // the error of one head is no more than a few numbers drawn.
  const auto some_cases = test::some<Named>(
      {{"one step", normal_case(16, 1, 8, 64, 64).with_state().with_state_grads()},
       {"states", normal_case(2, 65, 4, 40, 72).with_state().with_state_grads()},
       {"resets",
        normal_case(2, 200, 4, 128, 256).with_state().with_state_grads().with_resets(.02)},
       {"one step from zero", normal_case(16, 1, 8, 40, 72).with_state_grads()},
       {"from zero", normal_case(2, 63, 4, 64, 128)},
       {"states", normal_case(2, 64, 4, 128, 128).with_state().with_state_grads()},
       {"gradient of the last state", normal_case(2, 65, 4, 192, 192).with_state_grads()},
       {"states", normal_case(2, 200, 4, 256, 512).with_state().with_state_grads()},
       {"states", normal_case(2, 200, 4, 384, 384).with_state().with_state_grads()},
       {"resets", normal_case(2, 200, 4, 40, 72).with_resets(.05)},
       {"first state", normal_case(1, 200, 4, 576, 640).with_state()},
       {"from zero", normal_case(2, 1000, 4, 64, 64)},
       {"resets",
        normal_case(2, 1000, 4, 128, 128).with_state().with_state_grads().with_resets(.005)},
       {"states", normal_case(1, 1000, 4, 192, 192).with_state().with_state_grads()},
       {"from zero", normal_case(1, 1000, 2, 256, 512)},
       {"states", normal_case(1, 4096, 4, 64, 64).with_state().with_state_grads()},
       {"resets", normal_case(1, 4096, 2, 128, 256).with_state_grads().with_resets(.001)}},
      3);
  for (const Named& named : some_cases) check(named, report);
  report.print();
}

TEST_CASE("the mLSTM on CUDA in segments of a sequence is as accurate as its naive twin") {
  if (!has_cuda_device()) return;
  Report report("segments");
  struct Shape {
    int64_t T, H, K, V;
  };
  for (const Shape s :
       test::some<Shape>({{4200, 4, 64, 128}, {2100, 2, 256, 512}, {2100, 2, 384, 384}}, 1)) {
    const Case<double> c = normal_case(1, s.T, s.H, s.K, s.V).with_state().with_state_grads();
    check({"segments", c}, report);
  }
  report.print();
}

TEST_CASE("the mLSTM on CUDA with gates at the extremes is as accurate as its naive twin") {
  if (!has_cuda_device()) return;
  for (const auto& [i, f] : {std::pair{30.0, 30.0}, {30.0, -30.0}, {-30.0, 30.0}, {-30.0, -30.0}}) {
    const std::string name = "gates of " + std::to_string(static_cast<int>(i)) + ", " +
                             std::to_string(static_cast<int>(f));
    Report report(name);
    const auto with_gates = [&, i = i, f = f](Case<double> c) {
      for (double& x : c.i) x += i;
      for (double& x : c.f) x += f - 4;
      return c.with_state().with_state_grads();
    };
    // With positive queries and keys l does not come near zero.
    const auto positive = [](Case<double> c) {
      for (auto* x : {&c.q, &c.k, &c.n0})
        for (double& value : *x) value = std::abs(value);
      return c;
    };
    const int64_t T = test::small_run() ? 70 : 500;
    check({name, with_gates(normal_case(2, T, 8, 64, 64)), Compare::kByHead}, report);
    check({name + ", positive", positive(with_gates(normal_case(2, T, 8, 64, 64)))}, report);
    if (!test::small_run())
      check({name + ", positive", positive(with_gates(normal_case(1, 200, 4, 128, 256)))}, report);
    report.print();
  }
}

TEST_CASE("the mLSTM on CUDA over very long sequences is as accurate as its naive twin",
          "[.long]") {
  if (!has_cuda_device()) return;
  Report report("very long");
  check({"long", normal_case(1, 65536, 1, 64, 64).with_state().with_state_grads()}, report);
  check({"long", normal_case(1, 16384, 1, 256, 512).with_state().with_state_grads()}, report);
  report.print();
}

// ---- where the kernels write ----

// Rows of bytes in device memory, with guards between them, before the first and behind the last.
class Guarded {
 public:
  // `filler` is what guards are made of: of inputs, what shows if it is read.
  Guarded(const std::vector<unsigned char>& rows, int64_t n_rows, int64_t gap, unsigned char filler)
      : row_(n_rows > 0 ? static_cast<int64_t>(rows.size()) / n_rows : 0),
        pitch_(row_ + gap),
        n_rows_(n_rows),
        filler_(filler) {
    std::vector<unsigned char> all(static_cast<size_t>(2 * kGuard + n_rows * pitch_), filler);
    for (int64_t r = 0; r < n_rows; ++r)
      std::copy_n(rows.begin() + r * row_, row_, all.begin() + kGuard + r * pitch_);
    memory_ = DeviceArray::of(all);
  }
  static Guarded input(const DeviceArray& values, int64_t n_rows, int64_t gap) {
    return {values.raw<unsigned char>(), n_rows, gap, 0xff};
  }
  // Of NaN bytes, like the array that it stands for.
  static Guarded output(int64_t bytes, int64_t n_rows, int64_t gap) {
    return {std::vector<unsigned char>(static_cast<size_t>(bytes), 0xff), n_rows, gap, 0xa5};
  }

  void* get() const { return static_cast<char*>(memory_.get()) + kGuard; }
  int64_t n_bytes() const { return n_rows_ * row_; }
  std::vector<unsigned char> rows() const {
    const auto all = memory_.raw<unsigned char>();
    std::vector<unsigned char> out;
    for (int64_t r = 0; r < n_rows_; ++r) {
      const auto from = all.begin() + kGuard + r * pitch_;
      out.insert(out.end(), from, from + row_);
    }
    return out;
  }
  bool guards_stand() const {
    const auto all = memory_.raw<unsigned char>();
    const auto n = static_cast<int64_t>(all.size());
    for (int64_t j = 0; j < n; ++j) {
      const int64_t at = j - kGuard;
      const bool inside = at >= 0 && at < n_rows_ * pitch_ && at % pitch_ < row_;
      if (!inside && all[static_cast<size_t>(j)] != filler_) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kGuard = 4096;  // bytes
  int64_t row_, pitch_, n_rows_;
  unsigned char filler_;
  DeviceArray memory_;
};

// The arrays of a case between guards; rows of steps lie `gap` elements apart.
struct OnGuards {
  const OnDevice& d;
  int64_t gap;
  Guarded q, k, v, dh, i, f, h, C, n, m, saved_m, saved_l, dq, dk, dv, di, df, dC0, dn0, dm0;

  OnGuards(const OnDevice& dense, int64_t apart)
      : d(dense),
        gap(apart),
        q(input(d.q)),
        k(input(d.k)),
        v(input(d.v)),
        dh(input(d.dh)),
        i(Guarded::input(d.i, gate_rows(), 4 * gap)),
        f(Guarded::input(d.f, gate_rows(), 4 * gap)),
        h(output(d.h)),
        C(whole(d.C)),
        n(whole(d.n)),
        m(whole(d.m)),
        saved_m(whole(d.saved_m)),
        saved_l(whole(d.saved_l)),
        dq(output(d.dq)),
        dk(output(d.dk)),
        dv(output(d.dv)),
        di(Guarded::output(d.di.n_bytes(), gate_rows(), 4 * gap)),
        df(Guarded::output(d.df.n_bytes(), gate_rows(), 4 * gap)),
        dC0(whole(d.dC0)),
        dn0(whole(d.dn0)),
        dm0(whole(d.dm0)) {}

  xlstm_mlstm_fwd_args forward_args() const {
    xlstm_mlstm_fwd_args a = d.forward_args();
    set_inputs(a);
    a.C = C.get();
    a.n = n.get();
    a.m = m.get();
    a.saved_m = saved_m.get();
    a.saved_l = saved_l.get();
    return a;
  }
  xlstm_mlstm_bwd_args backward_args() const {
    xlstm_mlstm_bwd_args b = d.backward_args();
    set_inputs(b);
    b.dh = dh.get();
    b.dh_stride = b.dv_stride = rows(d.config.V);
    b.saved_m = saved_m.get();
    b.saved_l = saved_l.get();
    b.dq = dq.get();
    b.dk = dk.get();
    b.dv = dv.get();
    b.di = di.get();
    b.df = df.get();
    b.dq_stride = b.dk_stride = rows(d.config.K);
    b.di_stride = b.df_stride = gate_stride();
    b.dC0 = dC0.get();
    b.dn0 = dn0.get();
    b.dm0 = dm0.get();
    return b;
  }

  struct Pair {
    const char* name;
    const Guarded& guarded;
    const DeviceArray& dense;
  };
  std::vector<Pair> inputs() const {
    return {{"q", q, d.q},    {"k", k, d.k}, {"v", v, d.v},
            {"dh", dh, d.dh}, {"i", i, d.i}, {"f", f, d.f}};
  }
  std::vector<Pair> forward_outputs() const {
    return {{"h", h, d.h},
            {"C", C, d.C},
            {"n", n, d.n},
            {"m", m, d.m},
            {"saved m", saved_m, d.saved_m},
            {"saved l", saved_l, d.saved_l}};
  }
  std::vector<Pair> backward_outputs() const {
    return {{"dq", dq, d.dq}, {"dk", dk, d.dk},    {"dv", dv, d.dv},    {"di", di, d.di},
            {"df", df, d.df}, {"dC0", dC0, d.dC0}, {"dn0", dn0, d.dn0}, {"dm0", dm0, d.dm0}};
  }

 private:
  int64_t step_rows() const { return d.config.B * d.config.T * d.config.H; }
  int64_t gate_rows() const { return d.config.B * d.config.T; }
  Guarded input(const DeviceArray& x) const { return Guarded::input(x, step_rows(), 2 * gap); }
  Guarded output(const DeviceArray& x) const {
    return Guarded::output(x.n_bytes(), step_rows(), 2 * gap);
  }
  static Guarded whole(const DeviceArray& x) { return Guarded::output(x.n_bytes(), 1, 0); }
  xlstm_mlstm_stride rows(int64_t width) const {
    const int64_t h_stride = width + gap, t_stride = d.config.H * h_stride;
    return {d.config.T * t_stride, t_stride, h_stride};
  }
  xlstm_mlstm_stride gate_stride() const {
    const int64_t t_stride = d.config.H + gap;
    return {d.config.T * t_stride, t_stride, 1};
  }
  template <class Args>
  void set_inputs(Args& a) const {
    a.q = q.get();
    a.k = k.get();
    a.v = v.get();
    a.i = i.get();
    a.f = f.get();
    a.h = h.get();
    a.q_stride = a.k_stride = rows(d.config.K);
    a.v_stride = a.h_stride = rows(d.config.V);
    a.i_stride = a.f_stride = gate_stride();
  }
};

template <class Args>
void run_between_guards(xlstm_status (*kernel)(const Args*, xlstm_exec), const Args& args,
                        int64_t workspace_bytes) {
  const Guarded workspace = Guarded::output(workspace_bytes, 1, 0);
  REQUIRE(kernel(&args, {nullptr, workspace.get(), workspace.n_bytes(), nullptr}) == XLSTM_OK);
  test::check_cuda(cudaDeviceSynchronize(), "kernel");
  INFO("workspace");
  CHECK(workspace.guards_stand());
}

// Whole elements of the type at hand are finite, nothing else has changed, and nothing but the
// inputs was read: the results are those of the same arrays without guards.
void check_guarded(const std::vector<OnGuards::Pair>& outputs) {
  for (const auto& [name, guarded, dense] : outputs) {
    INFO(name);
    CHECK(all_finite(dense.values()));
    const bool same = guarded.rows() == dense.raw<unsigned char>();
    CHECK(same);
  }
}
void check_guards(const std::vector<OnGuards::Pair>& arrays) {
  for (const auto& pair : arrays) {
    INFO("guards of " << pair.name);
    CHECK(pair.guarded.guards_stand());
  }
}

TEST_CASE("the mLSTM on CUDA writes all of its outputs and nothing else") {
  if (!has_cuda_device()) return;
  struct Shape {
    int64_t B, T, H, K, V;
  };
  for (const Shape s : test::some<Shape>({{2, 65, 2, 40, 72},
                                          {1, 130, 1, 200, 520},
                                          {1, 1, 1, 8, 8},
                                          {2, 1, 3, 40, 72},
                                          {2, 63, 2, 64, 64},
                                          {1, 200, 3, 64, 128},
                                          {1, 200, 2, 128, 128},
                                          {1, 130, 2, 136, 264},
                                          {1, 130, 1, 192, 200},
                                          {1, 100, 1, 256, 512},
                                          {1, 100, 1, 384, 392},
                                          {1, 100, 1, 648, 576},
                                          {1, 2100, 1, 72, 136}},
                                         2))
    for (const xlstm_dtype dtype : kTypes)
      for (const xlstm_mlstm_variant variant : kVariants) {
        const auto c = rounded(normal_case(s.B, s.T, s.H, s.K, s.V).with_state().with_state_grads(),
                               dtype, XLSTM_F32);
        INFO(sizes_of(c.config) << ", " << test::name_of(dtype) << ", variant " << variant);
        OnDevice dense(c, dtype, XLSTM_F32);
        dense.config.variant = variant;
        if (!computes(dense)) continue;
        REQUIRE(run(dense.forward_args()) == XLSTM_OK);
        REQUIRE(run(dense.backward_args()) == XLSTM_OK);
        for (const int64_t gap : {0, 8}) {
          INFO("rows " << gap << " elements apart");
          const OnGuards g(dense, gap);
          const auto a = g.forward_args();
          run_between_guards(xlstm_mlstm_fwd_cuda, a, xlstm_mlstm_fwd_workspace_cuda(&a));
          check_guarded(g.forward_outputs());
          const auto b = g.backward_args();
          run_between_guards(xlstm_mlstm_bwd_cuda, b, xlstm_mlstm_bwd_workspace_cuda(&b));
          check_guarded(g.backward_outputs());
          check_guards(g.inputs());
          check_guards(g.forward_outputs());
          check_guards(g.backward_outputs());
        }
      }
}

}  // namespace
}  // namespace xlstm::mlstm_test
