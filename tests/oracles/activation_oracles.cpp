#include <cmath>

#include "core/ops/activation.h"
#include "tests/oracles/oracle_rows.h"

namespace xlstm::oracles {
namespace {

double value(ops::Activation activation, double x) {
  switch (activation) {
    case ops::Activation::silu:
      return x / (1 + std::exp(-x));
    case ops::Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case ops::Activation::relu:
      return x > 0 ? x : 0;
    case ops::Activation::relu_squared:
      return x > 0 ? x * x : 0;
    case ops::Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case ops::Activation::selu:
      return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (std::exp(x) - 1));
  }
  return NAN;
}

Tensor each(const Tensor& x, ops::Activation activation) {
  const Tensor y = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i)
    y.data<double>()[i] = value(activation, x.data<double>()[i]);
  return y;
}

Tensors gated(const Tensors& in, const OpAttributes& a) {
  const Tensor y = each(in[0], static_cast<ops::Activation>(a.get_int("activation")));
  for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] *= in[1].data<double>()[i];
  return {y};
}

}  // namespace

OracleRows activation_oracles() {
  using A = const OpAttributes&;
  using T = const Tensors&;
  return {
      {"activate",
       [](T x, A a) -> Tensors {
         return {each(x[0], static_cast<ops::Activation>(a.get_int("activation")))};
       }},
      {"silu", [](T x, A) -> Tensors { return {each(x[0], ops::Activation::silu)}; }},
      {"gelu", [](T x, A) -> Tensors { return {each(x[0], ops::Activation::gelu)}; }},
      {"gated", gated},
  };
}

}  // namespace xlstm::oracles
