// y = x W^T + b over the last dimension.
#pragma once

#include "core/ops/matmul.h"
#include "layers/module.h"

namespace xlstm::layers {

struct LinearConfig {
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = false;
  void validate() const;  // ConfigError
};

// Parameters: weight [out, in], bias [out].
class Linear : public Module {
 public:
  Linear(const LinearConfig& config, const init::Initializer& weight_init,
         ParameterFactory& factory, const init::Initializer& bias_init = init::constant(0));
  Tensor forward(const Tensor& x) const;  // [..., in] -> [..., out]; a sequence or a step
  // As one of several maps of the same input (ops::linears).
  ops::LinearPart part(bool wide = false) const { return {weight_, bias_, wide}; }
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }  // undefined without one

 private:
  Tensor weight_, bias_;
};

}  // namespace xlstm::layers
