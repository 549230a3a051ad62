#include <cmath>

#include "tests/oracles/oracles.h"

namespace xlstm::oracles {
namespace {

double log_of_sigmoid(double x) {
  return -(std::max(-x, 0.0) + std::log1p(std::exp(-std::abs(x))));
}

// Inputs: wx, R, bias, h, c, n, m, reset. One unit after the other, straight from the recurrence.
Tensors slstm_oracle(const Tensors& in, const OpAttributes&) {
  const Tensor& wx = in[0];
  const int64_t B = wx.size(0), T = wx.size(1), H = wx.size(3), D = wx.size(4);
  const double* R = in[1].data<double>();
  const auto state_of = [&](size_t which) {
    return in[which].defined() ? in[which].clone() : Tensor::zeros({B, H, D}, DType::f64);
  };
  const Tensor hs = state_of(3), cs = state_of(4), ns = state_of(5), ms = state_of(6);
  const Tensor out = Tensor::zeros({B, T, H, D}, DType::f64);
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t t = 0; t < T; ++t) {
      const bool reset = in[7].defined() && in[7].data<uint8_t>()[b * T + t] != 0;
      for (int64_t head = 0; head < H; ++head) {
        const int64_t at = (b * H + head) * D;
        double *h = hs.data<double>() + at, *c = cs.data<double>() + at,
               *n = ns.data<double>() + at, *m = ms.data<double>() + at;
        std::vector<double> before(h, h + D);
        if (reset) std::fill(before.begin(), before.end(), 0.0);
        for (int64_t j = 0; j < D; ++j) {
          if (reset) c[j] = n[j] = m[j] = 0;
          double g[4];
          for (int64_t gate = 0; gate < 4; ++gate) {
            g[gate] = wx.data<double>()[(((b * T + t) * 4 + gate) * H + head) * D + j];
            if (in[2].defined()) g[gate] += in[2].data<double>()[(head * 4 + gate) * D + j];
            for (int64_t k = 0; k < D; ++k)
              g[gate] += before[static_cast<size_t>(k)] * R[((head * D + k) * 4 + gate) * D + j];
          }
          const double l = m[j] + log_of_sigmoid(g[1]);
          const double m_new = n[j] == 0 ? g[0] : std::max(g[0], l);
          const double i = std::min(1.0, std::exp(g[0] - m_new));
          const double f = std::min(1.0, std::exp(l - m_new));
          c[j] = f * c[j] + i * std::tanh(g[2]);
          n[j] = f * n[j] + i;
          m[j] = m_new;
          h[j] = c[j] / n[j] / (1 + std::exp(-g[3]));
          out.data<double>()[((b * T + t) * H + head) * D + j] = h[j];
        }
      }
    }
  }
  return {out, hs, cs, ns, ms};
}

// x, weight and bias of the convolution, weights of the gates, R, bias, state of the convolution,
// h, c, n, m: the convolution, the four maps and the cell of a sequence of one step.
Tensors slstm_decode_oracle(const Tensors& in, const OpAttributes&) {
  const Tensor& R = in[7];
  const int64_t B = in[0].size(0), H = R.size(0), D = R.size(1);
  const auto viewed = [](const Tensor& x, const Shape& shape) {
    return x.strided_view(shape, contiguous_strides(shape));
  };
  const Tensor x = viewed(in[0].clone(), {B, 1, H * D});
  Tensors conv{x, {}};
  if (in[1].defined())
    conv = find_oracle("causal_conv1d")({x, in[1], in[2], in[9], {}}, {{"silu", 1}});
  const Tensor wx = Tensor::zeros({B, 1, 4, H, D}, DType::f64);
  for (int64_t gate = 0; gate < 4; ++gate) {
    const Tensor& input = gate < 2 ? conv[0] : x;
    const Tensor& weight = in[static_cast<size_t>(3 + gate)];
    const Tensor y = find_oracle("headwise_linear")({input, weight, {}}, {})[0];
    if (B * H * D > 0)
      wx.strided_view({B, 1, H * D}, {4 * H * D, 4 * H * D, 1}, gate * H * D)
          .copy_from(viewed(y, {B, 1, H * D}));
  }
  Tensors out = slstm_oracle({wx, R, in[8], in[10], in[11], in[12], in[13], {}}, {});
  out[0] = viewed(out[0], {B, H * D});
  out.insert(out.begin() + 1, conv[1]);
  return out;
}

}  // namespace

OracleRows slstm_oracles() {
  return {{"slstm", slstm_oracle}, {"slstm_decode", slstm_decode_oracle}};
}

}  // namespace xlstm::oracles
