// Gated feed-forward networks: y = W_down (act(W_gate x) * W_up x).
#pragma once

#include <optional>

#include "core/ops/activation.h"
#include "layers/dimensions.h"
#include "layers/linear.h"

namespace xlstm::layers {

// Architecture A, after an sLSTM layer. Member names are the official configuration keys.
struct FeedForwardConfig {
  double proj_factor = 1.3;
  std::string act_fn = "gelu";
  double dropout = 0;  // its own, not the model's
  bool bias = false;
  std::string ff_type = "ffn_gated";
  bool round_proj_up_dim_up = true;
  int64_t round_proj_up_to_multiple_of = 64;

  int64_t inner_width(int64_t embedding_dim) const;  // F
  void validate(int64_t embedding_dim) const;        // ConfigError
};

// Parameters: proj_up [2F, D] (the gate is its first half), proj_down [D, F].
class FeedForward : public Module {
 public:
  FeedForward(const BlockPlace& place, const FeedForwardConfig& config, ParameterFactory& factory);
  Tensor forward(const Tensor& x, const ForwardContext& context = {}) const;  // [..., D]

 private:
  int64_t F_;
  double dropout_;
  ops::Activation activation_;
  std::optional<Linear> proj_up_, proj_down_;
};

// Architecture B: SiLU, two separate up-projections.
struct FeedForwardLargeConfig {
  int64_t embedding_dim = 0;
  int64_t num_blocks = 1;
  bool use_bias = false;
  double ffn_proj_factor = 2.6667;
  int64_t ffn_round_up_to_multiple_of = 64;

  // floor((embedding_dim * factor + multiple - 1) / multiple) * multiple, in double: 10944 for the
  // 7B model. It differs from rounding up where the product overshoots a multiple by less than 1.
  int64_t inner_width() const;
  void validate() const;  // ConfigError
};

// Parameters: proj_up_gate, proj_up [U, D], proj_down [D, U].
class FeedForwardLarge : public Module {
 public:
  FeedForwardLarge(const FeedForwardLargeConfig& config, ParameterFactory& factory);
  Tensor forward(const Tensor& x) const;  // [..., D]

 private:
  std::optional<Linear> proj_up_gate_, proj_up_, proj_down_;
};

}  // namespace xlstm::layers
