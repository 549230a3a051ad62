// The decoding step of an sLSTM layer on CUDA against the op on the CPU in float64, on inputs
// rounded as the kernel rounds them, and against the ops that it stands for.
#include <array>
#include <map>
#include <optional>

#include "core/autograd.h"
#include "core/cuda/graph.h"
#include "core/cuda/measure.h"
#include "core/op_info.h"
#include "core/ops/slstm_decode.h"
#include "core/ops/view.h"
#include "kernels/slstm/slstm_decode.h"
#include "tests/kernels/cuda_kernel_case.h"

namespace xlstm {
namespace {

using test::has_cuda_device;
using test::Matrix;
using test::relative_error;
using test::Types;
using Values = std::vector<double>;

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr int64_t kMostRows = 64;

struct Sizes {
  int64_t B, H, D, KS;
  int64_t C() const { return H * D; }
  int64_t n_kept() const { return KS > 0 ? KS - 1 : 0; }
};
std::string to_string(const Sizes& s) {
  return detail::concat("B ", s.B, ", H ", s.H, ", D ", s.D, ", KS ", s.KS);
}

// Everything contiguous in the order of the header; empty means null.
struct Case {
  Sizes s;
  Values x, conv_weight, conv_bias, conv0, R, bias, h0, c0, n0, m0;
  std::array<Values, 4> W;
  double forward_clip = 0;

  static Case random(const Sizes& s, uint64_t seed = 1) {
    auto draw = [next = seed * 100](int64_t n, double std, double mean = 0) mutable {
      return test::normal(n, next++, std, mean);
    };
    const double small = 1 / std::sqrt(static_cast<double>(s.D));
    Case c;
    c.s = s;
    c.x = draw(s.B * s.C(), 1);
    c.conv_weight = draw(s.C() * s.KS, 0.5);
    if (s.KS > 0) c.conv_bias = draw(s.C(), 0.3);
    c.conv0 = draw(s.B * s.n_kept() * s.C(), 1);
    for (Values& W : c.W) W = draw(s.C() * s.D, small);
    c.R = draw(s.C() * 4 * s.D, 0.5 * small);
    c.bias = draw(s.C() * 4, 0.5, 0.3);
    c.h0 = draw(s.B * s.C(), 0.4);
    c.c0 = draw(s.B * s.C(), 1);
    c.n0 = draw(s.B * s.C(), 0.3);
    for (double& n : c.n0) n = 1 + std::abs(n);
    c.m0 = draw(s.B * s.C(), 1);
    return c;
  }
  Case without_options() const {
    Case c = *this;
    c.conv_bias = c.conv0 = c.bias = c.h0 = c.c0 = c.n0 = c.m0 = {};
    return c;
  }
  // With values that the types hold. The products take W, R and h rounded to the short type.
  Case rounded(const Types& types) const {
    Case c = *this;
    for (Values* v : {&c.x, &c.conv0, &c.R, &c.h0}) *v = test::rounded(*v, types.dtype);
    for (Values& W : c.W) W = test::rounded(W, types.dtype);
    for (Values* v : {&c.conv_weight, &c.conv_bias, &c.bias}) *v = test::rounded(*v, types.weights);
    for (Values* v : {&c.h0, &c.c0, &c.n0, &c.m0}) *v = test::rounded(*v, XLSTM_F32);
    return c;
  }
  // Rows [first, first + n) of the batch.
  Case rows(int64_t first, int64_t n) const {
    Case c = *this;
    c.s.B = n;
    for (Values* v : {&c.x, &c.conv0, &c.h0, &c.c0, &c.n0, &c.m0}) {
      const auto size = static_cast<int64_t>(v->size()) / s.B;
      *v = Values(v->begin() + first * size, v->begin() + (first + n) * size);
    }
    return c;
  }
};

enum Result : size_t { kH, kConv, kHFinal, kC, kN, kM, kResults };
constexpr const char* kNames[kResults] = {"h",       "inputs",  "final h",
                                          "final c", "final n", "final m"};
using Results = std::array<Values, kResults>;

Tensor tensor_of(const Values& v, const Shape& shape) {
  return v.empty() && element_count(shape) > 0 ? Tensor{} : Tensor::from(v, shape);
}

ops::SlstmLayerWeights weights_of(const Case& c) {
  const auto& [B, H, D, KS] = c.s;
  ops::SlstmLayerWeights w;
  if (KS > 0) w.conv = tensor_of(c.conv_weight, {H * D, 1, KS});
  if (KS > 0) w.conv_bias = tensor_of(c.conv_bias, {H * D});
  Tensor* gates[] = {&w.i, &w.f, &w.z, &w.o};
  for (size_t g = 0; g < 4; ++g) *gates[g] = tensor_of(c.W[g], {H, D, D});
  w.R = tensor_of(c.R, {H, D, 4, D});
  w.bias = tensor_of(c.bias, {H, 4, D});
  return w;
}

Results on_cpu(const Case& c) {
  const auto& [B, H, D, KS] = c.s;
  const Shape state{B, H, D};
  const auto out = ops::slstm_decode(tensor_of(c.x, {B, H * D}), weights_of(c),
                                     KS > 0 ? tensor_of(c.conv0, {B, KS - 1, H * D}) : Tensor{},
                                     {tensor_of(c.h0, state), tensor_of(c.c0, state),
                                      tensor_of(c.n0, state), tensor_of(c.m0, state)},
                                     {.forward_clip = c.forward_clip});
  const auto values = [](const Tensor& t) {
    return t.defined() ? t.to_vector<double>() : Values{};
  };
  const ops::SlstmState& s = out.final_state;
  return {values(out.h), values(out.conv), values(s.h), values(s.c), values(s.n), values(s.m)};
}

// A case on the device. What surrounds the results is NaN and must stay so.
struct OnDevice {
  xlstm_slstm_decode_args args{};
  std::vector<Matrix> inputs, results;

