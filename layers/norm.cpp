#include "layers/norm.h"

#include "core/ops/elementwise.h"

namespace xlstm::layers {

void NormConfig::validate() const {
  require<ConfigError>(width > 0, "norm: width, got ", width, ", expected a positive number");
  require<ConfigError>(eps > 0, "norm: eps, got ", eps, ", expected a positive number");
  require<ConfigError>(num_heads > 0 && width % num_heads == 0,
                       "norm: heads do not divide the width, got ", num_heads, " heads for width ",
                       width, ", expected a divisor");
}

Norm::Norm(const NormConfig& config, ParameterFactory& factory) : config_(config) {
  config.validate();
  const double start = config.scale == ops::NormScale::one_plus ? 0 : 1;
  if (config.weight) {
    weight_ = factory.create({config.width}, init::constant(start));
    register_parameter("weight", weight_);
  } else {
    weight_ = Tensor::full({config.width}, start, factory.dtype());
    register_constant(weight_);
  }
  if (!config.bias) return;
  bias_ = factory.create({config.width}, init::constant(0));
  register_parameter("bias", bias_);
}

Tensor Norm::forward(const Tensor& x) const {
  if (config_.kind == NormKind::layer)
    return ops::layer_norm(x, weight_, bias_, config_.eps, config_.scale);
  const Tensor y =
      config_.kind == NormKind::rms
          ? ops::rms_norm(x, weight_, config_.eps, config_.scale)
          : ops::multi_head_norm(x, weight_, config_.num_heads, config_.eps, config_.scale);
  return bias_.defined() ? ops::add(y, bias_) : y;
}

ops::AddedNorm Norm::forward(const ResidualStream& x) const {
  if (!x.update.defined() || config_.kind == NormKind::multi_head) {
    const Tensor sum = x.value();
    return {forward(sum), sum};
  }
  if (config_.kind == NormKind::layer)
    return ops::add_layer_norm(x.sum, x.update, weight_, bias_, config_.eps, config_.scale);
  auto result = ops::add_rms_norm(x.sum, x.update, weight_, config_.eps, config_.scale);
  if (bias_.defined()) result.y = ops::add(result.y, bias_);
  return result;
}

Tensor Norm::forward(const Tensor& x, const ops::NormGate& gate) const {
  const ops::HeadNorm norm = head_norm();
  return ops::multi_head_norm_gated(x, gate, norm.weight, norm.bias, config_.num_heads, norm.eps,
                                    norm.scale);
}

ops::HeadNorm Norm::head_norm() const {
  require<ConfigError>(config_.kind == NormKind::multi_head,
                       "norm: a gate, got one on another norm than multi_head");
  return {weight_, bias_, config_.eps, config_.scale};
}

Tensor ResidualStream::value() const {
  return update.defined() ? ops::add(sum, update) : sum;
}

}  // namespace xlstm::layers
