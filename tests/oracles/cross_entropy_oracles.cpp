#include <algorithm>
#include <cmath>

#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

Tensors cross_entropy(const Tensors& in, const OpAttributes& a) {
  const int64_t n_vocab = in[0].size(-1), rows = in[1].numel();
  const double cap = a.get("cap");
  const auto z = [&](int64_t row, int64_t v) {
    const double x = in[0].data<double>()[row * n_vocab + v];
    return cap > 0 ? cap * std::tanh(x / cap) : x;
  };
  double total = 0;
  int64_t counted = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t target = in[1].data<int64_t>()[row];
    if (target == a.get_int("ignore", -1)) continue;
    double largest = z(row, 0), sum = 0;
    for (int64_t v = 1; v < n_vocab; ++v) largest = std::max(largest, z(row, v));
    for (int64_t v = 0; v < n_vocab; ++v) sum += std::exp(z(row, v) - largest);
    total += std::log(sum) + largest - z(row, target);
    ++counted;
  }
  return {Tensor::scalar(counted == 0 ? 0 : total / static_cast<double>(counted), DType::f64),
          Tensor::from(std::vector<int64_t>{counted}, {})};
}

Tensors linear_cross_entropy(const Tensors& in, const OpAttributes& a) {
  const int64_t rows = in[2].numel(), D = in[1].size(1), n_vocab = in[1].size(0);
  std::vector<double> logits;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t v = 0; v < n_vocab; ++v) {
      double x = 0;
      for (int64_t d = 0; d < D; ++d)
        x += in[0].data<double>()[row * D + d] * in[1].data<double>()[v * D + d];
      logits.push_back(x);
    }
  }
  return {cross_entropy({Tensor::from(logits, {rows, n_vocab}), in[2]}, a)[0]};
}

}  // namespace

OracleRows cross_entropy_oracles() {
  return {{"cross_entropy", cross_entropy}, {"linear_cross_entropy", linear_cross_entropy}};
}

}  // namespace xlstm::oracles