  // Arrays begin `offset` elements after an aligned address.
  OnDevice(const Case& c, const Types& types, int64_t offset = 0) {
    args.dtype = types.dtype;
    args.weight_dtype = types.weights;
    args.B = c.s.B, args.H = c.s.H, args.D = c.s.D, args.KS = c.s.KS;
    args.forward_clip = c.forward_clip;
    const auto put = [&](const Values& values, xlstm_dtype dtype) -> const void* {
      if (values.empty()) return nullptr;
      inputs.emplace_back(values, 1, static_cast<int64_t>(values.size()), dtype,
                          test::Placement{64 + offset, 0});
      return inputs.back().get();
    };
    args.x = put(c.x, types.dtype);
    args.conv_weight = put(c.conv_weight, types.weights);
    args.conv_bias = put(c.conv_bias, types.weights);
    args.conv_init = put(c.conv0, types.dtype);
    for (size_t g = 0; g < 4; ++g) args.W[g] = put(c.W[g], types.weights);
    args.R = put(c.R, types.weights);
    args.bias = put(c.bias, types.weights);
    args.h_init = put(c.h0, XLSTM_F32);
    args.c_init = put(c.c0, XLSTM_F32);
    args.n_init = put(c.n0, XLSTM_F32);
    args.m_init = put(c.m0, XLSTM_F32);
    void** places[kResults] = {&args.h,       &args.conv_final, &args.h_final,
                               &args.c_final, &args.n_final,    &args.m_final};
    for (size_t r = 0; r < kResults; ++r) {
      const int64_t n = c.s.B * c.s.C() * (r == kConv ? c.s.n_kept() : 1);
      results.emplace_back(1, n, r == kH || r == kConv ? types.dtype : XLSTM_F32,
                           test::Placement{64 + offset, 64});
      *places[r] = results.back().get();
    }
  }
  xlstm_status run() const { return test::run_on_device(xlstm_slstm_decode_cuda, args); }
  std::vector<test::DeviceArray*> memory() {
    std::vector<test::DeviceArray*> all;
    for (Matrix& result : results) all.push_back(result.memory());
    return all;
  }
  // The float32 bits of all results, NaN for what was not written.
  std::array<Values, kResults> values() const {
    std::array<Values, kResults> all;
    for (size_t r = 0; r < kResults; ++r) all[r] = results[r].values();
    return all;
  }
};

void check(const OnDevice& d, const Results& want) {
  const double tolerance = test::forward_tolerance(d.args.dtype);
  REQUIRE(d.run() == XLSTM_OK);
  for (size_t r = 0; r < kResults; ++r) {
    INFO(kNames[r]);
    CHECK(d.results[r].surroundings_intact());
    const Values got = d.results[r].values();
    const Values expected(want[r].begin(), want[r].begin() + static_cast<int64_t>(got.size()));
    // The inputs that are kept are copies.
    if (r == kConv) CHECK(got == expected);
    if (r != kConv) CHECK(relative_error(got, expected) <= tolerance);
  }
}

void check_case(const Case& original, const Types& types, const std::vector<int64_t>& rows) {
  const Case c = original.rounded(types);
  const Results want = on_cpu(c);
  for (const int64_t B : rows) {
    const Case part = c.rows(0, B);
    INFO(to_string(part.s) << ", " << test::to_string(types));
    check(OnDevice(part, types), want);
  }
}

struct Shape2 {
  int64_t H, D;
};
const std::vector<Shape2> kShapes{{4, 64},  {1, 17},  {1, 768}, {12, 8}, {4, 192}, {4, 256},
                                  {12, 64}, {1, 1},   {4, 1},   {4, 17}, {12, 17}, {1, 8},
                                  {1, 64},  {1, 192}, {1, 256}, {12, 1}, {4, 8}};

TEST_CASE("a decoding step of the sLSTM on CUDA equals the CPU's in float64") {
  if (!has_cuda_device()) return;
  for (const auto& [H, D] : test::some(kShapes, 3))
    for (const int64_t KS : {4, 1, 0}) {
      const Case c = Case::random({kMostRows, H, D, KS});
      for (const Types& types : test::all_types()) check_case(c, types, {1, 3, 16, 64});
    }
}

TEST_CASE("a decoding step on CUDA takes other sizes, missing arrays and a clip") {
  if (!has_cuda_device()) return;
  for (const Sizes& s : {Sizes{5, 2, 24, 4},
                         {9, 1, 33, 7},
                         {9, 2, 40, 2},
                         {17, 3, 100, 4},
                         {2, 1, 520, 3},
                         {2, 1, 1100, 4}})
    for (const Types& types : test::all_types()) {
      Case c = Case::random(s, 3);
      check_case(c, types, {s.B});
      check_case(c.without_options(), types, {s.B});
      c.forward_clip = 0.1;
      check_case(c, types, {s.B});
    }
  for (const Sizes& s : {Sizes{0, 2, 8, 4}, {2, 0, 8, 4}, {2, 2, 0, 4}}) {
    xlstm_slstm_decode_args args{};
    args.B = s.B, args.H = s.H, args.D = s.D;
    int something = 0;
    for (const void*& W : args.W) W = &something;  // nothing is read
    args.R = &something;
    CHECK(xlstm_slstm_decode_cuda(&args, {}) == XLSTM_OK);
  }
}

TEST_CASE("states of a decoding step that are not wanted are not written") {
  if (!has_cuda_device()) return;
  const Case c = Case::random({3, 2, 24, 4}).rounded({XLSTM_BF16, XLSTM_BF16});
  OnDevice d(c, {XLSTM_BF16, XLSTM_BF16});
  d.args.conv_final = d.args.h_final = d.args.c_final = d.args.n_final = d.args.m_final = nullptr;
  REQUIRE(d.run() == XLSTM_OK);
  CHECK(relative_error(d.results[kH].values(), on_cpu(c)[kH]) <= 4e-3);
}

TEST_CASE("a row's bits in a decoding step do not depend on the other rows") {
  if (!has_cuda_device()) return;
  for (const auto& [H, D] : {Shape2{2, 64}, {1, 256}, {1, 768}, {3, 17}, {2, 8}})
    for (const Types& types : test::all_types()) {
      const Case c = Case::random({37, H, D, 4}, 5).rounded(types);
      INFO(to_string(c.s) << ", " << test::to_string(types));
      OnDevice whole(c, types);
      REQUIRE(whole.run() == XLSTM_OK);
      const Results all = whole.values();
      for (const auto& [first, n] : {std::pair<int64_t, int64_t>{0, 1}, {36, 1}, {5, 8}, {8, 20}}) {
        OnDevice part(c.rows(first, n), types);
        REQUIRE(part.run() == XLSTM_OK);
        const Results some = part.values();
        for (size_t r = 0; r < kResults; ++r) {
          INFO(kNames[r] << ", rows from " << first);
          const auto size = static_cast<int64_t>(some[r].size());
          const int64_t at = size / n * first;
          CHECK(some[r] == Values(all[r].begin() + at, all[r].begin() + at + size));
        }
      }
    }
}

TEST_CASE("a decoding step gives the same bits again, in place and wherever arrays lie") {
  if (!has_cuda_device()) return;
  for (const Sizes& s : {Sizes{3, 2, 64, 4},
                         {17, 1, 256, 4},
                         {2, 1, 768, 4},
                         {9, 3, 17, 4},
                         {9, 2, 8, 0},
                         {12, 1, 520, 2}})
    for (const Types& types : test::all_types()) {
      INFO(to_string(s) << ", " << test::to_string(types));
      const Case c = Case::random(s, 6).rounded(types);
      OnDevice d(c, types);
      CHECK(test::same_bits_again([&] { REQUIRE(d.run() == XLSTM_OK); }, d.memory()));
      const Results want = d.values();
      OnDevice elsewhere(c, types, 1);
      REQUIRE(elsewhere.run() == XLSTM_OK);
      CHECK(elsewhere.values() == want);
      // c, n and m where they were.
      d.args.c_final = const_cast<void*>(d.args.c_init);
      d.args.n_final = const_cast<void*>(d.args.n_init);
      d.args.m_final = const_cast<void*>(d.args.m_init);
      REQUIRE(d.run() == XLSTM_OK);
      CHECK(d.results[kH].values() == want[kH]);
      const size_t n = d.inputs.size();
      CHECK(d.inputs[n - 3].values() == want[kC]);
      CHECK(d.inputs[n - 2].values() == want[kN]);
      CHECK(d.inputs[n - 1].values() == want[kM]);
    }
}

// ---- the op ----

Tensor on_gpu(const Tensor& t, DType dtype) {
  if (!t.defined()) return t;
  Tensor copy = Tensor::empty(t.shape(), dtype, kCuda);
  copy.copy_from(t);
  return copy;
}

// A layer's weights, a state and inputs on the device.
struct Layer {
  ops::SlstmLayerWeights w;
  ops::SlstmDecodeResult start;
  Tensor x;

