// Steps of an sLSTM layer, one token each, against its forward pass over a sequence of one.
#include "core/op_info.h"
#include "core/ops/view.h"
#include "tests/devices.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

using testing::random_normal;
using testing::relative_error;
using testing::same_bits;

struct Case {
  int64_t kernel_size;
  std::optional<double> forward_clip;
};

SlstmConfig config_of(const Case& c) {
  SlstmConfig config{.num_heads = 2, .conv1d_kernel_size = c.kernel_size};
  config.recurrent_weight_init = "standard";
  config.forward_clipval = c.forward_clip;
  return config;
}

Tensors tensors_of(const Outcome<SlstmLayerState>& out) {
  const ops::SlstmState& cell = out.state.cell;
  return {out.y, out.state.conv, cell.h, cell.c, cell.n, cell.m};
}

Outcome<SlstmLayerState> forward_of_one(const SlstmLayer& layer, const Tensor& x,
                                        const SlstmLayerState& state) {
  auto out = layer.forward(ops::unsqueeze(x, 1), state);
  out.y = ops::squeeze(out.y, 1);
  return out;
}

// check(got, want) for five steps with the state carried on, in all configurations.
template <class Check>
void step_by_step(Device device, DType dtype, Check check) {
  for (const Case& c : {Case{0, {}}, Case{1, {}}, Case{4, {}}, Case{4, 0.05}}) {
    INFO(name_of(dtype) << ", kernel size " << c.kernel_size);
    ParameterFactory factory(uint64_t{3}, dtype);
    SlstmLayer layer({.embedding_dim = 26}, config_of(c), factory);
    testing::perturb(layer, 4);
    layer.to(device);
    SlstmLayerState stepped = layer.init_state(3), whole = layer.init_state(3);
    for (int64_t t = 0; t < 5; ++t) {
      INFO("step " << t);
      const Tensor x = random_normal({3, 26}, dtype, 10 + static_cast<uint64_t>(t)).to(device);
      const auto got = layer.step(x, stepped);
      const auto want = forward_of_one(layer, x, whole);
      REQUIRE(got.state.conv.defined() == want.state.conv.defined());
      check(tensors_of(got), tensors_of(want));
      stepped = got.state;
      whole = want.state;
    }
  }
}

TEST_CASE("a step of an sLSTM layer on the CPU has the bits of a sequence of one") {
  const autograd::NoGrad no_grad;
  for (const DType dtype : {DType::f32, DType::f64})
    step_by_step(kCpu, dtype, [](const Tensors& got, const Tensors& want) {
      for (size_t i = 0; i < got.size(); ++i)
        if (want[i].defined()) CHECK(same_bits(got[i], want[i]));
    });
}

TEST_CASE("a step of an sLSTM layer on CUDA is close to a sequence of one") {
  if (cuda_device_count() == 0) return test::skipped("no CUDA device here");
  const autograd::NoGrad no_grad;
  step_by_step({DeviceType::cuda, 0}, DType::f32, [](const Tensors& got, const Tensors& want) {
    for (size_t i = 0; i < got.size(); ++i)
      if (want[i].defined()) CHECK(relative_error(got[i], want[i]) < 2e-5);
  });
}

TEST_CASE("the gradient of steps of an sLSTM layer is that of sequences of one") {
  test::for_each_device([](Device device) {
    ParameterFactory factory(uint64_t{3});
    SlstmLayer layer({.embedding_dim = 24}, config_of({4, {}}), factory);
    testing::perturb(layer, 4);
    layer.to(device);
    std::vector<std::vector<double>> gradients[2];
    for (const bool by_steps : {true, false}) {
      SlstmLayerState state = layer.init_state(2);
      Tensor last;
      for (uint64_t t = 0; t < 3; ++t) {
        const Tensor x = random_normal({2, 24}, DType::f32, 10 + t).to(device);
        const auto out = by_steps ? layer.step(x, state) : forward_of_one(layer, x, state);
        state = out.state;
        last = out.y;
      }
      layer.zero_grad();
      autograd::backward({last}, {random_normal(last.shape(), DType::f32, 20).to(device)});
      for (const Tensor& parameter : layer.parameters())
        gradients[by_steps].push_back(parameter.grad().to_vector<double>());
    }
    CHECK(gradients[0] == gradients[1]);
  });
}

TEST_CASE("a step may overwrite c, n and m of an sLSTM layer, and h and the inputs never") {
  const autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    ParameterFactory factory(uint64_t{3});
    SlstmLayer layer({.embedding_dim = 24}, {}, factory);
    testing::perturb(layer, 4);
    layer.to(device);
    SlstmLayerState kept = layer.init_state(3), fresh = layer.init_state(3);
    for (uint64_t t = 0; t < 4; ++t) {
      const Tensor x = random_normal({3, 24}, DType::f32, 10 + t).to(device);
      const SlstmLayerState before = kept;
      const auto got = layer.step(x, kept, {.in_place_state = true});
      const auto want = layer.step(x, fresh);
      const Tensors a = tensors_of(got), b = tensors_of(want);
      for (size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i], b[i]));
      CHECK(got.state.conv.raw() != before.conv.raw());
      CHECK(got.state.cell.h.raw() != before.cell.h.raw());
      if (device != kCpu && !force_reference()) {
        CHECK(got.state.cell.c.raw() == before.cell.c.raw());
        CHECK(got.state.cell.n.raw() == before.cell.n.raw());
        CHECK(got.state.cell.m.raw() == before.cell.m.raw());
      }
      kept = got.state;
      fresh = want.state;
    }
  });
}

}  // namespace
}  // namespace xlstm::layers
