// The blocks as recurrent modules of their own.
#include "layers/blocks.h"

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/catch.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

using testing::random_normal;
using testing::relative_error;

// Predicts each next element of a random sequence, step by step, and learns by plain descent.
std::pair<double, double> learn(Block& block, int64_t n_rounds) {
  const int64_t B = 4, T = 12, D = block.width();
  const Tensor sequence = random_normal({T, B, D}, DType::f32, 3);
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
      float* p = parameter.data<float>();
      const float* g = parameter.grad().data<float>();
      for (int64_t i = 0; i < parameter.numel(); ++i) p[i] -= 0.05f * g[i];
      parameter.bump_version();
    }
    if (round == 0) first = loss.item();
    last = loss.item();
  }
  return {first, last};
}

TEST_CASE("an sLSTM block learns a sequence step by step") {
  SlstmBlock block(16, 4);
  const auto [first, last] = learn(block, 40);
  INFO(first << " -> " << last);
  CHECK(last < 0.7 * first);
}

TEST_CASE("an mLSTM block learns a sequence step by step") {
  MlstmBlock block(16, 4);
  const auto [first, last] = learn(block, 40);
  INFO(first << " -> " << last);
  CHECK(last < 0.7 * first);
}

TEST_CASE("blocks over sequences equal their steps") {
  autograd::NoGrad no_grad;
  SlstmBlock slstm(16, 2, 1.3, 3, 5);
  MlstmBlock mlstm(16, 2, 1.7, 1, 5);
  for (Block* block : {static_cast<Block*>(&slstm), static_cast<Block*>(&mlstm)}) {
    testing::perturb(*block, 3);
    const Tensor x = random_normal({2, 9, 16}, DType::f32, 3);
    const auto whole = block->forward(x, block->init_hidden(2));
    BlockState state = block->init_hidden(2);
    for (int64_t t = 0; t < 9; ++t) {
      auto [y, next] = block->step(ops::select(x, 1, t), state);
      state = next;
      CHECK(relative_error(y, ops::select(whole.y, 1, t)) < 2e-5);
    }
    CHECK(testing::state_error({{state}}, {{whole.state}}) < 2e-5);
  }
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
  ParameterFactory factory(uint64_t{3}, DType::f64);
  const Tensor x = random_normal({2, 7, 16}, DType::f64, 3);
  const auto check = [&](auto& layer, auto state) {
    const auto whole = layer.forward(x, state);
    for (int64_t t = 0; t < 7; ++t) {
      const auto out = layer.step(ops::select(x, 1, t), state);
      state = out.state;
      CHECK(relative_error(out.y, ops::select(whole.y, 1, t)) < 1e-11);
    }
  };
  CausalConv1d conv({.width = 16}, factory);
  check(conv, conv.init_state(2));
  SlstmLayer slstm({.embedding_dim = 16}, {}, factory);
  check(slstm, slstm.init_state(2));
  MlstmLayer mlstm({.embedding_dim = 16}, {}, factory);
  check(mlstm, mlstm.init_state(2));
  MlstmLargeLayer large({.embedding_dim = 16, .num_heads = 2}, factory);
  check(large, large.init_state(2));
}

}  // namespace
}  // namespace xlstm::layers
