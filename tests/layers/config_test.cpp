// Configurations: shorthands, text, and what is refused.
#include "core/json.h"
#include "layers/config_fields.h"
#include "layers/make_model.h"
#include "tests/catch.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

std::string map_of(const XlstmModelConfig& config) {
  return make_model_outline(config)->layer_map();
}

XlstmModelConfig with_signature(int64_t a, int64_t b, int64_t num_blocks) {
  XlstmModelConfig config = testing::small_a();
  config.slstm_at = {};
  config.num_blocks = num_blocks;
  config.signature = {{a, b}};
  return config;
}

TEST_CASE("signatures place sLSTM blocks") {
  CHECK(map_of(with_signature(7, 1, 8)) == "mmmmmmms");
  CHECK(map_of(with_signature(1, 1, 5)) == "msmsm");
  CHECK(map_of(with_signature(0, 1, 3)) == "sss");
  CHECK(map_of(with_signature(1, 0, 3)) == "mmm");
  CHECK(map_of(with_signature(2, 2, 6)) == "mmssmm");
  XlstmModelConfig layers = with_signature(2, 1, 1);
  layers.num_layers = 3;
  CHECK(map_of(layers) == "mmsmmsmms");
  const XlstmModelConfig resolved = layers.resolved();
  CHECK(resolved.num_blocks == 9);
  CHECK(resolved.slstm_at.indices == std::vector<int64_t>{2, 5, 8});
  CHECK_FALSE(resolved.signature);
  XlstmModelConfig all = testing::small_a();
  all.slstm_at = {.all = true, .indices = {}};
  CHECK(map_of(all) == "sss");
}

TEST_CASE("the inner widths of architecture A") {
  MlstmConfig mlstm;
  CHECK(mlstm.inner_width(768) == 1536);
  CHECK(mlstm.inner_width(33) == 128);
  mlstm.round_proj_up_dim_up = false;
  CHECK(mlstm.inner_width(33) == 64);
  FeedForwardConfig feed_forward;
  CHECK(feed_forward.inner_width(768) == 1024);
  CHECK(feed_forward.inner_width(256) == 384);
  feed_forward.round_proj_up_to_multiple_of = 8;
  CHECK(feed_forward.inner_width(32) == 48);
}

