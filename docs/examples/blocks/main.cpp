// An sLSTM block and an mLSTM block, each trained step by step to recall a random sequence: given
// the vectors up to time t, say the one at t + 1.
#include <cstdio>

#include "core/autograd.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "core/random.h"
#include "layers/blocks.h"
#include "optim/optimizer.h"

using namespace xlstm;

constexpr int64_t B = 4, T = 16, D = 32;  // batch, time steps, width

Tensor mean_squared_error(const Tensor& y, const Tensor& target) {
  return ops::mean(ops::square(ops::sub(y, target)));  // a scalar
}

// Both blocks have the same interface, so one loop trains either.
void train(const char* name, layers::Block& block, const Tensor& sequence) {
  std::printf("%s, %lld parameters\n", name, static_cast<long long>(block.n_parameters()));
  optim::AdamW optimizer(optim::make_parameters(block.named_parameters()), {.weight_decay = 0});
  for (int epoch = 0; epoch <= 50; ++epoch) {
    layers::BlockState state = block.init_hidden(B);  // zeros
    Tensor loss = Tensor::scalar(0);
    for (int64_t t = 0; t + 1 < T; ++t) {
      const Tensor x = ops::select(sequence, 1, t);           // [B, D]
      const Tensor target = ops::select(sequence, 1, t + 1);  // [B, D]
      const auto [y, next] = block.step(x, state);            // y [B, D]
      loss = ops::add(loss, mean_squared_error(y, target));
      state = next;  // carries the gradient through time
    }
    block.zero_grad();
    autograd::backward(loss);
    optimizer.step(/*lr=*/0.01);
    if (epoch % 10 == 0) std::printf("  epoch %2d  loss %.4f\n", epoch, loss.item());
  }
}

int main() {
  Generator generator{.seed = 1};
  Tensor sequence = Tensor::empty({B, T, D});
  fill_normal(sequence, /*mean=*/0, /*std=*/1, generator);

  layers::SlstmBlock slstm(/*width=*/D, /*n_heads=*/4);
  train("sLSTM block", slstm, sequence);
  layers::MlstmBlock mlstm(/*width=*/D, /*n_heads=*/4);
  train("mLSTM block", mlstm, sequence);
}
