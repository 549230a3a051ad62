// The mLSTM layers of both architectures. Equations: docs/model.md, "mLSTM".
#pragma once

#include <optional>

#include "layers/causal_conv1d.h"
#include "layers/dimensions.h"
#include "layers/headwise_linear.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "layers/state.h"

namespace xlstm::layers {

// Architecture A. Member names are the official configuration keys; the last two are ours.
struct MlstmConfig {
  int64_t conv1d_kernel_size = 4;
  int64_t qkv_proj_blocksize = 4;
  int64_t num_heads = 4;
  double proj_factor = 2.0;
  bool round_proj_up_dim_up = true;
  int64_t round_proj_up_to_multiple_of = 64;
  int64_t chunk_size = 64;
  // Adds the gradient that reaches the gates through the eps of the denominator (core/ops/mlstm.h).
  bool stabilizer_gradient = false;

  int64_t inner_width(int64_t embedding_dim) const;  // E
  void validate(int64_t embedding_dim) const;        // ConfigError
};

// Up-projection to two halves; one through convolution, cell and norm, the other as its gate.
class MlstmLayer : public Module {
 public:
  MlstmLayer(const BlockPlace& place, const MlstmConfig& config, ParameterFactory& factory);

  // x [B, T, D] -> y [B, T, D]; reset uint8 [B, T] or undefined: 1 starts a document.
  Outcome<MlstmLayerState> forward(const Tensor& x, const MlstmLayerState& state,
                                   const Tensor& reset = {},
                                   const ForwardContext& context = {}) const;
  Outcome<MlstmLayerState> step(const Tensor& x, const MlstmLayerState& state) const;  // x [B, D]
  MlstmLayerState init_state(int64_t batch) const;

 private:
  // Input and forget gate pre-activations [B, T, H] from q, k, v side by side, [B, T, 3 E].
  Tensors gates(const Tensor& qkv, const ForwardContext& context) const;

  MlstmConfig config_;
  double dropout_;
  int64_t H_, E_;
  Tensor learnable_skip_;
  std::optional<Linear> proj_up_;
  std::optional<HeadwiseLinear> q_proj_, k_proj_, v_proj_;
  std::optional<CausalConv1d> conv1d_;
  std::optional<Linear> input_gate_, forget_gate_;
  std::optional<Norm> outnorm_;
  std::optional<Linear> proj_down_;
};

// Architecture B: no convolution, no up-projection, sigmoid output gate after the norm.
struct MlstmLargeConfig {
  int64_t embedding_dim = 0;
  int64_t num_heads = 0;
  int64_t num_blocks = 1;
  bool use_bias = false;
  double norm_eps = 1e-6;
  double qk_dim_factor = 0.5;
  double v_dim_factor = 1.0;
  int64_t chunk_size = 64;
  double eps = 1e-6;
  double gate_soft_cap = 15;

  int64_t qk_width() const;  // int(embedding_dim * qk_dim_factor)
  int64_t v_width() const;
  void validate() const;  // ConfigError
};

class MlstmLargeLayer : public Module {
 public:
  MlstmLargeLayer(const MlstmLargeConfig& config, ParameterFactory& factory);
  Outcome<MlstmLayerState> forward(const Tensor& x, const MlstmLayerState& state,
                                   const Tensor& reset = {},
                                   const ForwardContext& context = {}) const;
  Outcome<MlstmLayerState> step(const Tensor& x, const MlstmLayerState& state) const;
  MlstmLayerState init_state(int64_t batch) const;

 private:
  // Queries, keys, values, output gates, input gates, forget gates from x.
  Tensors projections(const Tensor& x, const ForwardContext& context) const;

  MlstmLargeConfig config_;
  int64_t H_;
  std::optional<Linear> q_, k_, v_, output_gate_, input_gate_, forget_gate_;
  std::optional<Norm> multihead_norm_;
  std::optional<Linear> out_proj_;
};

}  // namespace xlstm::layers
