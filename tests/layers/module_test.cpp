// Parameter trees and the flat arena.
#include "layers/module.h"

#include "core/ops/cross_entropy.h"
#include "tests/catch.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

Tensors gradients_of(LanguageModel& model) {
  const Tensor tokens = testing::random_tokens({2, 9}, 19, 5);
  const auto out = model.forward_hidden(tokens);
  autograd::backward(
      ops::cross_entropy(model.raw_logits(out.hidden), tokens, model.soft_cap()).loss);
  Tensors all;
  for (const Tensor& p : model.parameters()) all.push_back(p.grad().clone());
  return all;
}

TEST_CASE("the arena keeps values, names and results, and collects gradients") {
  for (const ModelConfig& config :
       {ModelConfig(testing::small_a()), ModelConfig(testing::small_b())}) {
    const auto plain = testing::perturbed_model(config, DType::f32);
    const auto packed = testing::perturbed_model(config, DType::f32);
    ParameterArena arena(*packed);
    const Tensors expected = gradients_of(*plain), got = gradients_of(*packed);
    const NamedTensors named = packed->named_parameters();
    REQUIRE(arena.entries().size() == named.size());
    int64_t used = 0;
    for (size_t i = 0; i < named.size(); ++i) {
      const auto& entry = arena.entries()[i];
      CHECK(entry.name == named[i].first);
      CHECK(entry.offset % 16 == 0);
      CHECK(entry.numel == named[i].second.numel());
      CHECK(testing::same_bits(got[i], expected[i]));
      const Tensor flat = arena.gradients().strided_view({entry.numel}, {1}, entry.offset);
      CHECK(flat.to_vector<float>() == got[i].to_vector<float>());
      used += entry.numel;
    }
    CHECK(arena.weights().numel() >= used);
    // A write into the flat weights is a write into the model.
    Tensor weights = arena.weights();
    weights.fill(0.25);
    for (const auto& [name, parameter] : named) CHECK(parameter.to_vector<float>().back() == 0.25f);
  }
}

TEST_CASE("copies lie first in the arena, and what they are copies of may be given back") {
  const auto model = testing::perturbed_model(testing::small_a(), DType::f32);
  const NamedTensors named = model->named_parameters();
  std::vector<std::vector<float>> before;
  for (const auto& [name, parameter] : named) before.push_back(parameter.to_vector<float>());
  constexpr int64_t kMultiple = 3 * kFlatAlignment;
  ArenaOptions options;
  options.multiple_of = kMultiple;
  options.copy_dtype = DType::bf16;
  options.copied = [](const std::string&, const Tensor& parameter) { return parameter.dim() == 2; };
  ParameterArena arena(*model, options);
  CHECK(arena.n_copied() % kMultiple == 0);
  CHECK(arena.gradients().numel() % kMultiple == 0);
  CHECK(arena.masters().numel() == arena.n_copied());
  CHECK(arena.copies().numel() == arena.n_copied());
  CHECK(arena.weights().numel() == arena.gradients().numel() - arena.n_copied());
  for (const auto& entry : arena.entries()) {
    const bool copied = entry.parameter.dim() == 2;
    CHECK(copied == (entry.offset < arena.n_copied()));
    CHECK(copied == entry.parameter.low_precision().defined());
    CHECK(entry.parameter.grad().impl()->offset == entry.offset);
  }
  const int64_t in_use = memory_stats().in_use_bytes;
  arena.release_masters();
  CHECK(in_use - memory_stats().in_use_bytes >= 4 * arena.n_copied());
  for (size_t i = 0; i < named.size(); ++i) {
    const Tensor& parameter = named[i].second;
    if (parameter.dim() == 2)
      CHECK_THROWS_AS(parameter.raw(), AutogradError);
    else
      CHECK(parameter.to_vector<float>() == before[i]);
  }
  arena.release_masters();
  arena.restore_masters();
  for (size_t i = 0; i < named.size(); ++i) {
    Tensor parameter = named[i].second;
    if (parameter.dim() == 2) parameter.copy_from(Tensor::from(before[i], parameter.shape()));
    CHECK(parameter.to_vector<float>() == before[i]);
  }
}

TEST_CASE("of parameters with a copy a model reads the copy, in both passes") {
  for (const ModelConfig& config :
       {ModelConfig(testing::small_a()), ModelConfig(testing::small_b())}) {
    const auto rounded = testing::perturbed_model(config, DType::f32);
    for (Tensor& parameter : rounded->parameters()) {
      Tensor narrow = Tensor::empty(parameter.shape(), DType::bf16);
      narrow.copy_from(parameter);
      parameter.copy_from(narrow);
    }
    const auto packed = testing::perturbed_model(config, DType::f32);
    ArenaOptions options;
    options.copy_dtype = DType::bf16;
    ParameterArena arena(*packed, options);
    arena.release_masters();
    const Tensors expected = gradients_of(*rounded), got = gradients_of(*packed);
    REQUIRE(got.size() == expected.size());
    for (size_t i = 0; i < got.size(); ++i) CHECK(testing::same_bits(got[i], expected[i]));
  }
}

TEST_CASE("gradients accumulate until they are zeroed, in an arena or not") {
  const auto model = testing::perturbed_model(testing::small_b(), DType::f64);
  const auto check = [&] {
    const Tensors once = gradients_of(*model), twice = gradients_of(*model);
    for (size_t i = 0; i < once.size(); ++i) {
      const auto a = once[i].to_vector<double>(), b = twice[i].to_vector<double>();
      for (size_t j = 0; j < a.size(); ++j) CHECK(b[j] == Approx(2 * a[j]).margin(1e-300));
    }
    model->zero_grad();
    const Tensors again = gradients_of(*model);
    for (size_t i = 0; i < once.size(); ++i) CHECK(testing::same_bits(again[i], once[i]));
  };
  check();
  ParameterArena arena(*model);
  model->zero_grad();
  check();
  arena.zero_grad();
  for (const Tensor& p : model->parameters())
    for (const double g : p.grad().to_vector<double>()) REQUIRE(g == 0);
}

TEST_CASE("tied weights live once in the arena") {
  XlstmModelConfig config = testing::small_a();
  config.tie_weights = true;
  const auto model = make_language_model(config, 1);
  const ParameterArena arena(*model);
  CHECK(arena.entries().back().name == "token_embedding.weight");
  CHECK(arena.entries().size() + 1 == model->named_parameters_and_aliases().size());
  int64_t n = 0;
  for (const auto& entry : arena.entries()) n += entry.numel;
  CHECK(n == model->n_parameters());
}

}  // namespace
}  // namespace xlstm::layers
