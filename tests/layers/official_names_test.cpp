// Names and layouts of checkpoints: what loads, what is written, what is refused.
#include "layers/official_names.h"

#include <map>

#include "core/ops/view.h"
#include "tests/catch.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

using testing::same_bits;

std::map<std::string, Tensor> as_map(const NamedTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

const std::string kCell = "xlstm_block_stack.blocks.1.xlstm.slstm_cell.";

TEST_CASE("architecture A's names are the official ones, in order") {
  XlstmModelConfig config = testing::small_a();
  config.num_blocks = 2;
  config.bias = true;
  const auto model = make_model_outline(config);
  const std::vector<std::pair<std::string, Shape>> expected = {
      {"xlstm_block_stack.blocks.0.xlstm_norm.weight", {32}},
      {"xlstm_block_stack.blocks.0.xlstm.learnable_skip", {64}},
      {"xlstm_block_stack.blocks.0.xlstm.proj_up.weight", {128, 32}},
      {"xlstm_block_stack.blocks.0.xlstm.proj_up.bias", {128}},
      {"xlstm_block_stack.blocks.0.xlstm.q_proj.weight", {16, 4, 4}},
      {"xlstm_block_stack.blocks.0.xlstm.q_proj.bias", {64}},
      {"xlstm_block_stack.blocks.0.xlstm.k_proj.weight", {16, 4, 4}},
      {"xlstm_block_stack.blocks.0.xlstm.k_proj.bias", {64}},
      {"xlstm_block_stack.blocks.0.xlstm.v_proj.weight", {16, 4, 4}},
      {"xlstm_block_stack.blocks.0.xlstm.v_proj.bias", {64}},
      {"xlstm_block_stack.blocks.0.xlstm.conv1d.conv.weight", {64, 1, 4}},
      {"xlstm_block_stack.blocks.0.xlstm.conv1d.conv.bias", {64}},
      {"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.igate.weight", {4, 192}},
      {"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.igate.bias", {4}},
      {"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.fgate.weight", {4, 192}},
      {"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.fgate.bias", {4}},
      {"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.outnorm.weight", {64}},
      {"xlstm_block_stack.blocks.0.xlstm.proj_down.weight", {32, 64}},
      {"xlstm_block_stack.blocks.0.xlstm.proj_down.bias", {32}},
      {"xlstm_block_stack.blocks.1.xlstm_norm.weight", {32}},
      {"xlstm_block_stack.blocks.1.xlstm.conv1d.conv.weight", {32, 1, 4}},
      {"xlstm_block_stack.blocks.1.xlstm.conv1d.conv.bias", {32}},
      {"xlstm_block_stack.blocks.1.xlstm.fgate.weight", {4, 8, 8}},
      {"xlstm_block_stack.blocks.1.xlstm.igate.weight", {4, 8, 8}},
      {"xlstm_block_stack.blocks.1.xlstm.zgate.weight", {4, 8, 8}},
      {"xlstm_block_stack.blocks.1.xlstm.ogate.weight", {4, 8, 8}},
      {"xlstm_block_stack.blocks.1.xlstm.slstm_cell._recurrent_kernel_", {4, 8, 32}},
      {"xlstm_block_stack.blocks.1.xlstm.slstm_cell._bias_", {128}},
      {"xlstm_block_stack.blocks.1.xlstm.group_norm.weight", {32}},
      {"xlstm_block_stack.blocks.1.ffn_norm.weight", {32}},
      {"xlstm_block_stack.blocks.1.ffn.proj_up.weight", {128, 32}},
      {"xlstm_block_stack.blocks.1.ffn.proj_down.weight", {32, 64}},
      {"xlstm_block_stack.post_blocks_norm.weight", {32}},
      {"token_embedding.weight", {19, 32}},
      {"lm_head.weight", {19, 32}},
  };
  const auto full = make_language_model(config, 1);
  const NamedTensors got = state_dict(*full);
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].first == expected[i].first);
    CHECK(got[i].second.shape() == expected[i].second);
  }
}

