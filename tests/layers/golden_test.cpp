// Both whole models against the official code: logits, loss and every gradient under the official
// names (tests/golden/README.md).
#include <map>

#include "core/ops/cross_entropy.h"
#include "core/safetensors.h"
#include "layers/official_names.h"
#include "tests/catch.h"
#include "tests/layers/small_models.h"
#include "tests/test_data.h"

namespace xlstm::layers {
namespace {

using testing::relative_error;

NamedTensors read_pack(const std::string& name) {
  return SafetensorsFile::open(xlstm::testing::data_path("tests/golden/" + name)).load_all();
}

Tensor find(const NamedTensors& pack, const std::string& name) {
  for (const auto& [key, tensor] : pack)
    if (key == name) return tensor;
  FAIL("pack has no tensor " << name);
  return {};
}

struct Tolerance {
  double logits, loss, gradients;
};

void compare_with_pack(LanguageModel& model, const NamedTensors& pack, const Tolerance& tolerance,
                       const ForwardContext& context = {}) {
  StateLayout layout = load_state(model, pack);
  CHECK(layout.prefix == "weights.");
  const Tensor tokens = find(pack, "tokens");
  const int64_t T = tokens.size(1) - 1;
  const Tensor inputs = testing::times(tokens, 0, T), targets = testing::times(tokens, 1, T + 1);

  const auto out = model.forward_hidden(inputs, {}, {}, context);
  const double logits_error = relative_error(model.logits(out.hidden), find(pack, "logits"));
  CHECK(logits_error <= tolerance.logits);
  const Tensor loss =
      ops::cross_entropy(model.raw_logits(out.hidden), targets, model.soft_cap()).loss;
  const double expected_loss = find(pack, "loss").item();
  CHECK(std::abs(loss.item() - expected_loss) <= tolerance.loss * std::abs(expected_loss));

  autograd::backward(loss);
  layout.prefix = "grads.";
  const NamedTensors gradients = grad_dict(model, layout);
  double worst = 0;
  std::string worst_name;
  for (const auto& [name, gradient] : gradients) {
    const double error = relative_error(gradient, find(pack, name));
    INFO(name << " differs by " << error);
    CHECK(error <= tolerance.gradients);
    if (error > worst) {
      worst = error;
      worst_name = name;
    }
  }
  size_t expected_count = 0;
  for (const auto& [name, tensor] : pack) expected_count += name.starts_with("grads.") ? 1 : 0;
  CHECK(gradients.size() == expected_count);
  std::printf("%s %s: logits %.2g, loss %.2g, worst gradient %.2g (%s)\n", model.arch(),
              name_of(model.dtype()), logits_error,
              std::abs(loss.item() - expected_loss) / std::abs(expected_loss), worst,
              worst_name.c_str());
}

XlstmModelConfig golden_a() {
  XlstmModelConfig config;
  config.vocab_size = 97;
  config.embedding_dim = 64;
  config.num_blocks = 4;
  config.slstm_at.indices = {1};
  return config;
}

XlstmLargeConfig golden_b() {
  XlstmLargeConfig config;
  config.vocab_size = 101;
  config.embedding_dim = 64;
  config.num_heads = 4;
  config.num_blocks = 3;
  config.chunk_size = 16;
  return config;
}

TEST_CASE("architecture A agrees with the official model in float32") {
  const auto model = make_language_model(golden_a(), 1);
  compare_with_pack(*model, read_pack("a_small.safetensors"), {1e-5, 1e-5, 1e-4});
}

TEST_CASE("architecture A agrees with the official model in float64") {
  // The official gradient is that of automatic differentiation, which sees the stabiliser beside
  // eps.
  XlstmModelConfig config = golden_a();
  config.mlstm_block.mlstm.stabilizer_gradient = true;
  const auto model = make_language_model(config, 1, DType::f64);
  compare_with_pack(*model, read_pack("a_small.safetensors"), {1e-7, 1e-7, 1e-7});
}

TEST_CASE("architecture B agrees with the official model in float32") {
  const auto model = make_language_model(golden_b(), 1);
  compare_with_pack(*model, read_pack("b_small.safetensors"), {1e-5, 1e-5, 1e-4});
}

TEST_CASE("activation checkpointing agrees with the official models too") {
  const ForwardContext context{.activation_checkpointing = true};
  const auto a = make_language_model(golden_a(), 1);
  compare_with_pack(*a, read_pack("a_small.safetensors"), {1e-5, 1e-5, 1e-4}, context);
  const auto b = make_language_model(golden_b(), 1);
  compare_with_pack(*b, read_pack("b_small.safetensors"), {1e-5, 1e-5, 1e-4}, context);
}

TEST_CASE("the chunk size does not matter") {
  for (const int64_t chunk_size : {1, 7, 48, 200}) {
    XlstmModelConfig config = golden_a();
    config.mlstm_block.mlstm.chunk_size = chunk_size;
    const auto model = make_language_model(config, 1);
    compare_with_pack(*model, read_pack("a_small.safetensors"), {1e-5, 1e-5, 1e-4});
  }
}

TEST_CASE("gradients come back in the layout of the file") {
  XlstmModelConfig config = golden_a();
  const auto model = make_language_model(config, 1);
  const NamedTensors pack = read_pack("a_small.safetensors");
  const StateLayout layout = load_state(*model, pack);
  CHECK(layout.recurrent == RecurrentLayout::vanilla);
  // Written out again, the weights are the file's, bit for bit.
  for (const auto& [name, tensor] : state_dict(*model, layout)) {
    INFO(name);
    CHECK(testing::same_bits(tensor, find(pack, name)));
  }
}

}  // namespace
}  // namespace xlstm::layers
