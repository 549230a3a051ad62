// The sLSTM layer of architecture A. Equations: docs/model.md, "sLSTM".
#pragma once

#include <optional>

#include "layers/causal_conv1d.h"
#include "layers/dimensions.h"
#include "layers/norm.h"
#include "layers/state.h"

namespace xlstm::layers {

// Member names are the official configuration keys.
struct SlstmConfig {
  int64_t num_heads = 4;
  int64_t conv1d_kernel_size = 4;  // 0: no convolution
  bool group_norm_weight = true;
  double dropout = 0;            // set by the model's own dropout, as in the official code
  std::string backend = "cuda";  // cuda or vanilla: only the layout of R and bias in written files
  std::string bias_init = "powerlaw_blockdependent";
  std::string recurrent_weight_init = "zeros";
  bool gradient_recurrent_cut = false;
  std::optional<double> gradient_recurrent_clipval = {};
  std::optional<double> forward_clipval = {};
  // Read and kept for compatibility; element types are chosen by this library.
  std::string dtype = "bfloat16", dtype_b = "float32";
  std::string dtype_r = "", dtype_w = "", dtype_g = "", dtype_s = "", dtype_a = "";
  bool enable_automatic_mixed_precision = true;
  int64_t batch_size = 8;
  double initial_val = 0;  // only 0

  void validate(int64_t embedding_dim) const;  // ConfigError
};

// convolution -> four gates, headwise -> cell -> dropout -> multi-head norm. No output projection.
class SlstmLayer : public Module {
 public:
  SlstmLayer(const BlockPlace& place, const SlstmConfig& config, ParameterFactory& factory);

  // x [B, T, D] -> y [B, T, D]; reset uint8 [B, T] or undefined: 1 starts a document.
  Outcome<SlstmLayerState> forward(const Tensor& x, const SlstmLayerState& state,
                                   const Tensor& reset = {},
                                   const ForwardContext& context = {}) const;
  // x [B, D] -> y [B, D], one step of a sequence of that.
  Outcome<SlstmLayerState> step(const Tensor& x, const SlstmLayerState& state,
                                const ForwardContext& context = {}) const;
  SlstmLayerState init_state(int64_t batch) const;

 private:
  // The cell's pre-activations [B, T, 4, H, D / H].
  Tensor gates(const Tensor& convolved, const Tensor& x) const;
  ops::SlstmOptions options(const ForwardContext& context) const;

  SlstmConfig config_;
  double dropout_;
  int64_t H_, D_;
  std::optional<CausalConv1d> conv1d_;
  Tensor input_gate_, forget_gate_, cell_input_, output_gate_;  // weights [H, D_out, D_in]
  Tensor recurrent_;                                            // R [H, D_in, 4, D_out]
  Tensor bias_;                                                 // [H, 4, D]
  std::optional<Norm> group_norm_;
};

}  // namespace xlstm::layers
