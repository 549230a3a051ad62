// The mLSTM straight from its recurrence, one head and one step at a time.
#include <cmath>

#include "tests/oracles/oracle_rows.h"

namespace xlstm::oracles {
namespace {

double capped(double x, double cap) {
  return cap > 0 ? cap * std::tanh(x / cap) : x;
}
double log_of_sigmoid(double x) {
  return x > 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x));
}

double* values(const Tensor& t) {
  return t.data<double>();
}

Tensor copy_or_zeros(const Tensor& given, const Shape& shape) {
  return given.defined() ? given.clone() : Tensor::zeros(shape, DType::f64);
}

Tensors mlstm(const Tensors& in, const OpAttributes& a) {
  const Tensor &q = in[0], &k = in[1], &v = in[2], &i = in[3], &f = in[4], &reset = in[8];
  const int64_t B = q.size(0), T = q.size(1), H = q.size(2), K = q.size(3), V = v.size(3);
  const bool sigmoid = a.has("sigmoid_gate"), normalize = !a.has("no_normalizer");
  const double cap = a.get("soft_cap"), eps = a.get("eps", 1e-6);
  const double start_m = sigmoid ? 0 : a.get("start_m");
  const Tensor h = Tensor::zeros({B, T, H, V}, DType::f64);
  const Tensor C = copy_or_zeros(in[5], {B, H, K, V});
  const Tensor n = copy_or_zeros(normalize ? in[6] : Tensor{}, {B, H, K});
  const Tensor m =
      !sigmoid && in[7].defined() ? in[7].clone() : Tensor::full({B, H}, start_m, DType::f64);
  for (int64_t bh = 0; bh < B * H; ++bh) {
    double *c = values(C) + bh * K * V, *norm = values(n) + bh * K, &top = values(m)[bh];
    for (int64_t t = 0; t < T; ++t) {
      const int64_t at = (bh / H * T + t) * H + bh % H;
      if (reset.defined() && reset.data<uint8_t>()[bh / H * T + t] != 0) {
        for (int64_t j = 0; j < K * V; ++j) c[j] = 0;
        for (int64_t j = 0; j < K; ++j) norm[j] = 0;
        top = start_m;
      }
      const double log_f = log_of_sigmoid(capped(values(f)[at], cap));
      const double log_i =
          sigmoid ? log_of_sigmoid(capped(values(i)[at], cap)) : capped(values(i)[at], cap);
      const double before = top;
      if (!sigmoid) top = std::max(log_f + before, log_i);
      const double forget = std::exp(log_f + before - top), input = std::exp(log_i - top);
      double l = 0;
      for (int64_t r = 0; r < K; ++r) {
        const double key = input * values(k)[at * K + r];
        const double query = values(q)[at * K + r] / std::sqrt(static_cast<double>(K));
        if (normalize) norm[r] = forget * norm[r] + key;
        l += query * norm[r];
        for (int64_t s = 0; s < V; ++s) {
          c[r * V + s] = forget * c[r * V + s] + key * values(v)[at * V + s];
          values(h)[at * V + s] += query * c[r * V + s];
        }
      }
      if (!normalize) continue;
      const double divisor = std::max(std::abs(l), std::exp(std::min(-top, 80.0))) + eps;
      for (int64_t s = 0; s < V; ++s) values(h)[at * V + s] /= divisor;
    }
  }
  return {h, C, n, m};
}

// q, k, v, i, f, gate, weight, bias, skip, skip_weight: the cell, then the gated norm of its h.
Tensors mlstm_gated(const Tensors& in, const OpAttributes& a) {
  Tensors of_cell(in.begin(), in.begin() + 5);
  of_cell.resize(9);
  const Tensor h = mlstm(of_cell, a)[0];
  const Tensor joined =
      h.strided_view(in[5].shape(), contiguous_strides(in[5].shape()));  // [B, T, H*V]
  Tensors of_norm{joined, in[5], in[6]};
  if (in[7].defined() || in[8].defined()) of_norm.push_back(in[7]);
  if (in[8].defined()) of_norm.insert(of_norm.end(), {in[8], in[9]});
  const double silu = a.get("silu");
  return find_oracle("multi_head_norm_gated")(of_norm,
                                              {{"heads", static_cast<double>(in[0].size(2))},
                                               {"eps", a.get("norm_eps", 1e-5)},
                                               {"silu", silu},
                                               {"one_plus", silu}});
}

// A sequence of one step.
Tensors mlstm_step(const Tensors& in, const OpAttributes& a) {
  Tensors sequence = in;
  for (size_t i = 0; i < 5; ++i) {
    Shape shape = in[i].shape();
    shape.insert(shape.begin() + 1, 1);
    sequence[i] = in[i].strided_view(shape, contiguous_strides(shape));
  }
  sequence.emplace_back();
  Tensors out = mlstm(sequence, a);
  Shape shape = out[0].shape();
  shape.erase(shape.begin() + 1);
  out[0] = out[0].strided_view(shape, contiguous_strides(shape));
  return out;
}

}  // namespace

OracleRows mlstm_oracles() {
  return {{"mlstm", mlstm},
          {"mlstm_parallel", mlstm},
          {"mlstm_recurrent", mlstm},
          {"mlstm_step", mlstm_step},
          {"mlstm_gated", mlstm_gated}};
}

}  // namespace xlstm::oracles
