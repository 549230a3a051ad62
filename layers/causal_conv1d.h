// Causal depthwise convolution over time, followed by SiLU where asked.
#pragma once

#include "layers/module.h"

namespace xlstm::layers {

struct CausalConv1dConfig {
  int64_t width = 0;
  int64_t kernel_size = 4;
  bool bias = true;
  bool silu = true;
  void validate() const;  // ConfigError
};

// Parameters: conv.weight [width, 1, kernel_size], conv.bias [width].
class CausalConv1d : public Module {
 public:
  CausalConv1d(const CausalConv1dConfig& config, ParameterFactory& factory);

  struct Result {
    Tensor y;
    Tensor state;  // [B, kernel_size - 1, width]: the last inputs
  };
  // x [B, T, width]; state as in Result, or undefined for zeros; reset uint8 [B, T] or undefined:
  // 1 starts a document.
  Result forward(const Tensor& x, const Tensor& state, const Tensor& reset = {}) const;
  Result step(const Tensor& x, const Tensor& state) const;  // x [B, width]
  Tensor init_state(int64_t batch) const;
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }  // undefined: none

 private:
  CausalConv1dConfig config_;
  Tensor weight_, bias_;
};

}  // namespace xlstm::layers
