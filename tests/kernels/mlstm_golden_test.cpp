// Numbers computed independently in double precision for a tiny mLSTM, and bad arguments.
#include "tests/kernels/mlstm_case.h"

namespace xlstm::mlstm_test {
namespace {

// offset + amplitude * sin(phase + 0.7 n)
Values<double> wave(int64_t n, double phase, double amplitude, double offset = 0) {
  Values<double> out;
  for (int64_t j = 0; j < n; ++j)
    out.push_back(offset + amplitude * std::sin(phase + 0.7 * static_cast<double>(j)));
  return out;
}

Case<double> golden_case() {
  auto c = Case<double>::random(1, 4, 1, 2, 3);
  c.q = wave(8, .2, 1);
  c.k = wave(8, .6, 1);
  c.v = wave(12, 1.1, 1);
  c.i = wave(4, .3, 1);
  c.f = wave(4, .8, 1, 2);
  c.dh = wave(12, 1.7, 1);
  return c;
}

// Nine printed digits.
constexpr double kPrinted = 2e-9;

void check_values(const Values<double>& got, const Values<double>& want) {
  CHECK(max_difference(got, want) <= kPrinted);
}

TEST_CASE("mlstm golden values") {
  struct Form {
    xlstm_mlstm_form form;
    int64_t chunk;
  };
  for (const Form form : {Form{XLSTM_MLSTM_RECURRENT, 64}, Form{XLSTM_MLSTM_PARALLEL, 64},
                          Form{XLSTM_MLSTM_CHUNKWISE, 1}, Form{XLSTM_MLSTM_CHUNKWISE, 3}}) {
    INFO("form " << form.form << ", chunk " << form.chunk);
    const auto c = golden_case().with_chunk(form.chunk, form.form);
    const auto out = c.forward();
    check_values(out.h,
                 {.734182681, .802262298, .493025421, .288916524, -.080063327, -.411388145,
                  -.949484252, -.465451303, .237490666, -.291032756, 1.675604683, 2.854179058});
    check_values(out.saved_m, {.295520207, .841470985, .991664810, .890428182});
    check_values(out.saved_l, {.613032021, 1.368583338, .088332170, .444554236});
    Values<double> n;
    for (size_t t = 0; t < 4; ++t)
      n.push_back(std::max(std::abs(out.saved_l[t]), std::exp(-out.saved_m[t])));
    check_values(n, {.744144378, 1.368583338, .370958601, .444554236});
    check_values(out.C,
                 {-.327150281, -.969209151, -1.155433814, .533895214, -.141653184, -.750579876});
    check_values(out.n, {-.068177534, -.608995253});
    check_values(out.m, {.890428182});

    const auto full = c.backward(out);
    check_values(full.q, {.840466947, 1.434250601, .251848853, -.337588189, -1.505433698,
                          -1.178478021, -1.485493734, 1.526868103});
    check_values(full.k, {-.738939009, .034607703, 2.214848328, 3.070849095, 3.017074646,
                          2.212485913, -.797193166, -.775590090});
    check_values(full.v,
                 {-.276621596, -.590616598, -.626835385, -1.941826822, -1.746503655, -.729772530,
                  1.291562984, 1.291350293, .683795381, 2.032297447, 1.361843072, .050892621});
    check_values(full.i, {-.383889814, 3.326375004, -2.581413161, 1.341345703});
    check_values(full.f, {0, -.079597300, .093945205, -.129145695});

    auto detached = c;
    detached.config.detach_normalizer = 1;
    const auto fast = detached.backward(out);
    check_values(fast.q, {.840466947, 1.434250601, .418959956, -.206314882, -1.505433698,
                          -1.178478021, -1.582403844, .661219358});
    check_values(fast.k, {-1.269165832, -.498378164, 1.253860294, 2.104860544, 1.664431687,
                          .896498122, -1.888193949, -1.837025926});
    check_values(fast.i, {-1.196841294, 2.039706986, -1.158914601, 3.177047857});
    check_values(fast.f, {0, -.118244338, -.040519145, -.219847249});
    check_values(fast.v, full.v);
  }
}

TEST_CASE("mlstm refuses bad arguments") {
  const auto c = Case<float>::random(1, 4, 2, 3, 5);
  Values<float> h(static_cast<size_t>(4 * 2 * 5), -7.0f);
  xlstm_mlstm_fwd_args good{};
  c.set_inputs(good);
  good.h = h.data();
  Workspace workspace(xlstm_mlstm_fwd_workspace_cpu(&good));
  const auto status_after = [&](auto change) {
    xlstm_mlstm_fwd_args bad = good;
    change(bad);
    return xlstm_mlstm_fwd_cpu(&bad, workspace.exec());
  };
  using Args = xlstm_mlstm_fwd_args;
  CHECK(xlstm_mlstm_fwd_cpu(nullptr, {}) == XLSTM_NULL_POINTER);
  CHECK(status_after([](Args& a) { a.q = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status_after([](Args& a) { a.h = nullptr; }) == XLSTM_NULL_POINTER);
  CHECK(status_after([](Args& a) { a.config.T = -1; }) == XLSTM_BAD_SIZE);
  CHECK(status_after([](Args& a) { a.config.K = 0; }) == XLSTM_BAD_SIZE);
  CHECK(status_after([](Args& a) { a.config.B = INT64_MAX / 2; }) == XLSTM_BAD_SIZE);
  CHECK(status_after([](Args& a) { a.config.chunk_size = 0; }) == XLSTM_BAD_SIZE);
  CHECK(status_after([](Args& a) { a.k_stride.t = 2; }) == XLSTM_BAD_STRIDE);
  CHECK(status_after([](Args& a) { a.config.dtype = XLSTM_BF16; }) == XLSTM_BAD_DTYPE);
  CHECK(status_after([](Args& a) { a.config.gate_dtype = XLSTM_F64; }) == XLSTM_BAD_DTYPE);
  CHECK(status_after([](Args& a) { a.config.normalize = 0; }) == XLSTM_BAD_VALUE);
  CHECK(status_after([](Args& a) { a.config.eps = -1; }) == XLSTM_BAD_VALUE);
  CHECK(status_after([](Args& a) { a.config.eps = NAN; }) == XLSTM_BAD_VALUE);
  CHECK(status_after([](Args& a) { a.config.soft_cap = -1; }) == XLSTM_BAD_VALUE);
  CHECK(status_after([](Args& a) { a.config.variant = 3; }) == XLSTM_BAD_VALUE);
  CHECK(xlstm_mlstm_fwd_cpu(&good, {}) == XLSTM_WORKSPACE_TOO_SMALL);
  // Nothing was written.
  CHECK(std::all_of(h.begin(), h.end(), [](float x) { return x == -7.0f; }));
  CHECK(xlstm_mlstm_fwd_cpu(&good, workspace.exec()) == XLSTM_OK);

  xlstm_mlstm_bwd_args backward{};
  c.set_inputs(backward);
  CHECK(xlstm_mlstm_bwd_cpu(&backward, workspace.exec()) == XLSTM_BAD_STRIDE);  // no gradients set
  backward.dh_stride = backward.dv_stride = c.rows(5);
  backward.dq_stride = backward.dk_stride = c.rows(3);
  CHECK(xlstm_mlstm_bwd_cpu(&backward, workspace.exec()) == XLSTM_NULL_POINTER);

  xlstm_mlstm_step_args step{};
  step.config = c.config;
  CHECK(xlstm_mlstm_step_cpu(&step, {}) == XLSTM_NULL_POINTER);
  step.config.V = -3;
  CHECK(xlstm_mlstm_step_cpu(&step, {}) == XLSTM_BAD_SIZE);
  step.config = c.config;
  const int64_t slot = 0;
  step.slots = &slot;
  step.n_slots = -1;
  CHECK(xlstm_mlstm_step_cpu(&step, {}) == XLSTM_BAD_SIZE);
  step.n_slots = INT64_MAX / 2;
  CHECK(xlstm_mlstm_step_cpu(&step, {}) == XLSTM_BAD_SIZE);
}

TEST_CASE("mlstm with no steps and no rows") {
  auto c = Case<double>::random(2, 0, 3, 4, 5).with_state().with_state_grads();
  for (const auto form : {XLSTM_MLSTM_CHUNKWISE, XLSTM_MLSTM_PARALLEL, XLSTM_MLSTM_RECURRENT}) {
    c.with_chunk(4, form);
    const auto out = c.forward();
    CHECK(same_bits(out.C, c.C0));
    CHECK(same_bits(out.n, c.n0));
    CHECK(same_bits(out.m, c.m0));
    const auto g = c.backward(out);
    CHECK(same_bits(g.C0, c.dC));
    CHECK(same_bits(g.n0, c.dn));
  }
  c.C0 = c.n0 = c.m0 = {};
  CHECK(largest(c.forward().C) == 0);
  const auto none = Case<double>::random(0, 5, 3, 4, 5);
  CHECK(none.forward().h.empty());
  CHECK(none.gradients().q.empty());
}

}  // namespace
}  // namespace xlstm::mlstm_test
