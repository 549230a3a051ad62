// The blocks as recurrent modules of their own.
#include "layers/blocks.h"

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/devices.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

using testing::random_normal;
using testing::relative_error;

// Predicts each next element of a random sequence, step by step, and learns by plain descent.
std::pair<double, double> learn(Block& block, int64_t n_rounds, Device device) {
  const int64_t B = 4, T = 12, D = block.width();
  block.to(device);
  const Tensor sequence = random_normal({T, B, D}, DType::f32, 3).to(device);
  double first = 0, last = 0;
  for (int64_t round = 0; round < n_rounds; ++round) {
    BlockState state = block.init_hidden(B);
    Tensor loss;
    for (int64_t t = 0; t + 1 < T; ++t) {
      auto [y, next] = block.step(ops::select(sequence, 0, t), state);
      state = next;
      REQUIRE(y.shape() == Shape{B, D});
      const Tensor error = ops::mean(ops::square(ops::sub(y, ops::select(sequence, 0, t + 1))));
      loss = loss.defined() ? ops::add(loss, error) : error;
    }
    block.zero_grad();
    autograd::backward(loss);
    for (Tensor& parameter : block.parameters()) {
      REQUIRE(parameter.grad().defined());
      std::vector<float> p = parameter.to_vector<float>();
      const std::vector<float> g = parameter.grad().to_vector<float>();
      for (size_t i = 0; i < p.size(); ++i) p[i] -= 0.05f * g[i];
      parameter.copy_from(Tensor::from(p, parameter.shape()));
    }
    if (round == 0) first = loss.item();
    last = loss.item();
  }
  return {first, last};
}

TEST_CASE("an sLSTM block learns a sequence step by step") {
  test::for_each_device([](Device device) {
    SlstmBlock block(16, 4);
    const auto [first, last] = learn(block, 40, device);
    INFO(first << " -> " << last);
    CHECK(last < 0.7 * first);
  });
}

TEST_CASE("an mLSTM block learns a sequence step by step") {
  test::for_each_device([](Device device) {
    MlstmBlock block(16, 4);
    const auto [first, last] = learn(block, 40, device);
    INFO(first << " -> " << last);
    CHECK(last < 0.7 * first);
  });
}

TEST_CASE("blocks over sequences equal their steps") {
  autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    SlstmBlock slstm(16, 2, 1.3, 3, 5);
    MlstmBlock mlstm(16, 2, 1.7, 1, 5);
    for (Block* block : {static_cast<Block*>(&slstm), static_cast<Block*>(&mlstm)}) {
      testing::perturb(*block, 3);
      block->to(device);
      const Tensor x = random_normal({2, 9, 16}, DType::f32, 3).to(device);
      const auto whole = block->forward(x, block->init_hidden(2));
      BlockState state = block->init_hidden(2);
      for (int64_t t = 0; t < 9; ++t) {
        auto [y, next] = block->step(ops::select(x, 1, t), state);
        state = next;
        CHECK(relative_error(y, ops::select(whole.y, 1, t)) < 2e-5);
      }
      CHECK(testing::state_error({{state}}, {{whole.state}}) < 2e-5);
    }
  });
}

TEST_CASE("the feed-forward half of an sLSTM block can be left out") {
  SlstmBlockConfig config;
  config.feedforward.reset();
  const SlstmBlock block(BlockPlace{.embedding_dim = 16}, config, ParameterFactory(uint64_t{1}));
  for (const auto& [name, parameter] : block.named_parameters())
    CHECK(name.find("ffn") == std::string::npos);
}

TEST_CASE("every layer steps as it runs over a sequence") {
  autograd::NoGrad no_grad;
  test::for_each_device([](Device device) {
    const DType dtype = testing::widest_on(device);
    ParameterFactory factory(uint64_t{3}, dtype);
    const Tensor x = random_normal({2, 7, 16}, dtype, 3).to(device);
    const auto check = [&](auto& layer) {
      layer.to(device);
      auto state = layer.init_state(2);
      const auto whole = layer.forward(x, state);
      for (int64_t t = 0; t < 7; ++t) {
        const auto out = layer.step(ops::select(x, 1, t), state);
        state = out.state;
        CHECK(relative_error(out.y, ops::select(whole.y, 1, t)) <
              (dtype == DType::f64 ? 1e-11 : 2e-5));
      }
    };
    CausalConv1d conv({.width = 16}, factory);
    check(conv);
    SlstmLayer slstm({.embedding_dim = 16}, {}, factory);
    check(slstm);
    MlstmLayer mlstm({.embedding_dim = 16}, {}, factory);
    check(mlstm);
    MlstmLargeLayer large({.embedding_dim = 16, .num_heads = 2}, factory);
    check(large);
  });
}

}  // namespace
}  // namespace xlstm::layers