template <class Config, class F>
std::string error_of(Config config, F change) {
  change(config);
  try {
    make_model_outline(config);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

#define REFUSED(base, statement, part)                                      \
  do {                                                                      \
    const std::string message = error_of(base, [](auto& c) { statement; }); \
    INFO(#statement << ": " << message);                                    \
    CHECK(message.find(part) != std::string::npos);                         \
    CHECK(message.find("got ") != std::string::npos);                       \
    CHECK(message.find("expected ") != std::string::npos);                  \
  } while (false)

TEST_CASE("senseless configurations of architecture A are refused by key") {
  const XlstmModelConfig base = testing::small_a();
  REFUSED(base, c.vocab_size = 0, "vocab_size");
  REFUSED(base, c.vocab_size = -5, "vocab_size");
  REFUSED(base, c.embedding_dim = 0, "embedding_dim");
  REFUSED(base, c.embedding_dim = int64_t{1} << 40, "embedding_dim");
  REFUSED(base, c.num_blocks = 0, "num_blocks");
  REFUSED(base, c.num_blocks = int64_t{1} << 40, "num_blocks");
  REFUSED(base, c.slstm_at.indices = {3}, "slstm_at");
  REFUSED(base, c.slstm_at.indices = {-1}, "slstm_at");
  REFUSED(base, (c.slstm_at.indices = {1, 1}), "slstm_at");
  REFUSED(base, (c.signature = {{1, 1}}), "signature");
  REFUSED(base, c.num_layers = 2, "num_layers");
  REFUSED(base, (c.slstm_at = {}, c.signature = {{0, 0}}), "signature");
  REFUSED(base, (c.slstm_at = {}, c.signature = {{1, -1}}), "signature");
  REFUSED(base, (c.slstm_at = {}, c.signature = {{1, 2, 3}}), "signature");
  REFUSED(base, (c.slstm_at = {}, c.signature = {{7, 1}}, c.num_layers = int64_t{1} << 40),
          "num_layers");
  REFUSED(base, (c.slstm_at = {}, c.signature = {{1, 1}}, c.num_layers = 4), "num_blocks");
  REFUSED(base, c.dropout = 1, "dropout");
  REFUSED(base, c.dropout = -0.1, "dropout");
  REFUSED(base, c.slstm_block.slstm.dropout = 0.3, "slstm_block.slstm.dropout");
  REFUSED(base, c.slstm_block.slstm.num_heads = 5, "slstm.num_heads");
  REFUSED(base, c.slstm_block.slstm.num_heads = 0, "slstm.num_heads");
  REFUSED(base, c.slstm_block.slstm.backend = "triton", "slstm.backend");
  REFUSED(base, c.slstm_block.slstm.bias_init = "ones", "bias_init");
  REFUSED(base, c.slstm_block.slstm.recurrent_weight_init = "ones", "recurrent_weight_init");
  REFUSED(base, c.slstm_block.slstm.gradient_recurrent_clipval = -1, "gradient_recurrent_clipval");
  REFUSED(base, c.slstm_block.slstm.conv1d_kernel_size = -1, "slstm.conv1d_kernel_size");
  REFUSED(base, c.slstm_block.slstm.initial_val = 1, "slstm.initial_val");
  REFUSED(base, c.slstm_block.feedforward->proj_factor = 0, "feedforward.proj_factor");
  REFUSED(base, c.slstm_block.feedforward->proj_factor = std::nan(""), "feedforward.proj_factor");
  REFUSED(base, c.slstm_block.feedforward->ff_type = "ffn", "feedforward.ff_type");
  REFUSED(base, c.mlstm_block.mlstm.num_heads = 3, "mlstm.num_heads");
  REFUSED(base, c.mlstm_block.mlstm.qkv_proj_blocksize = 3, "mlstm.qkv_proj_blocksize");
  REFUSED(base, c.mlstm_block.mlstm.conv1d_kernel_size = 0, "mlstm.conv1d_kernel_size");
  REFUSED(base, c.mlstm_block.mlstm.chunk_size = 0, "mlstm.chunk_size");
  REFUSED(base, c.mlstm_block.mlstm.proj_factor = 1e300, "mlstm.proj_factor");
  REFUSED(base,
          (c.mlstm_block.mlstm.round_proj_up_dim_up = false, c.mlstm_block.mlstm.proj_factor = 0.5),
          "mlstm.proj_factor");
  CHECK_FALSE(error_of(base, [](auto& c) { c.slstm_block.feedforward->act_fn = "x"; }).empty());
}

TEST_CASE("senseless configurations of architecture B are refused by key") {
  const XlstmLargeConfig base = testing::small_b();
  REFUSED(base, c.vocab_size = 0, "vocab_size");
  REFUSED(base, c.embedding_dim = -1, "embedding_dim");
  REFUSED(base, c.num_blocks = 0, "num_blocks");
  REFUSED(base, c.num_heads = 0, "num_heads");
  REFUSED(base, c.num_heads = 3, "num_heads");
  REFUSED(base, c.qk_dim_factor = 0, "qk_dim_factor");
  REFUSED(base, c.v_dim_factor = -1, "v_dim_factor");
  REFUSED(base, c.chunk_size = 0, "chunk_size");
  REFUSED(base, c.eps = 0, "eps");
  REFUSED(base, c.ffn_proj_factor = 0, "ffn_proj_factor");
  REFUSED(base, c.ffn_round_up_to_multiple_of = 0, "ffn_round_up_to_multiple_of");
  REFUSED(base, c.gate_soft_cap = -1, "gate_soft_cap");
  REFUSED(base, c.output_logit_soft_cap = -1, "output_logit_soft_cap");
  REFUSED(base, c.weight_mode = "double", "weight_mode");
}

TEST_CASE("configurations are written as JSON under the official keys") {
  XlstmModelConfig config = with_signature(1, 1, 4);
  config.slstm_block.feedforward.reset();
  config.mlstm_block.mlstm.proj_factor = 2.0;
  const Json json = parse_json(make_model_outline(config)->config_text(), "a");
  CHECK(json.find("vocab_size")->as_int() == 19);
  CHECK(json.find("num_blocks")->as_int() == 4);
  CHECK(*json.find("slstm_at") == Json(Json::Array{1, 3}));
  CHECK(json.find("signature") == nullptr);
  CHECK(json.find("mlstm_block")->find("mlstm")->find("proj_factor")->as_double() == 2.0);
  CHECK(json.find("slstm_block")->find("feedforward")->is_null());
  CHECK(json.find("slstm_block")->find("slstm")->find("forward_clipval")->is_null());
  const Json large = parse_json(make_model_outline(testing::small_b())->config_text(), "b");
  CHECK(large.find("ffn_proj_factor")->as_double() == 2.6667);
}

}  // namespace
}  // namespace xlstm::layers
