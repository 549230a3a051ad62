// A block-diagonal linear map: equal heads, each with its own small square weight.
#pragma once

#include "core/ops/headwise_linear.h"
#include "layers/module.h"

namespace xlstm::layers {

struct HeadwiseLinearConfig {
  int64_t width = 0;  // of input and output
  int64_t num_heads = 1;
  bool bias = false;
  void validate() const;  // ConfigError
};

// Parameters: weight [heads, width / heads (out), width / heads (in)], bias [width].
class HeadwiseLinear : public Module {
 public:
  HeadwiseLinear(const HeadwiseLinearConfig& config, const init::Initializer& weight_init,
                 ParameterFactory& factory);
  Tensor forward(const Tensor& x) const;  // [..., width] -> [..., width]
  // The map of x, to stand beside others (ops::headwise_linears).
  ops::HeadwiseMap of(const Tensor& x) const { return {x, weight_, bias_}; }
  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_, bias_;
};

}  // namespace xlstm::layers
