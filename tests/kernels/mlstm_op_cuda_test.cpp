// The mLSTM op on CUDA: what the generic tests over the op table do not see.
#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/mlstm_gated.h"
#include "core/ops/view.h"
#include "tests/cuda_device.h"

namespace xlstm {
namespace {

struct Problem {
  Tensor q, k, v, i, f, gate, weight;
  ops::MlstmOptions options;

  Problem(DType dtype, int64_t B, int64_t T, int64_t H, int64_t K, int64_t V) {
    Generator g{17, 0};
    const auto random = [&](const Shape& shape, DType type, double mean = 0) {
      Tensor x = random_tensor(shape, DType::f32, g, mean);
      x = ops::cast(x, type).to({DeviceType::cuda, 0});
      x.set_requires_grad(true);
      return x;
    };
    q = random({B, T, H, K}, dtype);
    k = random({B, T, H, K}, dtype);
    v = random({B, T, H, V}, dtype);
    i = random({B, T, H}, DType::f32);
    f = random({B, T, H}, DType::f32, 2);
    gate = random({B, T, H * V}, dtype);
    weight = random({H * V}, DType::f32, 1);
  }
  Tensors leaves() const { return {q, k, v, i, f, gate, weight}; }

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
    Problem p(dtype, 2, 300, 2, 40, 72);
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
  for (const auto& [dtype, T, H, V] : {std::tuple{DType::f32, int64_t{70}, int64_t{2}, int64_t{40}},
                                       {DType::bf16, int64_t{300}, int64_t{12}, int64_t{128}},
                                       {DType::f16, int64_t{130}, int64_t{3}, int64_t{19}}}) {
    INFO(name_of(dtype) << ", V " << V);
    Problem p(dtype, 2, T, H, 64, V);
    const ops::NormGate gate{p.gate, ops::Activation::sigmoid, {}, {}};
    // A large eps leaves much of <h, dh>, which one op hands to the other.
    const ops::HeadNorm norm{p.weight, {}, 0.1, ops::NormScale::plain};
    const auto together = ops::mlstm_gated(p.q, p.k, p.v, p.i, p.f, {}, {}, p.options, gate, norm);
    const Tensor h = ops::mlstm(p.q, p.k, p.v, p.i, p.f, {}, {}, p.options).h;
    const Tensor apart = ops::multi_head_norm_gated(ops::reshape(h, p.gate.shape()), gate, p.weight,
                                                    {}, H, norm.eps, norm.scale);
    CHECK(together.y.to(kCpu).to_vector<double>() == apart.to(kCpu).to_vector<double>());
    const auto got = p.gradients(together.y), want = p.gradients(apart);
    REQUIRE(got.size() == want.size());
    // <h, dh> is summed in another order.
    for (size_t n = 0; n < got.size(); ++n) {
      INFO("gradient " << n);
      CHECK(test::relative_error(got[n], want[n]) <= (dtype == DType::f32 ? 1e-5 : 1e-3));
    }
  }
}

}  // namespace
}  // namespace xlstm
