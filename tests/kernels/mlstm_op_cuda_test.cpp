// The mLSTM op on CUDA: what the generic tests over the op table do not see.
#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/mlstm_gated.h"
#include "core/ops/view.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

struct Sizes {
  int64_t B, T, H, K, V;
};

struct Problem {
  Tensor q, k, v, i, f, gate, weight, skip, shift;
  ops::MlstmOptions options;

  Problem(DType dtype, const Sizes& s) {
    Generator g{17, 0};
    const auto random = [&](const Shape& shape, DType type, double mean = 0) {
      Tensor x = random_tensor(shape, DType::f32, g, mean);
      x = ops::cast(x, type).to({DeviceType::cuda, 0});
      x.set_requires_grad(true);
      return x;
    };
    q = random({s.B, s.T, s.H, s.K}, dtype);
    k = random({s.B, s.T, s.H, s.K}, dtype);
    v = random({s.B, s.T, s.H, s.V}, dtype);
    i = random({s.B, s.T, s.H}, DType::f32);
    f = random({s.B, s.T, s.H}, DType::f32, 2);
    gate = random({s.B, s.T, s.H * s.V}, dtype);
    weight = random({s.H * s.V}, DType::f32, 1);
    skip = random({s.B, s.T, s.H * s.V}, dtype);
    shift = random({s.H * s.V}, DType::f32);
  }
  Tensors leaves() const { return {q, k, v, i, f, gate, weight, skip, shift}; }

  // The gradients of all leaves that take part, from a gradient of y that is not of one sign.
  std::vector<std::vector<double>> gradients(const Tensor& y) {
    Generator g{18, 0};
    const Tensor dy = ops::cast(random_tensor(y.shape(), DType::f32, g), y.dtype()).to(y.device());
    autograd::backward({y}, {dy});
    std::vector<std::vector<double>> all;
    for (Tensor leaf : leaves()) {
      if (leaf.grad().defined()) all.push_back(leaf.grad().to(kCpu).to_vector<double>());
      leaf.set_grad({});
    }
    return all;
  }
};

TEST_CASE("states kept for the gradient on CUDA change no bit of it") {
  if (!test::has_cuda_device()) return;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Problem p(dtype, {2, 300, 2, 40, 72});
    std::vector<std::vector<double>> with[2];
    for (const bool keep : {false, true}) {
      p.options.keep_states = keep;
      with[keep] = p.gradients(ops::mlstm(p.q, p.k, p.v, p.i, p.f, {}, {}, p.options).h);
    }
    CHECK(with[0] == with[1]);
  }
}

TEST_CASE("mlstm_gated on CUDA is the mLSTM and the gated norm") {
  if (!test::has_cuda_device()) return;
  enum class Beside { nothing, bias, skip };
  struct Case {
    DType dtype;
    Sizes sizes;
    Beside beside;
    bool silu;
  };
  for (const Case& c :
       std::initializer_list<Case>{{DType::f32, {2, 70, 2, 64, 40}, Beside::skip, true},
                                   {DType::bf16, {12, 300, 2, 64, 64}, Beside::skip, true},
                                   {DType::bf16, {2, 130, 12, 128, 128}, Beside::nothing, false},
                                   {DType::f16, {24, 65, 1, 40, 24}, Beside::bias, false},
                                   {DType::f16, {3, 90, 9, 72, 104}, Beside::skip, false},
                                   {DType::bf16, {8, 70, 3, 64, 256}, Beside::skip, true},
                                   {DType::f16, {2, 130, 3, 64, 19}, Beside::nothing, true}}) {
    const Sizes& s = c.sizes;
    INFO(name_of(c.dtype) << ", K " << s.K << ", V " << s.V);
    Problem p(c.dtype, s);
    ops::NormGate gate{p.gate, c.silu ? ops::Activation::silu : ops::Activation::sigmoid, {}, {}};
    // A large eps leaves much of <h, dh>, which one op hands to the other.
    ops::HeadNorm norm{
        p.weight, {}, 0.1, c.silu ? ops::NormScale::one_plus : ops::NormScale::plain};
    if (c.beside == Beside::bias) norm.bias = p.shift;
    if (c.beside == Beside::skip) gate.skip = p.skip, gate.skip_weight = p.shift;
    const auto together = ops::mlstm_gated(p.q, p.k, p.v, p.i, p.f, {}, {}, p.options, gate, norm);
    const auto cell = ops::mlstm(p.q, p.k, p.v, p.i, p.f, {}, {}, p.options);
    const Tensor apart =
        ops::multi_head_norm_gated(ops::reshape(cell.h, p.gate.shape()), gate, norm.weight,
                                   norm.bias, s.H, norm.eps, norm.scale);
    // <h, dh> is summed in another order.
    const double most = c.dtype == DType::f32 ? 1e-5 : 1e-3;
    const auto on_host = [](const Tensor& x) { return x.to(kCpu).to_vector<double>(); };
    CHECK(on_host(together.y) == on_host(apart));
    CHECK(on_host(together.final_state.C) == on_host(cell.final_state.C));
    CHECK(on_host(together.final_state.n) == on_host(cell.final_state.n));
    const auto got = p.gradients(together.y), want = p.gradients(apart);
    REQUIRE(got.size() == want.size());
    for (size_t n = 0; n < got.size(); ++n) {
      INFO("gradient " << n);
      CHECK(test::relative_error(got[n], want[n]) <= most);
    }
  }
}

}  // namespace
}  // namespace xlstm