  Layer(const Sizes& s, DType dtype, DType weights) {
    const Case c = Case::random(s, 7);
    w = weights_of(c);
    for (Tensor* t : {&w.conv, &w.conv_bias, &w.i, &w.f, &w.z, &w.o, &w.R, &w.bias})
      *t = on_gpu(*t, weights);
    x = on_gpu(tensor_of(c.x, {s.B, s.C()}), dtype);
    if (s.KS > 0) start.conv = Tensor::zeros({s.B, s.KS - 1, s.C()}, dtype, kCuda);
    for (Tensor* t :
         {&start.final_state.h, &start.final_state.c, &start.final_state.n, &start.final_state.m})
      *t = Tensor::zeros({s.B, s.H, s.D}, DType::f32, kCuda);
  }
  ops::SlstmDecodeResult fused(const ops::SlstmDecodeResult& before) const {
    return ops::slstm_decode(x, w, before.conv, before.final_state);
  }
  ops::SlstmDecodeResult composed(const ops::SlstmDecodeResult& before) const {
    return ops::slstm_decode_composed(x, w, before.conv, before.final_state, {});
  }
};

TEST_CASE("decoding steps on CUDA equal those of the ops one by one") {
  if (!has_cuda_device()) return;
  const autograd::NoGrad no_grad;
  for (const Sizes& s : {Sizes{3, 4, 64, 4}, {16, 1, 256, 4}, {9, 2, 17, 3}, {5, 1, 192, 0}})
    for (const auto& [dtype, weights] : {std::pair{DType::f32, DType::f32},
                                         {DType::bf16, DType::bf16},
                                         {DType::bf16, DType::f32},
                                         {DType::f16, DType::f16},
                                         {DType::f16, DType::f32}}) {
      INFO(to_string(s) << ", " << name_of(dtype) << " with weights " << name_of(weights));
      const Layer layer(s, dtype, weights);
      ops::SlstmDecodeResult got = layer.start, want = layer.start;
      // Those also round the gates.
      const double tolerance = dtype == DType::f32 ? 1e-5 : dtype == DType::bf16 ? 1.6e-2 : 2e-3;
      for (int step = 0; step < 5; ++step) {
        INFO("step " << step);
        got = layer.fused(got);
        want = layer.composed(want);
        const auto error = [](const Tensor& a, const Tensor& b) {
          return relative_error(a.to_vector<double>(), b.to_vector<double>());
        };
        CHECK(error(got.h, want.h) <= tolerance);
        CHECK(error(got.final_state.h, want.final_state.h) <= tolerance);
        CHECK(error(got.final_state.m, want.final_state.m) <= tolerance);
        if (s.KS > 0) CHECK(error(got.conv, want.conv) == 0);
      }
    }
}

// Microseconds of a call in a graph of many, as generation runs it; weights that fit stay in the
// L2 cache. Also the launches of a call.
std::pair<double, int64_t> time_in_graph(const std::function<void()>& call) {
  constexpr int kCalls = 20, kReplays = 20;
  call();
  cuda::Graph graph(
      kCuda,
      [&] {
        for (int i = 0; i < kCalls; ++i) call();
      },
      cuda::Graph::Memory::own);
  for (int i = 0; i < 3; ++i) graph.launch();
  cuda::Stopwatch watch(kCuda);
  watch.start();
  for (int i = 0; i < kReplays; ++i) graph.launch();
  watch.stop();
  return {watch.milliseconds() * 1e3 / (kCalls * kReplays), graph.n_nodes() / kCalls};
}

TEST_CASE("time of decoding steps of the sLSTM on CUDA", "[.bench]") {
  if (!has_cuda_device()) return;
  const autograd::NoGrad no_grad;
  std::printf("%-22s %-12s %10s %10s %10s\n", "heads x units, rows", "weights", "fused us",
              "ops us", "launches");
  for (const auto& [H, D] : {Shape2{4, 192}, {12, 64}, {1, 768}, {4, 256}})
    for (const int64_t B : {1, 16, 64})
      for (const DType weights : {DType::bf16, DType::f32}) {
        const Layer layer({B, H, D, 4}, DType::bf16, weights);
        const auto [fused, n_fused] = time_in_graph([&] { layer.fused(layer.start); });
        const auto [composed, n_composed] = time_in_graph([&] { layer.composed(layer.start); });
        std::printf("%2ld x %4ld, %2ld %8s %-12s %10.2f %10.2f %5ld, %2ld\n", long{H}, long{D},
                    long{B}, "", name_of(weights), fused, composed, long{n_fused},
                    long{n_composed});
      }
}

}  // namespace
}  // namespace xlstm
