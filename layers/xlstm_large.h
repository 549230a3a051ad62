// Architecture B: xLSTM-Large, the 7B model's family. mLSTM blocks only.
#pragma once

#include "layers/language_model.h"

namespace xlstm::layers {

// Member names are the official configuration keys.
struct XlstmLargeConfig {
  int64_t vocab_size = 0;  // required, as the next three
  int64_t embedding_dim = 0;
  int64_t num_heads = 0;
  int64_t num_blocks = 0;
  bool use_bias = false;  // in every linear map and norm but the head
  double norm_eps = 1e-6;
  bool add_out_norm = true;
  double qk_dim_factor = 0.5;
  double v_dim_factor = 1.0;
  int64_t chunk_size = 64;
  double eps = 1e-6;  // of the cell's denominator
  double ffn_proj_factor = 2.6667;
  int64_t ffn_round_up_to_multiple_of = 64;
  double gate_soft_cap = 15;
  double output_logit_soft_cap = 30;
  std::string weight_mode = "single";  // or fused: only the names in written files
  bool tie_word_embeddings = false;
  // Read and kept for compatibility; this library chooses kernels and element types itself.
  bool norm_reduction_force_float32 = true;
  std::string chunkwise_kernel = "chunkwise--triton_limit_chunk";
  std::string sequence_kernel = "native_sequence__triton";
  std::string step_kernel = "triton";
  std::string mode = "train";
  bool return_last_states = false;
  std::string autocast_kernel_dtype = "bfloat16";
  std::string inference_state_dtype = "float32";

  MlstmLargeConfig mlstm() const;
  FeedForwardLargeConfig feed_forward() const;
  void validate() const;  // ConfigError
};

class XlstmLarge : public LanguageModel {
 public:
  XlstmLarge(const XlstmLargeConfig& config, ParameterFactory& factory);
  XlstmLarge(const XlstmLargeConfig& config, ParameterFactory&& factory)
      : XlstmLarge(config, factory) {}
  const XlstmLargeConfig& config() const { return config_; }
  const char* arch() const override { return "xlstm_large"; }
  std::string config_text() const override;
  std::string layer_map() const override;

 private:
  XlstmLargeConfig config_;
};

}  // namespace xlstm::layers
