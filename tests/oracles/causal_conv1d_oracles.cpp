#include <cmath>

#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

// Inputs: x, weight, bias, initial_state, reset. The inputs of a row are first written out in one
// line, the state before them.
Tensors causal_conv1d_oracle(const Tensors& in, const OpAttributes& attributes) {
  const int64_t B = in[0].size(0), T = in[0].size(1), C = in[0].size(2), KS = in[1].size(2);
  const Tensor y = Tensor::zeros({B, T, C}, DType::f64);
  const Tensor state = Tensor::zeros({B, KS - 1, C}, DType::f64);
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t c = 0; c < C; ++c) {
      std::vector<double> line(static_cast<size_t>(KS - 1 + T));
      for (int64_t s = 0; s < KS - 1 + T; ++s) {
        double& value = line[static_cast<size_t>(s)];
        if (s >= KS - 1) {
          value = in[0].data<double>()[(b * T + s - (KS - 1)) * C + c];
        } else if (in[3].defined()) {
          value = in[3].data<double>()[(b * (KS - 1) + s) * C + c];
        }
      }
      for (int64_t t = 0; t < T; ++t) {
        if (in[4].defined() && in[4].data<uint8_t>()[b * T + t] != 0)
          std::fill(line.begin(), line.begin() + (KS - 1 + t), 0.0);
        double sum = in[2].defined() ? in[2].data<double>()[c] : 0;
        for (int64_t j = 0; j < KS; ++j)
          sum += in[1].data<double>()[c * KS + j] * line[static_cast<size_t>(t + j)];
        if (attributes.get("silu") != 0) sum /= 1 + std::exp(-sum);
        y.data<double>()[(b * T + t) * C + c] = sum;
      }
      for (int64_t s = 0; s < KS - 1; ++s)
        state.data<double>()[(b * (KS - 1) + s) * C + c] = line[static_cast<size_t>(T + s)];
    }
  }
  return {y, state};
}

}  // namespace

OracleRows causal_conv1d_oracles() {
  return {{"causal_conv1d", causal_conv1d_oracle}};
}

}  // namespace xlstm::oracles
