#include "layers/init.h"

#include <cmath>
#include <vector>

namespace xlstm::layers::init {

Initializer constant(double value) {
  return [value](Tensor t, Generator&) { t.fill(value); };
}

Initializer normal(double mean, double std) {
  return [mean, std](Tensor t, Generator& generator) { fill_normal(t, mean, std, generator); };
}

Initializer uniform(double bound) {
  return [bound](Tensor t, Generator& generator) { fill_uniform(t, -bound, bound, generator); };
}

Initializer linspace(double first, double last) {
  return [first, last](Tensor t, Generator&) {
    const int64_t n = t.numel();
    std::vector<double> values(static_cast<size_t>(n), first);
    for (int64_t i = 1; i < n; ++i)
      values[static_cast<size_t>(i)] =
          first + (last - first) * static_cast<double>(i) / static_cast<double>(n - 1);
    t.copy_from(Tensor::from(values, t.shape()));
  };
}

Initializer small(int64_t width) {
  return normal(0, std::sqrt(2.0 / (5.0 * static_cast<double>(width))));
}

Initializer wang(int64_t width, int64_t n_blocks) {
  return normal(0, 2.0 / (static_cast<double>(n_blocks) * std::sqrt(static_cast<double>(width))));
}

Initializer convolution(int64_t kernel_size) {
  return uniform(1.0 / std::sqrt(static_cast<double>(kernel_size)));
}

namespace {

constexpr int64_t kForgetGate = 1;

// Zeros, but the forget gate of every head gets value(k) for unit k.
template <class F>
void fill_forget_bias(Tensor bias, F value) {
  const int64_t H = bias.size(0), D = bias.size(2);
  std::vector<double> values(static_cast<size_t>(bias.numel()), 0.0);
  for (int64_t h = 0; h < H; ++h)
    for (int64_t k = 0; k < D; ++k)
      values[static_cast<size_t>((h * 4 + kForgetGate) * D + k)] =
          value(D > 1 ? static_cast<double>(k) / static_cast<double>(D - 1) : 0.0);
  bias.copy_from(Tensor::from(values, bias.shape()));
}

double standard_bound(const Tensor& t) {
  return 1.0 / std::sqrt(static_cast<double>(t.size(0) * t.size(-1)));
}

}  // namespace

Initializer slstm_bias(const std::string& kind, int64_t block_index, int64_t n_blocks) {
  if (kind == "zeros") return constant(0);
  if (kind == "small_init")
    return
        [](Tensor t, Generator&) { fill_forget_bias(t, [](double x) { return 3.0 + 3.0 * x; }); };
  if (kind == "standard")
    return [](Tensor t, Generator& generator) { uniform(standard_bound(t))(t, generator); };
  require<ConfigError>(kind == "powerlaw_blockdependent", "bias_init: unknown rule, got \"", kind,
                       "\", expected powerlaw_blockdependent, small_init, zeros or standard");
  const double rho =
      n_blocks > 1 ? static_cast<double>(block_index) / static_cast<double>(n_blocks - 1) : 0.0;
  return [rho](Tensor t, Generator&) {
    fill_forget_bias(t, [rho](double x) { return 5.0 - 12.0 * std::pow(x, 0.3 + 1.3 * rho); });
  };
}

Initializer slstm_recurrent(const std::string& kind) {
  if (kind == "zeros") return constant(0);
  require<ConfigError>(kind == "standard", "recurrent_weight_init: unknown rule, got \"", kind,
                       "\", expected zeros or standard");
  return [](Tensor t, Generator& generator) { uniform(standard_bound(t))(t, generator); };
}

}  // namespace xlstm::layers::init
