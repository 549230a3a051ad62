#include "layers/linear.h"

#include "core/ops/matmul.h"

namespace xlstm::layers {

void LinearConfig::validate() const {
  require<ConfigError>(in_features > 0 && out_features > 0, "linear: sizes, got ", in_features,
                       " -> ", out_features, ", expected positive numbers");
}

Linear::Linear(const LinearConfig& config, const init::Initializer& weight_init,
               ParameterFactory& factory, const init::Initializer& bias_init) {
  config.validate();
  weight_ = factory.create({config.out_features, config.in_features}, weight_init);
  register_parameter("weight", weight_);
  if (!config.bias) return;
  bias_ = factory.create({config.out_features}, bias_init);
  register_parameter("bias", bias_);
}

Tensor Linear::forward(const Tensor& x) const {
  return ops::linear(x, weight_, bias_);
}

}  // namespace xlstm::layers
