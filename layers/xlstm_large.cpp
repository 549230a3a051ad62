#include "layers/xlstm_large.h"

#include <cmath>

#include "layers/config_fields.h"

namespace xlstm::layers {

MlstmLargeConfig XlstmLargeConfig::mlstm() const {
  return {.embedding_dim = embedding_dim,
          .num_heads = num_heads,
          .num_blocks = num_blocks,
          .use_bias = use_bias,
          .norm_eps = norm_eps,
          .qk_dim_factor = qk_dim_factor,
          .v_dim_factor = v_dim_factor,
          .chunk_size = chunk_size,
          .eps = eps,
          .gate_soft_cap = gate_soft_cap};
}

FeedForwardLargeConfig XlstmLargeConfig::feed_forward() const {
  return {.embedding_dim = embedding_dim,
          .num_blocks = num_blocks,
          .use_bias = use_bias,
          .ffn_proj_factor = ffn_proj_factor,
          .ffn_round_up_to_multiple_of = ffn_round_up_to_multiple_of};
}

void XlstmLargeConfig::validate() const {
  require<ConfigError>(vocab_size > 0 && vocab_size <= int64_t{1} << 31, "vocab_size: got ",
                       vocab_size, ", expected a positive number");
  require<ConfigError>(embedding_dim > 0 && embedding_dim <= int64_t{1} << 24,
                       "embedding_dim: got ", embedding_dim, ", expected 1 to 16777216");
  require<ConfigError>(num_blocks > 0 && num_blocks <= 1024, "num_blocks: got ", num_blocks,
                       ", expected 1 to 1024");
  require<ConfigError>(std::isfinite(output_logit_soft_cap) && output_logit_soft_cap >= 0,
                       "output_logit_soft_cap: got ", output_logit_soft_cap,
                       ", expected a positive number, or 0 for none");
  require<ConfigError>(weight_mode == "single" || weight_mode == "fused", "weight_mode: got \"",
                       weight_mode, "\", expected single or fused");
  mlstm().validate();
  feed_forward().validate();
}

XlstmLarge::XlstmLarge(const XlstmLargeConfig& config, ParameterFactory& factory)
    : config_(config) {
  config.validate();
  const auto small = init::small(config.embedding_dim);
  embedding_.emplace(EmbeddingConfig{config.vocab_size, config.embedding_dim}, small, factory);
  register_module("embedding", *embedding_);
  for (int64_t k = 0; k < config.num_blocks; ++k) {
    blocks_.push_back(
        std::make_unique<MlstmLargeBlock>(config.mlstm(), config.feed_forward(), factory));
    register_module("backbone.blocks." + std::to_string(k), *blocks_.back());
  }
  if (config.add_out_norm) {
    final_norm_.emplace(NormConfig{.kind = NormKind::rms,
                                   .width = config.embedding_dim,
                                   .eps = config.norm_eps,
                                   .scale = ops::NormScale::plain,
                                   .bias = config.use_bias},
                        factory);
    register_module("backbone.out_norm", *final_norm_);
  }
  head_ = config.tie_word_embeddings
              ? embedding_->weight()
              : factory.create({config.vocab_size, config.embedding_dim}, small);
  register_parameter("lm_head.weight", head_);
  soft_cap_ = config.output_logit_soft_cap;
}

std::string XlstmLarge::config_text() const {
  return to_text(config_json(config_), 2);
}

std::string XlstmLarge::layer_map() const {
  return std::string(static_cast<size_t>(config_.num_blocks), 'm');
}

}  // namespace xlstm::layers
