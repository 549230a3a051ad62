#include <cmath>

#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

Tensors normalised(const Tensors& in, const OpAttributes& a, int64_t n_heads, bool centre) {
  const Tensor& x = in[0];
  const Tensor y = Tensor::empty(x.shape(), DType::f64);
  const int64_t D = x.size(-1);
  if (x.numel() == 0) return {y};
  const int64_t width = D / n_heads;
  const double *px = x.data<double>(), *w = in[1].data<double>();
  const double* bias = in.size() > 2 && in[2].defined() ? in[2].data<double>() : nullptr;
  for (int64_t start = 0; start < x.numel(); start += width) {
    double mean = 0, variance = 0;
    if (centre)
      for (int64_t i = 0; i < width; ++i) mean += px[start + i] / static_cast<double>(width);
    for (int64_t i = 0; i < width; ++i)
      variance += std::pow(px[start + i] - mean, 2) / static_cast<double>(width);
    for (int64_t i = 0; i < width; ++i) {
      const int64_t feature = (start + i) % D;
      const double scale = a.get("one_plus") != 0 ? 1 + w[feature] : w[feature];
      y.data<double>()[start + i] =
          (px[start + i] - mean) / std::sqrt(variance + a.get("eps")) * scale +
          (bias != nullptr ? bias[feature] : 0);
    }
  }
  return {y};
}

Tensors layer_norm(const Tensors& in, const OpAttributes& a) {
  return normalised(in, a, 1, true);
}
Tensors rms_norm(const Tensors& in, const OpAttributes& a) {
  return normalised(in, a, 1, false);
}
Tensors multi_head_norm(const Tensors& in, const OpAttributes& a) {
  return normalised(in, a, a.get_int("heads"), true);
}

// The norm of x + residual, inputs 0 and 1, and that sum.
template <auto norm>
Tensors of_sum(const Tensors& in, const OpAttributes& a) {
  const Tensor sum = Tensor::empty(in[0].shape(), DType::f64);
  for (int64_t i = 0; i < sum.numel(); ++i)
    sum.data<double>()[i] = in[0].data<double>()[i] + in[1].data<double>()[i];
  Tensors rest(in.begin() + 1, in.end());
  rest[0] = sum;
  return {norm(rest, a)[0], sum};
}

// x, gate, weight, bias, skip, skip_weight.
Tensors multi_head_norm_gated(const Tensors& in, const OpAttributes& a) {
  Tensors of_norm{in[0], in[2]};
  if (in.size() > 3) of_norm.push_back(in[3]);
  const Tensor y = multi_head_norm(of_norm, a)[0];
  for (int64_t i = 0; i < y.numel(); ++i) {
    double u = y.data<double>()[i];
    if (in.size() > 4) u += in[4].data<double>()[i] * in[5].data<double>()[i % y.size(-1)];
    const double z = in[1].data<double>()[i], sigmoid = 1 / (1 + std::exp(-z));
    y.data<double>()[i] = u * sigmoid * (a.get("silu") != 0 ? z : 1);
  }
  return {y};
}

}  // namespace

OracleRows norm_oracles() {
  return {{"layer_norm", layer_norm},           {"rms_norm", rms_norm},
          {"multi_head_norm", multi_head_norm}, {"add_layer_norm", of_sum<layer_norm>},
          {"add_rms_norm", of_sum<rms_norm>},   {"multi_head_norm_gated", multi_head_norm_gated}};
}

}  // namespace xlstm::oracles
