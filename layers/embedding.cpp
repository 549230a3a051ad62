#include "layers/embedding.h"

#include "core/ops/embedding.h"

namespace xlstm::layers {

void EmbeddingConfig::validate() const {
  require<ConfigError>(vocab_size > 0 && width > 0, "embedding: sizes, got vocabulary ", vocab_size,
                       " and width ", width, ", expected positive numbers");
}

Embedding::Embedding(const EmbeddingConfig& config, const init::Initializer& weight_init,
                     ParameterFactory& factory) {
  config.validate();
  weight_ = factory.create({config.vocab_size, config.width}, weight_init);
  register_parameter("weight", weight_);
}

Tensor Embedding::forward(const Tensor& tokens) const {
  return ops::embedding(tokens, weight_);
}

Tensor Embedding::forward(const Tensor& tokens, DType dtype) const {
  return ops::embedding(tokens, weight_, dtype);
}

}  // namespace xlstm::layers