TEST_CASE("architecture B's names, single and fused, with every bias") {
  XlstmLargeConfig config = testing::small_b();
  config.num_blocks = 1;
  config.use_bias = true;
  const auto model = make_language_model(config, 1);
  const std::string b = "backbone.blocks.0.";
  const std::map<std::string, Shape> single = {
      {"embedding.weight", {19, 32}},
      {b + "norm_mlstm.weight", {32}},
      {b + "norm_mlstm.bias", {32}},
      {b + "mlstm_layer.q.weight", {16, 32}},
      {b + "mlstm_layer.q.bias", {16}},
      {b + "mlstm_layer.k.weight", {16, 32}},
      {b + "mlstm_layer.k.bias", {16}},
      {b + "mlstm_layer.v.weight", {32, 32}},
      {b + "mlstm_layer.v.bias", {32}},
      {b + "mlstm_layer.ogate_preact.weight", {32, 32}},
      {b + "mlstm_layer.ogate_preact.bias", {32}},
      {b + "mlstm_layer.igate_preact.weight", {4, 32}},
      {b + "mlstm_layer.igate_preact.bias", {4}},
      {b + "mlstm_layer.fgate_preact.weight", {4, 32}},
      {b + "mlstm_layer.fgate_preact.bias", {4}},
      {b + "mlstm_layer.multihead_norm.weight", {32}},
      {b + "mlstm_layer.multihead_norm.bias", {32}},
      {b + "mlstm_layer.out_proj.weight", {32, 32}},
      {b + "mlstm_layer.out_proj.bias", {32}},
      {b + "norm_ffn.weight", {32}},
      {b + "norm_ffn.bias", {32}},
      {b + "ffn.proj_up_gate.weight", {128, 32}},
      {b + "ffn.proj_up_gate.bias", {128}},
      {b + "ffn.proj_up.weight", {128, 32}},
      {b + "ffn.proj_up.bias", {128}},
      {b + "ffn.proj_down.weight", {32, 128}},
      {b + "ffn.proj_down.bias", {32}},
      {"backbone.out_norm.weight", {32}},
      {"backbone.out_norm.bias", {32}},
      {"lm_head.weight", {19, 32}},
  };
  const auto got = as_map(state_dict(*model));
  CHECK(got.size() == single.size());
  for (const auto& [name, shape] : single) {
    INFO(name);
    REQUIRE(got.contains(name));
    CHECK(got.at(name).shape() == shape);
  }
  const auto fused = as_map(state_dict(*model, {.fused = true}));
  CHECK(fused.size() == single.size() - (2 * 8 - 3 * 2));
  CHECK(fused.at(b + "mlstm_layer.qkv_opreact.weight").shape() == Shape{96, 32});
  CHECK(fused.at(b + "mlstm_layer.qkv_opreact.bias").shape() == Shape{96});
  CHECK(fused.at(b + "mlstm_layer.ifgate_preact.weight").shape() == Shape{8, 32});
  CHECK(fused.at(b + "mlstm_layer.ifgate_preact.bias").shape() == Shape{8});
  CHECK(fused.at(b + "ffn.proj_up_gate_z.weight").shape() == Shape{256, 32});
  CHECK_FALSE(fused.contains(b + "mlstm_layer.k.weight"));
}

// What is written in a layout loads into another model as the same weights, and tells its layout.
void check_round_trip(const ModelConfig& config, const StateLayout& layout) {
  const auto from = testing::perturbed_model(config, DType::f32, 3);
  const auto to = testing::perturbed_model(config, DType::f32, 4);
  const NamedTensors file = state_dict(*from, layout);
  CHECK(load_state(*to, file) == layout);
  const NamedTensors a = from->named_parameters(), b = to->named_parameters();
  for (size_t i = 0; i < a.size(); ++i) {
    INFO(a[i].first);
    CHECK(same_bits(a[i].second, b[i].second));
  }
}

TEST_CASE("every layout survives the round trip") {
  check_round_trip(testing::small_a(), {});
  check_round_trip(testing::small_a(), {.recurrent = RecurrentLayout::vanilla});
  check_round_trip(testing::small_a(),
                   {.recurrent = RecurrentLayout::vanilla, .prefix = "weights."});
  check_round_trip(testing::small_b(), {});
  check_round_trip(testing::small_b(), {.fused = true});
  check_round_trip(testing::small_b(), {.fused = true, .hugging_face = true});
}

