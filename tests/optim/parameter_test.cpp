#include "optim/parameter.h"

#include "tests/catch.h"

namespace xlstm::optim {
namespace {

TEST_CASE("weight decay follows the official groups") {
  const std::string a = "xlstm_block_stack.blocks.3.", b = "backbone.blocks.31.";
  const std::vector<std::pair<std::string, bool>> table = {
      // Architecture A.
      {"token_embedding.weight", false},
      {"lm_head.weight", true},
      {"xlstm_block_stack.post_blocks_norm.weight", false},
      {a + "xlstm_norm.weight", false},
      {a + "xlstm.proj_up.weight", true},
      {a + "xlstm.proj_up.bias", false},
      {a + "xlstm.q_proj.weight", true},
      {a + "xlstm.conv1d.conv.weight", true},
      {a + "xlstm.conv1d.conv.bias", false},
      {a + "xlstm.mlstm_cell.igate.weight", true},
      {a + "xlstm.mlstm_cell.fgate.bias", false},
      {a + "xlstm.mlstm_cell.outnorm.weight", false},
      {a + "xlstm.learnable_skip", false},
      {a + "xlstm.proj_down.weight", true},
      {a + "xlstm.zgate.weight", true},
      {a + "xlstm.slstm_cell._recurrent_kernel_", false},
      {a + "xlstm.slstm_cell._bias_", false},
      {a + "xlstm.group_norm.weight", false},
      {a + "ffn_norm.weight", false},
      {a + "ffn.proj_up.weight", true},
      // Architecture B.
      {"embedding.weight", false},
      {"backbone.embeddings.weight", false},
      {"backbone.out_norm.weight", false},
      {b + "norm_mlstm.weight", false},
      {b + "norm_ffn.weight", false},
      {b + "mlstm_layer.q.weight", true},
      {b + "mlstm_layer.ogate_preact.weight", true},
      {b + "mlstm_layer.igate_preact.weight", true},
      {b + "mlstm_layer.igate_preact.bias", false},
      {b + "mlstm_layer.multihead_norm.weight", false},
      {b + "mlstm_layer.out_proj.weight", true},
      {b + "mlstm_layer.qkv_opreact.weight", true},
      {b + "ffn.proj_up_gate.weight", true},
      {b + "ffn.proj_down.bias", false},
      // A prefix that says "weights" makes no weight.
      {"weights.xlstm.learnable_skip", false},
      {"weight", true},
  };
  for (const auto& [name, expected] : table) {
    INFO(name);
    CHECK(decays(name) == expected);
  }
}

TEST_CASE("the embedding decays if asked for, and nothing else changes") {
  CHECK(decays("token_embedding.weight", true));
  CHECK(decays("embedding.weight", true));
  CHECK(decays("backbone.embeddings.weight", true));
  CHECK_FALSE(decays("backbone.out_norm.weight", true));
  CHECK_FALSE(decays("xlstm.conv1d.conv.bias", true));
}

TEST_CASE("parameters that an optimizer could not use are refused") {
  const Tensor x = Tensor::zeros({2, 3});
  CHECK(make_parameters({{"a.weight", x}, {"a.bias", Tensor::zeros({2})}})[0].decay);
  CHECK_THROWS_AS(make_parameters({{"", x}}), ConfigError);
  CHECK_THROWS_AS(make_parameters({{"a", x}, {"a", Tensor::zeros({1})}}), ConfigError);
  CHECK_THROWS_WITH(make_parameters({{"a", x}, {"b", x}}), test::contains("b and a are one"));
  CHECK_THROWS_AS(make_parameters({{"a", {}}}), ShapeError);
  CHECK_THROWS_AS(make_parameters({{"a", Tensor::zeros({2}, DType::i64)}}), ShapeError);
  CHECK_THROWS_AS(make_parameters({{"a", x.strided_view({3, 2}, {1, 3})}}), ShapeError);
}

}  // namespace
}  // namespace xlstm::optim
