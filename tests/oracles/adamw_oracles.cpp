#include <algorithm>
#include <cmath>

#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

Tensors adamw(const Tensors& in, const OpAttributes& a) {
  const Tensor p = in[0].clone(), m = in[2].clone(), v = in[3].clone();
  const double b1 = a.get("beta1", 0.9), b2 = a.get("beta2", 0.95), lr = a.get("lr");
  const double t = a.get("step", 1);
  for (int64_t i = 0; i < p.numel(); ++i) {
    double &pi = p.data<double>()[i], &mi = m.data<double>()[i], &vi = v.data<double>()[i];
    const double g = in[1].data<double>()[i] * a.get("grad_scale", 1);
    mi = b1 * mi + (1 - b1) * g;
    vi = b2 * vi + (1 - b2) * g * g;
    const double m_hat = mi / (1 - std::pow(b1, t)), v_hat = vi / (1 - std::pow(b2, t));
    pi -= lr * (m_hat / (std::sqrt(v_hat) + a.get("eps", 1e-8)) + a.get("wd") * pi);
  }
  return {p, m, v};
}

Tensors sgd(const Tensors& in, const OpAttributes& a) {
  const Tensor p = in[0].clone(), u = in[2].defined() ? in[2].clone() : Tensor{};
  const double momentum = a.get("momentum");
  for (int64_t i = 0; i < p.numel(); ++i) {
    double& pi = p.data<double>()[i];
    const double g = in[1].data<double>()[i] * a.get("grad_scale", 1) + a.get("wd") * pi;
    double direction = g;
    if (momentum != 0) {
      double& ui = u.data<double>()[i];
      ui = momentum * ui + g;
      direction = a.get("nesterov") != 0 ? g + momentum * ui : ui;
    }
    pi -= a.get("lr") * direction;
  }
  return {p, u};
}

Tensors sum_of_squares(const Tensors& in, const OpAttributes&) {
  double sum = 0;
  for (const double x : in[0].to_vector<double>()) sum += x * x;
  return {Tensor::scalar(sum, DType::f64)};
}

Tensors clip_by_value(const Tensors& in, const OpAttributes& a) {
  std::vector<double> x = in[0].to_vector<double>();
  for (double& value : x) value = std::clamp(value, -a.get("limit"), a.get("limit"));
  return {Tensor::from(x, in[0].shape())};
}

}  // namespace

OracleRows adamw_oracles() {
  return {{"adamw_update", adamw},
          {"sgd_update", sgd},
          {"sum_of_squares", sum_of_squares},
          {"clip_by_value", clip_by_value}};
}

}  // namespace xlstm::oracles
