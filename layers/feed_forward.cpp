#include "layers/feed_forward.h"

#include <cmath>

#include "core/ops/view.h"

namespace xlstm::layers {

int64_t FeedForwardConfig::inner_width(int64_t embedding_dim) const {
  return projected_width("feedforward", embedding_dim, proj_factor, round_proj_up_to_multiple_of,
                         round_proj_up_dim_up);
}

void FeedForwardConfig::validate(int64_t embedding_dim) const {
  inner_width(embedding_dim);
  ops::parse_activation(act_fn);
  require<ConfigError>(dropout >= 0 && dropout < 1, "feedforward.dropout: got ", dropout,
                       ", expected 0 <= p < 1");
  require<ConfigError>(ff_type == "ffn_gated", "feedforward.ff_type: got \"", ff_type,
                       "\", expected ffn_gated");
}

FeedForward::FeedForward(const BlockPlace& place, const FeedForwardConfig& config,
                         ParameterFactory& factory)
    : dropout_(config.dropout), activation_(ops::parse_activation(config.act_fn)) {
  config.validate(place.embedding_dim);
  const int64_t D = place.embedding_dim;
  F_ = config.inner_width(D);
  proj_up_.emplace(LinearConfig{D, 2 * F_, config.bias}, init::small(D), factory);
  register_module("proj_up", *proj_up_);
  proj_down_.emplace(LinearConfig{F_, D, config.bias}, init::wang(D, place.num_blocks), factory);
  register_module("proj_down", *proj_down_);
}

Tensor FeedForward::forward(const Tensor& x, const ForwardContext& context) const {
  const Tensors halves = ops::split(proj_up_->forward(x), {F_, F_}, -1);
  const Tensor y = proj_down_->forward(ops::gated(halves[0], halves[1], activation_));
  return dropout(y, dropout_, context);
}

int64_t FeedForwardLargeConfig::inner_width() const {
  const auto multiple = static_cast<double>(ffn_round_up_to_multiple_of);
  const double product = static_cast<double>(embedding_dim) * ffn_proj_factor;
  return static_cast<int64_t>(std::floor((product + multiple - 1) / multiple)) *
         ffn_round_up_to_multiple_of;
}

void FeedForwardLargeConfig::validate() const {
  require<ConfigError>(embedding_dim > 0, "embedding_dim: got ", embedding_dim,
                       ", expected a positive number");
  require<ConfigError>(
      std::isfinite(ffn_proj_factor) && ffn_proj_factor > 0 && ffn_proj_factor <= 1024,
      "ffn_proj_factor: got ", ffn_proj_factor, ", expected a number in (0, 1024]");
  require<ConfigError>(
      ffn_round_up_to_multiple_of > 0 && ffn_round_up_to_multiple_of <= int64_t{1} << 20,
      "ffn_round_up_to_multiple_of: got ", ffn_round_up_to_multiple_of, ", expected 1 to 1048576");
  require<ConfigError>(inner_width() > 0, "ffn_proj_factor: inner width is zero, got ",
                       ffn_proj_factor, ", expected a larger factor");
}

FeedForwardLarge::FeedForwardLarge(const FeedForwardLargeConfig& config,
                                   ParameterFactory& factory) {
  config.validate();
  const int64_t D = config.embedding_dim, U = config.inner_width();
  proj_up_gate_.emplace(LinearConfig{D, U, config.use_bias}, init::small(D), factory);
  register_module("proj_up_gate", *proj_up_gate_);
  proj_up_.emplace(LinearConfig{D, U, config.use_bias}, init::small(D), factory);
  register_module("proj_up", *proj_up_);
  proj_down_.emplace(LinearConfig{U, D, config.use_bias}, init::wang(D, config.num_blocks),
                     factory);
  register_module("proj_down", *proj_down_);
}

Tensor FeedForwardLarge::forward(const Tensor& x) const {
  const Tensors up = ops::linears(x, {proj_up_gate_->part(), proj_up_->part()});
  return proj_down_->forward(ops::gated(up[0], up[1], ops::Activation::silu));
}

}  // namespace xlstm::layers
