#include "layers/causal_conv1d.h"

#include "core/ops/causal_conv1d.h"
#include "core/ops/view.h"

namespace xlstm::layers {

void CausalConv1dConfig::validate() const {
  require<ConfigError>(width > 0, "convolution: width, got ", width,
                       ", expected a positive number");
  require<ConfigError>(kernel_size >= 1 && kernel_size <= 1024, "convolution: kernel size, got ",
                       kernel_size, ", expected 1 to 1024");
}

CausalConv1d::CausalConv1d(const CausalConv1dConfig& config, ParameterFactory& factory)
    : config_(config) {
  config.validate();
  const auto start = init::convolution(config.kernel_size);
  weight_ = factory.create({config.width, 1, config.kernel_size}, start);
  register_parameter("conv.weight", weight_);
  if (!config.bias) return;
  bias_ = factory.create({config.width}, start);
  register_parameter("conv.bias", bias_);
}

CausalConv1d::Result CausalConv1d::forward(const Tensor& x, const Tensor& state,
                                           const Tensor& reset) const {
  const Tensor start = state.defined() ? ops::cast(state, x.dtype()) : state;
  const auto result = ops::causal_conv1d(x, weight_, bias_, start, reset, config_.silu);
  return {result.y, result.final_state};
}

CausalConv1d::Result CausalConv1d::step(const Tensor& x, const Tensor& state) const {
  Result result = forward(ops::unsqueeze(x, 1), state);
  result.y = ops::squeeze(result.y, 1);
  return result;
}

Tensor CausalConv1d::init_state(int64_t batch) const {
  return Tensor::zeros({batch, config_.kernel_size - 1, config_.width}, weight_.dtype(),
                       weight_.device());
}

}  // namespace xlstm::layers