TEST_CASE("the two layouts of R and bias mean what their descriptions say") {
  const auto model = testing::perturbed_model(testing::small_a(), DType::f64);
  const auto cuda = as_map(state_dict(*model));
  const auto vanilla = as_map(state_dict(*model, {.recurrent = RecurrentLayout::vanilla}));
  const int64_t H = 4, D = 8;
  const auto rc = cuda.at(kCell + "_recurrent_kernel_").to_vector<double>();
  const auto rv = vanilla.at(kCell + "_recurrent_kernel_").to_vector<double>();
  const auto bc = cuda.at(kCell + "_bias_").to_vector<double>();
  const auto bv = vanilla.at(kCell + "_bias_").to_vector<double>();
  const auto at = [](const std::vector<double>& v, int64_t i) { return v[static_cast<size_t>(i)]; };
  bool recurrent_equal = true, bias_equal = true;
  for (int64_t h = 0; h < H; ++h)
    for (int64_t gate = 0; gate < 4; ++gate)
      for (int64_t j = 0; j < D; ++j) {
        bias_equal &= at(bc, (h * 4 + gate) * D + j) == at(bv, (gate * H + h) * D + j);
        for (int64_t k = 0; k < D; ++k)
          recurrent_equal &= at(rc, (h * D + k) * 4 * D + gate * D + j) ==
                             at(rv, (h * 4 * D + gate * D + j) * D + k);
      }
  CHECK(recurrent_equal);
  CHECK(bias_equal);
  CHECK(bc != bv);
}

TEST_CASE("gradients take the same way as weights") {
  const auto model = testing::perturbed_model(testing::small_a(), DType::f64);
  for (Tensor& parameter : model->parameters()) parameter.set_grad(parameter.clone());
  for (const auto recurrent : {RecurrentLayout::cuda, RecurrentLayout::vanilla}) {
    const NamedTensors weights = state_dict(*model, {.recurrent = recurrent});
    const NamedTensors gradients = grad_dict(*model, {.recurrent = recurrent});
    REQUIRE(weights.size() == gradients.size());
    for (size_t i = 0; i < weights.size(); ++i) {
      CHECK(weights[i].first == gradients[i].first);
      CHECK(same_bits(weights[i].second, gradients[i].second));
    }
  }
}

TEST_CASE("the official fgate feeds the input gate, and igate the forget gate") {
  // The biases are not swapped, so they tell which is which: with a closed input gate nothing the
  // cell holds can come from the tokens seen after the first.
  SlstmLayer layer({.embedding_dim = 4}, {.num_heads = 1, .conv1d_kernel_size = 0},
                   *std::make_unique<ParameterFactory>(uint64_t{1}, DType::f64));
  const auto p = as_map(layer.named_parameters());
  for (const auto& [name, tensor] : p) Tensor(tensor).fill(0);
  // Pre-activations of the gate that "fgate" feeds become x; the stabiliser after one step from
  // zero is that of the input gate: m = i.
  Tensor weight = p.at("fgate.weight");
  for (int64_t d = 0; d < 4; ++d) weight.strided_view({1}, {1}, d * 5).fill(1);
  const Tensor x = Tensor::from(std::vector<double>{1, 2, 3, 4}, {1, 4});
  const auto first = layer.step(x, layer.init_state(1));
  CHECK(first.state.cell.m.to_vector<double>() == std::vector<double>{1, 2, 3, 4});
  // And "igate": with i = 0 throughout, the second step's n = 1 + sigmoid(x) up to the scale e^-m.
  weight.fill(0);
  weight = p.at("igate.weight");
  for (int64_t d = 0; d < 4; ++d) weight.strided_view({1}, {1}, d * 5).fill(1);
  const auto one = layer.step(x, layer.init_state(1));
  const auto two = layer.step(x, one.state);
  for (size_t d = 0; d < 4; ++d) {
    const double f = 1 / (1 + std::exp(-static_cast<double>(d + 1)));
    const double n =
        two.state.cell.n.to_vector<double>()[d] * std::exp(two.state.cell.m.to_vector<double>()[d]);
    CHECK(n == Approx(1 + f));
  }
}

TEST_CASE("Hugging Face's names load") {
  const auto from = testing::perturbed_model(testing::small_b(), DType::f32, 3);
  NamedTensors file = state_dict(*from);
  for (auto& [name, tensor] : file) {
    const auto rename = [&name = name](const std::string& ours, const std::string& theirs) {
      const size_t at = name.find(ours);
      if (at != std::string::npos) name.replace(at, ours.size(), theirs);
    };
    if (name == "embedding.weight") name = "backbone.embeddings.weight";
    rename("mlstm_layer.q.", "mlstm_layer.query.");
    rename("mlstm_layer.k.", "mlstm_layer.key.");
    rename("mlstm_layer.v.", "mlstm_layer.value.");
  }
  const auto to = make_language_model(testing::small_b(), 4);
  CHECK(load_state(*to, file).hugging_face);
  const NamedTensors a = from->named_parameters(), b = to->named_parameters();
  for (size_t i = 0; i < a.size(); ++i) CHECK(same_bits(a[i].second, b[i].second));
}

