// The keys of every model configuration, once: for reading YAML or JSON, for writing it, and for
// naming what a user mistyped. `for_each_field(config, f)` calls f(key, member) in a fixed order;
// members are bool, int64_t, double, std::string, BlockPositions, std::vector<int64_t>,
// std::optional of these, or a nested configuration (std::optional: null removes it).
#pragma once

#include <type_traits>

#include "core/json.h"
#include "layers/xlstm_large.h"
#include "layers/xlstm_model.h"

namespace xlstm::layers {

// The visitors accept const and mutable configurations.
template <class Config, class Type>
concept ConfigOf = std::is_same_v<std::remove_const_t<Config>, Type>;

template <ConfigOf<MlstmConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("conv1d_kernel_size", c.conv1d_kernel_size);
  f("qkv_proj_blocksize", c.qkv_proj_blocksize);
  f("num_heads", c.num_heads);
  f("proj_factor", c.proj_factor);
  f("round_proj_up_dim_up", c.round_proj_up_dim_up);
  f("round_proj_up_to_multiple_of", c.round_proj_up_to_multiple_of);
  f("chunk_size", c.chunk_size);
  f("stabilizer_gradient", c.stabilizer_gradient);
}

template <ConfigOf<SlstmConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("num_heads", c.num_heads);
  f("conv1d_kernel_size", c.conv1d_kernel_size);
  f("group_norm_weight", c.group_norm_weight);
  f("dropout", c.dropout);
  f("backend", c.backend);
  f("bias_init", c.bias_init);
  f("recurrent_weight_init", c.recurrent_weight_init);
  f("gradient_recurrent_cut", c.gradient_recurrent_cut);
  f("gradient_recurrent_clipval", c.gradient_recurrent_clipval);
  f("forward_clipval", c.forward_clipval);
  f("dtype", c.dtype);
  f("dtype_b", c.dtype_b);
  f("dtype_r", c.dtype_r);
  f("dtype_w", c.dtype_w);
  f("dtype_g", c.dtype_g);
  f("dtype_s", c.dtype_s);
  f("dtype_a", c.dtype_a);
  f("enable_automatic_mixed_precision", c.enable_automatic_mixed_precision);
  f("batch_size", c.batch_size);
  f("initial_val", c.initial_val);
}

template <ConfigOf<FeedForwardConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("proj_factor", c.proj_factor);
  f("act_fn", c.act_fn);
  f("dropout", c.dropout);
  f("bias", c.bias);
  f("ff_type", c.ff_type);
  f("round_proj_up_dim_up", c.round_proj_up_dim_up);
  f("round_proj_up_to_multiple_of", c.round_proj_up_to_multiple_of);
}

template <ConfigOf<MlstmBlockConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("mlstm", c.mlstm);
}

template <ConfigOf<SlstmBlockConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("slstm", c.slstm);
  f("feedforward", c.feedforward);
}

template <ConfigOf<XlstmModelConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("vocab_size", c.vocab_size);
  f("context_length", c.context_length);
  f("num_blocks", c.num_blocks);
  f("embedding_dim", c.embedding_dim);
  f("add_post_blocks_norm", c.add_post_blocks_norm);
  f("bias", c.bias);
  f("dropout", c.dropout);
  f("slstm_at", c.slstm_at);
  f("signature", c.signature);
  f("num_layers", c.num_layers);
  f("tie_weights", c.tie_weights);
  f("weight_decay_on_embedding", c.weight_decay_on_embedding);
  f("add_embedding_dropout", c.add_embedding_dropout);
  f("mlstm_block", c.mlstm_block);
  f("slstm_block", c.slstm_block);
}

template <ConfigOf<XlstmLargeConfig> C, class F>
void for_each_field(C& c, F&& f) {
  f("vocab_size", c.vocab_size);
  f("embedding_dim", c.embedding_dim);
  f("num_heads", c.num_heads);
  f("num_blocks", c.num_blocks);
  f("use_bias", c.use_bias);
  f("norm_eps", c.norm_eps);
  f("norm_reduction_force_float32", c.norm_reduction_force_float32);
  f("add_out_norm", c.add_out_norm);
  f("qk_dim_factor", c.qk_dim_factor);
  f("v_dim_factor", c.v_dim_factor);
  f("chunkwise_kernel", c.chunkwise_kernel);
  f("sequence_kernel", c.sequence_kernel);
  f("step_kernel", c.step_kernel);
  f("mode", c.mode);
  f("chunk_size", c.chunk_size);
  f("return_last_states", c.return_last_states);
  f("autocast_kernel_dtype", c.autocast_kernel_dtype);
  f("eps", c.eps);
  f("inference_state_dtype", c.inference_state_dtype);
  f("ffn_proj_factor", c.ffn_proj_factor);
  f("ffn_round_up_to_multiple_of", c.ffn_round_up_to_multiple_of);
  f("gate_soft_cap", c.gate_soft_cap);
  f("output_logit_soft_cap", c.output_logit_soft_cap);
  f("weight_mode", c.weight_mode);
  f("tie_word_embeddings", c.tie_word_embeddings);
}

// The configuration as JSON with the official keys.
Json config_json(const XlstmModelConfig& config);
Json config_json(const XlstmLargeConfig& config);

}  // namespace xlstm::layers
