#include "layers/headwise_linear.h"

namespace xlstm::layers {

void HeadwiseLinearConfig::validate() const {
  require<ConfigError>(width > 0 && num_heads > 0 && width % num_heads == 0,
                       "headwise linear: heads do not divide the width, got ", num_heads,
                       " heads for width ", width, ", expected a divisor");
}

HeadwiseLinear::HeadwiseLinear(const HeadwiseLinearConfig& config,
                               const init::Initializer& weight_init, ParameterFactory& factory) {
  config.validate();
  const int64_t D = config.width / config.num_heads;
  weight_ = factory.create({config.num_heads, D, D}, weight_init);
  register_parameter("weight", weight_);
  if (!config.bias) return;
  bias_ = factory.create({config.width}, init::constant(0));
  register_parameter("bias", bias_);
}

Tensor HeadwiseLinear::forward(const Tensor& x) const {
  return ops::headwise_linear(x, weight_, bias_);
}

}  // namespace xlstm::layers
