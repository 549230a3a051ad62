// Token embedding.
#pragma once

#include "layers/module.h"

namespace xlstm::layers {

struct EmbeddingConfig {
  int64_t vocab_size = 0;
  int64_t width = 0;
  void validate() const;  // ConfigError
};

// Parameter: weight [vocab_size, width].
class Embedding : public Module {
 public:
  Embedding(const EmbeddingConfig& config, const init::Initializer& weight_init,
            ParameterFactory& factory);
  Tensor forward(const Tensor& tokens) const;  // int64 [...] -> [..., width]
  // The same in bfloat16 or float16 from float32 weights.
  Tensor forward(const Tensor& tokens, DType dtype) const;
  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_;
};

}  // namespace xlstm::layers
