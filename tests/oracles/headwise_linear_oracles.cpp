#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

// Inputs: x, weight, bias.
Tensors headwise_linear_oracle(const Tensors& in, const OpAttributes&) {
  const int64_t H = in[1].size(0), O = in[1].size(1), I = in[1].size(2);
  Shape shape = in[0].shape();
  shape.back() = H * O;
  const Tensor y = Tensor::zeros(shape, DType::f64);
  const int64_t rows = y.numel() == 0 ? 0 : y.numel() / (H * O);
  for (int64_t n = 0; n < rows; ++n) {
    for (int64_t h = 0; h < H; ++h) {
      for (int64_t o = 0; o < O; ++o) {
        double sum = in[2].defined() ? in[2].data<double>()[h * O + o] : 0;
        for (int64_t i = 0; i < I; ++i)
          sum +=
              in[1].data<double>()[(h * O + o) * I + i] * in[0].data<double>()[(n * H + h) * I + i];
        y.data<double>()[(n * H + h) * O + o] = sum;
      }
    }
  }
  return {y};
}

}  // namespace

OracleRows headwise_linear_oracles() {
  return {{"headwise_linear", headwise_linear_oracle}};
}

}  // namespace xlstm::oracles
