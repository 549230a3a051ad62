// Small models and comparisons shared by the tests of the layers.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "core/random.h"
#include "layers/make_model.h"

namespace xlstm::layers::testing {

// Two mLSTM and one sLSTM block; head widths 16 and 8.
inline XlstmModelConfig small_a() {
  XlstmModelConfig config;
  config.vocab_size = 19;
  config.embedding_dim = 32;
  config.num_blocks = 3;
  config.slstm_at.indices = {1};
  config.mlstm_block.mlstm.chunk_size = 8;
  return config;
}

inline XlstmLargeConfig small_b() {
  XlstmLargeConfig config;
  config.vocab_size = 19;
  config.embedding_dim = 32;
  config.num_heads = 4;
  config.num_blocks = 2;
  config.chunk_size = 8;
  return config;
}

// Moves every parameter, so that nothing is zero or symmetric by initialisation.
inline void perturb(Module& module, uint64_t seed, double std = 0.1) {
  Generator generator{seed, 0};
  for (Tensor& parameter : module.parameters()) {
    Tensor noise = Tensor::empty(parameter.shape(), DType::f64);
    fill_normal(noise, 0, std, generator);
    std::vector<double> values = parameter.to_vector<double>();
    for (size_t i = 0; i < values.size(); ++i) values[i] += noise.data<double>()[i];
    parameter.copy_from(Tensor::from(values, parameter.shape()));
  }
}

inline std::unique_ptr<LanguageModel> perturbed_model(const ModelConfig& config, DType dtype,
                                                      uint64_t seed = 7) {
  auto model = make_language_model(config, seed, dtype);
  perturb(*model, seed + 1);
  return model;
}
inline std::unique_ptr<LanguageModel> perturbed_model(const ModelConfig& config, DType dtype,
                                                      Device device) {
  auto model = perturbed_model(config, dtype);
  model->to(device);
  return model;
}

// The type for comparisons of two ways to compute the same: float64 where there is one.
inline DType widest_on(Device device) {
  return device == kCpu ? DType::f64 : DType::f32;
}

inline Tensor random_tokens(const Shape& shape, int64_t n_vocab, uint64_t seed) {
  Generator generator{seed, 0};
  Tensor uniform = Tensor::empty(shape, DType::f64);
  fill_uniform(uniform, 0, static_cast<double>(n_vocab), generator);
  std::vector<int64_t> tokens;
  for (const double u : uniform.to_vector<double>())
    tokens.push_back(std::min(static_cast<int64_t>(u), n_vocab - 1));
  return Tensor::from(tokens, shape);
}

inline Tensor random_normal(const Shape& shape, DType dtype, uint64_t seed, double std = 1) {
  Generator generator{seed, 0};
  Tensor t = Tensor::empty(shape, dtype);
  fill_normal(t, 0, std, generator);
  return t;
}

// [B, T, ...] -> a contiguous copy of times [begin, end).
inline Tensor times(const Tensor& t, int64_t begin, int64_t end) {
  Shape shape = t.shape();
  shape[1] = end - begin;
  return t.strided_view(shape, t.strides(), begin * t.stride(1)).clone();
}

inline Tensor row(const Tensor& t, int64_t b) {
  Shape shape = t.shape();
  shape[0] = 1;
  return t.strided_view(shape, t.strides(), b * t.stride(0)).clone();
}

// max |a - b| / max |b|; infinity if shapes differ or anything is not finite.
inline double relative_error(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  double difference = 0, largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) return INFINITY;
    difference = std::max(difference, std::abs(x[i] - y[i]));
    largest = std::max(largest, std::abs(y[i]));
  }
  return difference == 0 ? 0 : difference / largest;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<double>() == b.to_vector<double>();
}

// States compare at one scale: cells are multiplied by exp(m), which the stabiliser divided out.
inline double state_error(const ModelState& a, const ModelState& b) {
  double worst = 0;
  const auto absolute = [](const Tensor& t, const Tensor& m) {
    std::vector<double> values = t.to_vector<double>();
    const std::vector<double> scale = m.to_vector<double>();
    const size_t per = values.size() / scale.size();
    for (size_t i = 0; i < values.size(); ++i) values[i] *= std::exp(scale[i / per]);
    return Tensor::from(values, t.shape());
  };
  if (a.blocks.size() != b.blocks.size()) return INFINITY;
  for (size_t k = 0; k < a.blocks.size(); ++k) {
    const auto worse = [&](double e) { worst = std::max(worst, e); };
    if (const auto* x = std::get_if<SlstmLayerState>(&a.blocks[k])) {
      const auto& y = std::get<SlstmLayerState>(b.blocks[k]);
      if (x->conv.defined()) worse(relative_error(x->conv, y.conv));
      worse(relative_error(x->cell.h, y.cell.h));
      worse(relative_error(absolute(x->cell.c, x->cell.m), absolute(y.cell.c, y.cell.m)));
      worse(relative_error(absolute(x->cell.n, x->cell.m), absolute(y.cell.n, y.cell.m)));
    } else {
      const auto& u = std::get<MlstmLayerState>(a.blocks[k]);
      const auto& v = std::get<MlstmLayerState>(b.blocks[k]);
      if (u.conv.defined()) worse(relative_error(u.conv, v.conv));
      worse(relative_error(absolute(u.cell.C, u.cell.m), absolute(v.cell.C, v.cell.m)));
      worse(relative_error(absolute(u.cell.n, u.cell.m), absolute(v.cell.n, v.cell.m)));
    }
  }
  return worst;
}

}  // namespace xlstm::layers::testing