TEST_CASE("other floating types are converted") {
  const auto model = testing::perturbed_model(testing::small_b(), DType::f32);
  NamedTensors file = state_dict(*model);
  for (auto& [name, tensor] : file) tensor = ops::cast(tensor, DType::f64);
  const auto wide = make_language_model(testing::small_b(), 4, DType::f64);
  load_state(*wide, file);
  for (const auto& [name, tensor] : wide->named_parameters())
    CHECK(same_bits(tensor, as_map(file).at(name)));
}

std::string message_of(Module& module, const NamedTensors& file) {
  try {
    load_state(module, file);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("everything that is wrong is listed at once, and nothing is changed") {
  const auto model = testing::perturbed_model(testing::small_a(), DType::f32);
  const auto before = as_map(model->named_parameters()).at("lm_head.weight").clone();
  NamedTensors file;
  for (auto [name, tensor] : state_dict(*model)) {
    if (name.ends_with("ffn_norm.weight") || name == "token_embedding.weight") continue;
    if (name.ends_with("_recurrent_kernel_")) tensor = Tensor::zeros({4, 8, 33});
    if (name.ends_with("learnable_skip")) tensor = Tensor::zeros({65});
    if (name == "lm_head.weight") tensor = Tensor::zeros({19, 32});
    file.emplace_back(name, tensor);
  }
  file.emplace_back("surprise", Tensor::zeros({1}));
  const std::string message = message_of(*model, file);
  INFO(message);
  for (const char* part :
       {"missing (2)", "ffn_norm.weight", "token_embedding.weight", "unexpected (1)", "surprise",
        "[4, 8, 33]", "[4, 8, 32]", "learnable_skip (got [65], expected [64])"})
    CHECK(message.find(part) != std::string::npos);
  CHECK(same_bits(as_map(model->named_parameters()).at("lm_head.weight"), before));
}

TEST_CASE("wrong bias, wrong fused rows, doubled names and integers are refused") {
  const auto a = testing::perturbed_model(testing::small_a(), DType::f32);
  const auto with = [](NamedTensors file, const std::string& name, const Tensor& tensor) {
    for (auto& entry : file)
      if (entry.first == name) entry.second = tensor;
    return file;
  };
  CHECK(
      message_of(*a, with(state_dict(*a), kCell + "_bias_", Tensor::zeros({127}))).find("[127]") !=
      std::string::npos);
  CHECK(message_of(*a, with(state_dict(*a), "lm_head.weight", Tensor::zeros({19, 32}, DType::i64)))
            .find("int64") != std::string::npos);
  const auto b = testing::perturbed_model(testing::small_b(), DType::f32);
  const std::string fused = "backbone.blocks.0.mlstm_layer.qkv_opreact.weight";
  const std::string message =
      message_of(*b, with(state_dict(*b, {.fused = true}), fused, Tensor::zeros({95, 32})));
  CHECK(message.find("[95, 32]") != std::string::npos);
  CHECK(message.find("missing") == std::string::npos);
  NamedTensors twice = state_dict(*b);
  twice.emplace_back("backbone.embeddings.weight", Tensor::zeros({19, 32}));
  CHECK(message_of(*b, twice).find("twice") != std::string::npos);
}

TEST_CASE("tied weights: both names written, one needed, and they must agree") {
  XlstmModelConfig config = testing::small_a();
  config.tie_weights = true;
  const auto model = testing::perturbed_model(config, DType::f32);
  const NamedTensors both = state_dict(*model);
  CHECK(both[both.size() - 2].first == "token_embedding.weight");
  CHECK(both.back().first == "lm_head.weight");
  CHECK(same_bits(both.back().second, both[both.size() - 2].second));
  CHECK(grad_dict(*model).back().first == "token_embedding.weight");
  const auto other = make_language_model(config, 99);
  load_state(*other, both);
  NamedTensors one = both;
  one.pop_back();
  load_state(*other, one);
  CHECK(same_bits(state_dict(*other).back().second, both.back().second));
  NamedTensors differ = both;
  differ.back().second = Tensor::zeros({19, 32});
  CHECK(message_of(*other, differ).find("ties") != std::string::npos);
}

TEST_CASE("the layout that a configuration asks for") {
  XlstmModelConfig a = testing::small_a();
  CHECK(preferred_layout(*make_model_outline(a)) == StateLayout{});
  a.slstm_block.slstm.backend = "vanilla";
  CHECK(preferred_layout(*make_model_outline(a)).recurrent == RecurrentLayout::vanilla);
  XlstmLargeConfig b = testing::small_b();
  b.weight_mode = "fused";
  CHECK(preferred_layout(*make_model_outline(b)).fused);
}

}  // namespace
}  // namespace xlstm::layers
