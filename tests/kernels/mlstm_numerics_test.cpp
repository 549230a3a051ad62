// What float32 costs, and gates far outside any sensible range.
#include "tests/kernels/mlstm_case.h"

namespace xlstm::mlstm_test {
namespace {

// The same numbers in double.
Case<double> widened(const Case<float>& c) {
  Case<double> wide;
  wide.config = c.config;
  wide.config.dtype = wide.config.gate_dtype = XLSTM_F64;
  wide.q = converted<double>(c.q);
  wide.k = converted<double>(c.k);
  wide.v = converted<double>(c.v);
  wide.i = converted<double>(c.i);
  wide.f = converted<double>(c.f);
  wide.C0 = converted<double>(c.C0);
  wide.n0 = converted<double>(c.n0);
  wide.m0 = converted<double>(c.m0);
  wide.dh = converted<double>(c.dh);
  wide.dC = converted<double>(c.dC);
  wide.dn = converted<double>(c.dn);
  wide.reset = c.reset;
  return wide;
}

// h to 1e-4 where its values stay below 35, in proportion beyond; the rest relative to its largest
// value.
void check_against_double(const Case<float>& c, double tolerance) {
  const auto out = c.forward();
  const auto wide = widened(c);
  const auto want = wide.forward();
  INFO("largest h " << largest(want.h));
  CHECK(max_difference(out.h, want.h) <= 1e-4 * std::max(1.0, largest(want.h) / 35));
  CHECK(relative_difference(out.C, want.C) <= tolerance);
  CHECK(relative_difference(out.n, want.n) <= tolerance);
  check_gradients(c.backward(out), wide.backward(want), tolerance);
}

// With positive queries and keys l is a sum of positive numbers, so N does not come near zero and
// what is seen is the error of the sums, not that of dividing by a difference.
Case<float> positive_keys(Case<float> c) {
  for (float& x : c.q) x = std::abs(x);
  for (float& x : c.k) x = std::abs(x);
  return c;
}

TEST_CASE("float32 is close to float64 over a long sequence") {
  check_against_double(Case<float>::random(1, 2048, 1, 64, 64).with_state().with_state_grads(),
                       1e-5);
}

TEST_CASE("float32 loses nothing over 65536 steps") {
  auto c = positive_keys(Case<float>::random(1, 65536, 1, 8, 8));
  for (float& f : c.f) f += 5;  // long memory: log forget gates of about -3e-4
  check_against_double(c, 1e-5);
  c.with_chunk(1, XLSTM_MLSTM_RECURRENT);
  CHECK(max_difference(c.forward().h, widened(c).forward().h) <= 1e-4);
}

TEST_CASE("float32 with gates over the whole range of the soft cap") {
  auto c = positive_keys(Case<float>::random(1, 1024, 2, 32, 32));
  c.config.soft_cap = 15;
  c.i = normal<float>(2048, 3, 0, 15);
  c.f = normal<float>(2048, 4, 0, 15);
  check_against_double(c, 1e-5);
  c.with_chunk(64, XLSTM_MLSTM_PARALLEL);  // cumulative sums of thousands within one chunk
  check_against_double(c, 1e-5);
}

TEST_CASE("gates of any size give finite results") {
  for (const auto form : {XLSTM_MLSTM_CHUNKWISE, XLSTM_MLSTM_RECURRENT, XLSTM_MLSTM_PARALLEL}) {
    const int64_t T = form == XLSTM_MLSTM_PARALLEL ? 2048 : 16384;
    auto c = Case<float>::random(1, T, 1, 8, 8).with_state().with_state_grads();
    c.with_chunk(64, form);
    std::mt19937_64 engine(5);
    std::uniform_real_distribution<float> wide(-1e4f, 1e4f);
    // Stretches of mild, huge positive, huge negative and mixed gates.
    for (int64_t t = 0; t < T; ++t) {
      const int64_t kind = t / 300 % 4;
      const auto at = static_cast<size_t>(t);
      if (kind == 1) c.i[at] = 1e4f, c.f[at] = -1e4f;
      if (kind == 2) c.i[at] = -1e4f, c.f[at] = t % 2 != 0 ? 1e4f : -1e4f;
      if (kind == 3) c.i[at] = wide(engine), c.f[at] = wide(engine);
    }
    for (const bool sigmoid : {false, true}) {
      INFO("form " << form << ", sigmoid gate " << sigmoid);
      if (sigmoid) c.with_sigmoid_gate(true);
      const auto out = c.forward();
      CHECK(all_finite(out.h));
      CHECK(all_finite(out.C));
      CHECK(all_finite(out.saved_m));
      const auto g = c.backward(out);
      for (const auto* x : g.all()) CHECK(all_finite(*x));
    }
  }
}

TEST_CASE("a single token is read back") {
  // With one step from zero h = v * l / max(|l|, e^-m), whatever the gates.
  auto c = Case<double>::random(1, 1, 1, 4, 3);
  for (const double i : {-50.0, 0.0, 30.0}) {
    c.i[0] = i;
    const auto out = c.forward();
    double l = 0;
    for (size_t j = 0; j < 4; ++j) l += c.q[j] * c.k[j] / 2;
    const double m = std::max(i, out.saved_m[0]), scaled = l * std::exp(i - m);
    const double n = std::max(std::abs(scaled), std::exp(-m)) + 1e-6;
    for (size_t j = 0; j < 3; ++j) CHECK(out.h[j] == Approx(c.v[j] * scaled / n).epsilon(1e-12));
  }
}

TEST_CASE("NaN in one step shows in the later steps of its head and in no other head") {
  auto c = Case<float>::random(2, 40, 2, 8, 8).with_chunk(16);
  const int64_t step = 20, head = 1, chunk_begin = 16;
  c.v[static_cast<size_t>((step * 2 + head) * 8)] = NAN;
  const auto h = c.forward().h;
  for (int64_t r = 0; r < 2 * 40 * 2; ++r) {
    const int64_t b = r / 80, t = r / 2 % 40;
    const bool is_nan = std::isnan(h[static_cast<size_t>(r * 8)]);
    if (b == 0 && r % 2 == head && t >= step) {
      CHECK(is_nan);
    } else if (b != 0 || r % 2 != head || t < chunk_begin) {
      CHECK_FALSE(is_nan);
    }
  }
}

}  // namespace
}  // namespace xlstm::mlstm_test
