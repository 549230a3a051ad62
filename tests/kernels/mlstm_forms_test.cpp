// The forms of the mLSTM agree, and it has the invariances that its equations promise.
#include <omp.h>

#include <array>
#include <string>

#include "tests/kernels/mlstm_case.h"

namespace xlstm::mlstm_test {
namespace {

void check_outputs(const Case<double>& c, const Outputs<double>& got, const Outputs<double>& want,
                   double tolerance) {
  CHECK(relative_difference(got.h, want.h) <= tolerance);
  CHECK(relative_difference(got.C, want.C) <= tolerance);
  CHECK(max_difference(got.m, want.m) <= tolerance);
  CHECK(max_difference(got.saved_m, want.saved_m) <= tolerance);
  if (!c.config.normalize) return;
  CHECK(relative_difference(got.n, want.n) <= tolerance);
  CHECK(relative_difference(got.saved_l, want.saved_l) <= tolerance);
}

struct Named {
  std::string name;
  Case<double> c;
};

std::vector<Named> variants() {
  const auto base = [](int64_t T) {
    return Case<double>::random(2, T, 2, 3, 5).with_state().with_state_grads();
  };
  std::vector<Named> all{{"state", base(13)},
                         {"from zero", Case<double>::random(1, 13, 3, 4, 2)},
                         {"resets", base(13).with_resets(.25)},
                         {"reset at every step", base(9).with_resets(1)},
                         {"longer than a tile", base(150).with_resets(.01)},
                         {"sigmoid gate", base(13).with_resets(.1).with_sigmoid_gate(true)},
                         {"no normaliser", base(13).with_resets(.1).with_sigmoid_gate(false)}};
  all.push_back({"soft cap", base(13)});
  all.back().c.config.soft_cap = 1.5;
  all.push_back({"detached", base(13)});
  all.back().c.config.detach_normalizer = 1;
  all.push_back({"no gradient of h", base(13)});
  all.back().c.dh = {};
  all.push_back({"only C0", base(13)});
  all.back().c.n0 = all.back().c.m0 = all.back().c.dn = {};
  all.push_back({"only m0 and dn", base(13)});
  all.back().c.C0 = all.back().c.n0 = all.back().c.dC = {};
  return all;
}

TEST_CASE("recurrent, parallel and chunkwise forms agree for every chunk size") {
  for (auto& [name, c] : variants()) {
    c.with_chunk(1, XLSTM_MLSTM_RECURRENT);
    const auto recurrent = c.forward();
    const auto grads = c.backward(recurrent);
    const auto check = [&](int64_t chunk, xlstm_mlstm_form form) {
      INFO(name << ", chunk " << chunk << ", form " << form);
      c.with_chunk(chunk, form);
      const auto out = c.forward();
      check_outputs(c, out, recurrent, 1e-12);
      check_gradients(c.backward(out), grads, 1e-10);
    };
    for (int64_t chunk = 1; chunk <= std::min<int64_t>(c.config.T, 13); ++chunk)
      check(chunk, XLSTM_MLSTM_CHUNKWISE);
    for (const int64_t chunk : {31, 64, 97, 1000000}) check(chunk, XLSTM_MLSTM_CHUNKWISE);
    check(64, XLSTM_MLSTM_PARALLEL);
  }
}

TEST_CASE("a sequence in two parts with the state carried is the whole sequence") {
  for (auto& [name, c] : variants()) {
    if (c.C0.empty() || c.n0.empty() || c.dC.empty() || c.dn.empty()) continue;
    c.with_chunk(4);
    const auto whole = c.forward();
    const auto grads = c.backward(whole);
    for (const int64_t split : {int64_t{1}, c.config.T / 2, c.config.T - 1}) {
      INFO(name << ", split at " << split);
      auto first = c.steps(0, split), second = c.steps(split, c.config.T);
      first.C0 = c.C0;
      first.n0 = c.n0;
      first.m0 = c.m0;
      second.dC = c.dC;
      second.dn = c.dn;
      const auto first_out = first.forward();
      second.C0 = first_out.C;
      second.n0 = first_out.n;
      second.m0 = first_out.m;
      const auto second_out = second.forward();
      CHECK(relative_difference(second_out.C, whole.C) <= 1e-12);
      CHECK(max_difference(second_out.m, whole.m) <= 1e-12);
      const auto second_grads = second.backward(second_out);
      first.dC = second_grads.C0;
      if (c.config.normalize) first.dn = second_grads.n0;
      const auto first_grads = first.backward(first_out);
      const auto joined = [&](const Values<double>& a, const Values<double>& b, int64_t width) {
        Values<double> out;
        for (int64_t row = 0; row < c.config.B; ++row) {
          const int64_t na = split * width, nb = (c.config.T - split) * width;
          out.insert(out.end(), a.begin() + row * na, a.begin() + (row + 1) * na);
          out.insert(out.end(), b.begin() + row * nb, b.begin() + (row + 1) * nb);
        }
        return out;
      };
      const int64_t H = c.config.H, K = c.config.K, V = c.config.V;
      CHECK(relative_difference(joined(first_out.h, second_out.h, H * V), whole.h) <= 1e-12);
      const Grads<double> both{joined(first_grads.q, second_grads.q, H * K),
                               joined(first_grads.k, second_grads.k, H * K),
                               joined(first_grads.v, second_grads.v, H * V),
                               joined(first_grads.i, second_grads.i, H),
                               joined(first_grads.f, second_grads.f, H),
                               first_grads.C0,
                               first_grads.n0,
                               first_grads.m0};
      check_gradients(both, grads, 1e-10);
    }
  }
}

TEST_CASE("documents behind resets are independent sequences") {
  auto c = Case<double>::random(1, 23, 2, 4, 3).with_state().with_state_grads().with_chunk(4);
  const std::vector<int64_t> starts{0, 1, 7, 15, 16, 23};
  c.reset.assign(23, 0);
  for (const int64_t t : {1, 7, 15, 16}) c.reset[static_cast<size_t>(t)] = 1;
  const auto whole = c.forward();
  const auto grads = c.backward(whole);
  Values<double> h, dq, df;
  for (size_t d = 0; d + 1 < starts.size(); ++d) {
    auto part = c.steps(starts[d], starts[d + 1]);
    part.reset = {};
    if (d == 0) {
      part.C0 = c.C0;
      part.n0 = c.n0;
      part.m0 = c.m0;
    }
    if (d + 2 == starts.size()) {
      part.dC = c.dC;
      part.dn = c.dn;
    }
    const auto out = part.forward();
    const auto g = part.backward(out);
    h.insert(h.end(), out.h.begin(), out.h.end());
    dq.insert(dq.end(), g.q.begin(), g.q.end());
    df.insert(df.end(), g.f.begin(), g.f.end());
    if (d == 0) CHECK(max_difference(g.C0, grads.C0) <= 1e-13);
    if (d + 2 == starts.size()) CHECK(max_difference(out.C, whole.C) <= 1e-13);
  }
  CHECK(max_difference(h, whole.h) <= 1e-13);
  CHECK(relative_difference(dq, grads.q) <= 1e-12);
  CHECK(relative_difference(df, grads.f) <= 1e-12);

  // A reset before the very first step: the initial state counts for nothing.
  c.reset[0] = 1;
  const auto cut = c.gradients();
  CHECK(largest(cut.C0) == 0);
  CHECK(largest(cut.n0) == 0);
  CHECK(largest(cut.m0) == 0);
  CHECK(cut.f[0] == 0);
}

TEST_CASE("rows of a batch do not see each other, bit for bit") {
  const auto c = Case<float>::random(3, 70, 2, 16, 24).with_state().with_state_grads();
  const auto whole = c.forward();
  const auto grads = c.backward(whole);
  for (int64_t b = 0; b < 3; ++b) {
    auto one = c;
    one.config.B = 1;
    const auto keep = [b](Values<float>& x) {
      const auto size = static_cast<int64_t>(x.size()) / 3;
      x = Values<float>(x.begin() + b * size, x.begin() + (b + 1) * size);
    };
    for (auto* x : {&one.q, &one.k, &one.v, &one.i, &one.f, &one.C0, &one.n0, &one.m0, &one.dh,
                    &one.dC, &one.dn})
      keep(*x);
    const auto out = one.forward();
    const auto g = one.backward(out);
    auto want = whole.h;
    keep(want);
    CHECK(same_bits(out.h, want));
    for (size_t j = 0; j < 8; ++j) {
      INFO("gradient " << j);
      want = *grads.all()[j];
      keep(want);
      CHECK(same_bits(*g.all()[j], want));
    }
  }
}

TEST_CASE("the number of threads and of workspace slots changes no bit") {
  const int before = omp_get_max_threads();
  for (const auto form : {XLSTM_MLSTM_CHUNKWISE, XLSTM_MLSTM_RECURRENT}) {
    const auto c =
        Case<float>::random(2, 90, 3, 16, 24).with_state().with_state_grads().with_chunk(32, form);
    omp_set_num_threads(1);
    const auto one = c.forward();
    const auto grads = c.backward(one);
    for (const int threads : {2, 3, 5}) {
      omp_set_num_threads(threads);
      const auto out = c.forward();
      const auto g = c.backward(out);
      CHECK(same_bits(out.h, one.h));
      CHECK(same_bits(out.C, one.C));
      for (size_t j = 0; j < 8; ++j) CHECK(same_bits(*g.all()[j], *grads.all()[j]));
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("no output depends on a later step") {
  auto c = Case<double>::random(1, 40, 1, 4, 3).with_chunk(16);
  const auto out = c.forward();
  const int64_t changed = 21;
  for (int64_t t = changed; t < 40; ++t) {
    const auto at = static_cast<size_t>(t);
    c.i[at] += 50;
    c.f[at] -= 30;
    for (size_t j = 0; j < 4; ++j) c.k[at * 4 + j] = 1e3;
  }
  const auto later = c.forward();
  const auto early = [&](const Values<double>& h) {
    return Values<double>(h.begin(), h.begin() + changed * 3);
  };
  CHECK(max_difference(early(later.h), early(out.h)) == 0);
  CHECK(max_difference(later.h, out.h) > 0.1);
}

TEST_CASE("a state means the same at any stabiliser") {
  auto c = Case<double>::random(2, 20, 2, 4, 3).with_state().with_chunk(8);
  c.config.eps = 0;
  const auto out = c.forward();
  const auto g = c.backward(out);
  const double shift = 2.5;
  auto moved = c;
  for (double& x : moved.C0) x *= std::exp(-shift);
  for (double& x : moved.n0) x *= std::exp(-shift);
  for (double& x : moved.m0) x += shift;
  const auto same = moved.forward();
  CHECK(relative_difference(same.h, out.h) <= 1e-13);
  auto g_moved = moved.backward(same);
  for (double& x : g_moved.C0) x *= std::exp(-shift);
  for (double& x : g_moved.n0) x *= std::exp(-shift);
  check_gradients(g_moved, g, 1e-12);
}

TEST_CASE("single steps in place are the recurrent form") {
  for (auto& [name, c] : variants()) {
    if (!c.reset.empty() && c.config.input_gate == XLSTM_MLSTM_EXPONENTIAL) continue;
    INFO(name);
    c.reset = {};
    c.with_chunk(1, XLSTM_MLSTM_RECURRENT);
    const auto want = c.forward();
    const auto [B, T, H, K, V] =
        std::array{c.config.B, c.config.T, c.config.H, c.config.K, c.config.V};
    const auto start = [](const Values<double>& x, int64_t n) {
      return x.empty() ? Values<double>(static_cast<size_t>(n)) : x;
    };
    Values<double> C = start(c.C0, B * H * K * V), n = start(c.n0, B * H * K),
                   m = start(c.m0, B * H), h(want.h.size());
    for (int64_t t = 0; t < T; ++t) {
      xlstm_mlstm_step_args a{};
      a.config = c.config;
      a.q = c.q.data() + t * H * K;
      a.k = c.k.data() + t * H * K;
      a.v = c.v.data() + t * H * V;
      a.i = c.i.data() + t * H;
      a.f = c.f.data() + t * H;
      a.q_stride = a.k_stride = c.rows(K);
      a.v_stride = a.h_stride = c.rows(V);
      a.i_stride = a.f_stride = c.rows(1);
      a.h = h.data() + t * H * V;
      a.C = C.data();
      a.n = c.config.normalize ? n.data() : nullptr;
      a.m = m.data();
      REQUIRE(xlstm_mlstm_step_cpu(&a, {}) == XLSTM_OK);
    }
    CHECK(same_bits(h, want.h));
    CHECK(same_bits(C, want.C));
  }
}

// One step of the rows of c on the states given, which it overwrites. Returns h.
Values<double> step(const Case<double>& c, Values<double>& C, Values<double>& n, Values<double>& m,
                    const std::vector<int64_t>* slots, int64_t n_slots, xlstm_status expected) {
  const auto rows = [&](int64_t width) { return c.rows(width); };
  Values<double> h(static_cast<size_t>(c.config.B * c.config.H * c.config.V), -7);
  xlstm_mlstm_step_args a{};
  a.config = c.config;
  a.q = c.q.data();
  a.k = c.k.data();
  a.v = c.v.data();
  a.i = c.i.data();
  a.f = c.f.data();
  a.q_stride = a.k_stride = rows(c.config.K);
  a.v_stride = a.h_stride = rows(c.config.V);
  a.i_stride = a.f_stride = rows(1);
  a.h = h.data();
  a.C = C.data();
  a.n = n.data();
  a.m = m.data();
  a.slots = slots == nullptr ? nullptr : slots->data();
  a.n_slots = n_slots;
  CHECK(xlstm_mlstm_step_cpu(&a, {}) == expected);
  return h;
}

TEST_CASE("a step continues the states that its rows name") {
  constexpr int64_t kSlots = 6, H = 2, K = 3, V = 5;
  const auto c = Case<double>::random(4, 1, H, K, V);
  const auto states = Case<double>::random(kSlots, 1, H, K, V).with_state();
  const std::vector<int64_t> slots{4, -1, 0, 5};
  const auto row = [](auto& x, int64_t b, int64_t width) { return x.begin() + b * width; };
  Values<double> C = states.C0, n = states.n0, m = states.m0;
  const auto h = step(c, C, n, m, &slots, kSlots, XLSTM_OK);

  // The same with the states of the rows gathered, those of the row without one arbitrary.
  Values<double> C_rows(4 * H * K * V, 1), n_rows(4 * H * K, 1), m_rows(4 * H, 1);
  Values<double> C_want = states.C0, n_want = states.n0, m_want = states.m0;
  const auto move = [&](auto& from, auto& to, int64_t width, bool back) {
    for (int64_t b = 0; b < 4; ++b)
      if (const int64_t slot = slots[static_cast<size_t>(b)]; slot >= 0)
        std::copy_n(row(from, back ? b : slot, width), width, row(to, back ? slot : b, width));
  };
  move(C_want, C_rows, H * K * V, false);
  move(n_want, n_rows, H * K, false);
  move(m_want, m_rows, H, false);
  auto h_want = step(c, C_rows, n_rows, m_rows, nullptr, 0, XLSTM_OK);
  std::fill_n(row(h_want, 1, H * V), H * V, 0.0);
  move(C_rows, C_want, H * K * V, true);
  move(n_rows, n_want, H * K, true);
  move(m_rows, m_want, H, true);
  CHECK(same_bits(h, h_want));
  CHECK(same_bits(C, C_want));
  CHECK(same_bits(n, n_want));
  CHECK(same_bits(m, m_want));

  // Refused before anything is written.
  for (const std::vector<int64_t>& bad :
       {std::vector<int64_t>{0, 1, 2, kSlots}, {3, -1, -1, 3}, {INT64_MAX, 0, 1, 2}}) {
    const auto untouched = step(c, C, n, m, &bad, kSlots, XLSTM_BAD_VALUE);
    CHECK(std::all_of(untouched.begin(), untouched.end(), [](double x) { return x == -7; }));
    CHECK(same_bits(C, C_want));
  }
  const std::vector<int64_t> none{-1, -5, -1, INT64_MIN};
  const auto zeros = step(c, C, n, m, &none, 0, XLSTM_OK);
  CHECK(std::all_of(zeros.begin(), zeros.end(), [](double x) { return x == 0; }));
  CHECK(same_bits(C, C_want));
}

TEST_CASE("heads may be read from one interleaved projection") {
  // q, k, v side by side per head in one buffer, and h and the gradients written likewise.
  const auto c = Case<float>::random(2, 50, 2, 5, 6).with_chunk(16);
  const int64_t width = 5 + 5 + 6, B = 2, T = 50, H = 2;
  const xlstm_mlstm_stride packed{T * H * width, H * width, width};
  Values<float> in(static_cast<size_t>(B * T * H * width)), out(in.size()), grads(in.size());
  for (int64_t r = 0; r < B * T * H; ++r) {
    std::copy_n(c.q.begin() + r * 5, 5, in.begin() + r * width);
    std::copy_n(c.k.begin() + r * 5, 5, in.begin() + r * width + 5);
    std::copy_n(c.v.begin() + r * 6, 6, in.begin() + r * width + 10);
  }
  const auto want = c.forward();
  const auto want_grads = c.backward(want);
  Values<float> saved_m(want.saved_m.size()), saved_l(want.saved_l.size());
  xlstm_mlstm_fwd_args a{};
  c.set_inputs(a);
  a.q = in.data();
  a.k = in.data() + 5;
  a.v = in.data() + 10;
  a.h = out.data() + 10;
  a.q_stride = a.k_stride = a.v_stride = a.h_stride = packed;
  a.saved_m = saved_m.data();
  a.saved_l = saved_l.data();
  Workspace workspace(xlstm_mlstm_fwd_workspace_cpu(&a));
  REQUIRE(xlstm_mlstm_fwd_cpu(&a, workspace.exec()) == XLSTM_OK);
  xlstm_mlstm_bwd_args b{};
  c.set_inputs(b);
  b.q = a.q;
  b.k = a.k;
  b.v = a.v;
  b.h = a.h;
  b.dh = c.dh.data();
  b.saved_m = a.saved_m;
  b.saved_l = a.saved_l;
  b.dq = grads.data();
  b.dk = grads.data() + 5;
  b.dv = grads.data() + 10;
  Values<float> di(c.i.size()), df(c.f.size());
  b.di = di.data();
  b.df = df.data();
  b.q_stride = b.k_stride = b.v_stride = b.h_stride = packed;
  b.dq_stride = b.dk_stride = b.dv_stride = packed;
  b.dh_stride = c.rows(6);
  b.di_stride = b.df_stride = c.rows(1);
  Workspace more(xlstm_mlstm_bwd_workspace_cpu(&b));
  REQUIRE(xlstm_mlstm_bwd_cpu(&b, more.exec()) == XLSTM_OK);
  for (int64_t r = 0; r < B * T * H; ++r) {
    const auto at = [&](const Values<float>& x, int64_t offset, int64_t n) {
      return Values<float>(x.begin() + offset, x.begin() + offset + n);
    };
    REQUIRE(max_difference(at(out, r * width + 10, 6), at(want.h, r * 6, 6)) <= 1e-5);
    REQUIRE(max_difference(at(grads, r * width, 5), at(want_grads.q, r * 5, 5)) <= 1e-3);
    REQUIRE(max_difference(at(grads, r * width + 5, 5), at(want_grads.k, r * 5, 5)) <= 1e-3);
    REQUIRE(max_difference(at(grads, r * width + 10, 6), at(want_grads.v, r * 6, 6)) <= 1e-3);
  }
}

}  // namespace
}  // namespace xlstm::mlstm_test
