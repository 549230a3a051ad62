// The sLSTM on CUDA against the CPU in float64, on inputs rounded to the type at hand. Which of its
// kernels runs follows from the card, the type and D: clusters (Hopper, 16-bit types, D a multiple
// of 8 up to 768), small heads (16-bit types, D <= 128), spread heads (16-bit types up to 1024;
// float32 while R fits), step by step beyond. Cases name the others where clusters would hide them.
#include <cstdlib>

#include "tests/kernels/slstm_on_device.h"

namespace xlstm::slstm_test {
namespace {

using test::has_cuda_device;
using test::relative_error;

const std::vector<Types> kShort{kBf16, kF16};

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

// In several types: on values that all of them can hold.
void check_case(const Case& original, const std::vector<Types>& all_types,
                const std::vector<int32_t>& variants = {XLSTM_SLSTM_AUTO}) {
  const Case c = original.rounded(all_types);
  const Results want = on_cpu(c);
  for (const Types& types : all_types)
    for (const int32_t variant : variants) {
      INFO(to_string(c.s) << ", " << test::to_string(types) << ", variant " << variant);
      OnDevice d(c, types);
      d.variant = variant;
      check(d, want);
    }
}
void check_case(const Case& original, const Types& types,
                const std::vector<int32_t>& variants = {XLSTM_SLSTM_AUTO}) {
  check_case(original, std::vector{types}, variants);
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
    check_case(c, kF32);
    check_case(c.without_options(), kF32);
    check_case(c, kShort, {XLSTM_SLSTM_AUTO, XLSTM_SLSTM_SMALL});
    check_case(c.without_options(), kShort);
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
                                         3)) {
    const Case c = Case::random(s);
    check_case(c, kF32);
    check_case(c, kShort, {XLSTM_SLSTM_AUTO, XLSTM_SLSTM_SPREAD});
  }
  if (test::small_run()) return check_case(Case::random({1, 2, 1, 1000}), kF32);
  for (const Sizes s : {Sizes{3, 70, 2, 192}, {3, 5, 1, 642}}) {
    const Case c = Case::random(s).without_options();
    check_case(c, kF32);
    check_case(c, kShort);
  }
}

TEST_CASE("an sLSTM on CUDA with more to do than blocks at once") {
  if (!has_cuda_device()) return;
  if (test::small_run()) return test::skipped("few cases are asked for, and these are large");
  for (const Sizes s :
       {Sizes{40, 2, 12, 192}, {33, 3, 2, 500}, {40, 2, 3, 600}, {33, 3, 1, 1000}}) {
    const Case c = Case::random(s);
    for (const Types& types : {kF32, kBf16}) check_case(c, types, variants_of(s, types));
  }
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
  for (const Sizes& s : all) {
    const Case c = Case::random(s);
    check_case(c, kShort);
    check_case(c.without_options(), kShort);
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
    check_case(Case::random(s), {kBf16WithF32, kF16WithF32});
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
    std::vector<Case> all(12, Case::random(form.s).rounded(form.types));
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
      INFO("option " << i << ", " << to_string(form.s) << ", " << test::to_string(form.types));
      check(OnDevice(all[i], form.types), on_cpu(all[i]));
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
  std::printf("%-21s %8s %8s %8s %10s   (bf16, us per time step)\n", "heads x dim, B, T", "forward",
              "saving", "backward", "fwd + bwd");
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
                        {64, 1024, 1, 768},
                        // A step costs the same however many there are.
                        {2, 1024, 12, 64},
                        {2, 65536, 12, 64},
                        {2, 1024, 4, 256},
                        {2, 65536, 4, 256}}) {
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
      return test::median_ms(call, s.T > 1024 ? 3 : 10) * 1e3 / static_cast<double>(s.T);
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
    std::printf("%2ld x %4ld, %3ld, %6ld  %8.3f %8.3f %8.3f %10.3f   %s, %s\n", long{s.H},
                long{s.D}, long{s.B}, long{s.T}, plain, saving, back, both,
                xlstm_slstm_fwd_variant_cuda(&f), xlstm_slstm_bwd_variant_cuda(&b));
  }
}

}  // namespace
}  // namespace xlstm::slstm_test
