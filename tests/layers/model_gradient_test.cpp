// Gradients of both whole models by central differences in float64, final states included.
#include <numeric>

#include "tests/devices.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

using testing::perturbed_model;
using testing::random_normal;
using testing::random_tokens;

// Outputs that the loss sees, in one list: logits, then every state tensor but the stabilisers m.
Tensors seen_by_loss(const ModelOutput& out) {
  Tensors all{out.logits};
  for (const auto& [name, tensor] : out.state.named_tensors())
    if (!name.ends_with(".m")) all.push_back(tensor);
  return all;
}

// A state is only defined together with its stabiliser, so cells are brought to the scale of the
// unperturbed one: C exp(m - m*), n exp(m - m*), and c likewise. h and conv are what they are.
double loss_at_scale(const ModelOutput& out, const ModelState& unperturbed,
                     const Tensors& weights) {
  size_t next = 0;
  const auto dot = [&](const Tensor& t, const std::vector<double>& log_scale) {
    const auto values = t.to_vector<double>(), w = weights[next++].to_vector<double>();
    const size_t per = log_scale.empty() ? 1 : values.size() / log_scale.size();
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i)
      sum += values[i] * w[i] * (log_scale.empty() ? 1.0 : std::exp(log_scale[i / per]));
    return sum;
  };
  double loss = dot(out.logits, {});
  for (size_t k = 0; k < out.state.blocks.size(); ++k) {
    std::vector<double> shift;
    std::visit(
        [&](const auto& now, const auto& then) {
          shift = now.cell.m.template to_vector<double>();
          const auto before = then.cell.m.template to_vector<double>();
          for (size_t i = 0; i < shift.size(); ++i) shift[i] -= before[i];
        },
        out.state.blocks[k], unperturbed.blocks[k]);
    for_each_tensor(out.state.blocks[k], [&](const std::string& name, const Tensor& t) {
      if (!t.defined() || name == "cell.m") return;
      loss += dot(t, name == "conv" || name == "cell.h" ? std::vector<double>{} : shift);
    });
  }
  return loss;
}

// A few elements of a tensor, by a fixed recipe.
std::vector<int64_t> some_elements(int64_t n, uint64_t seed) {
  std::vector<int64_t> chosen;
  const Tensor picks = random_tokens({3}, n, seed);
  for (const int64_t i : picks.to_vector<int64_t>()) chosen.push_back(i);
  return chosen;
}

void check_model(const ModelConfig& config, const Tensor& reset) {
  const auto model = perturbed_model(config, DType::f64);
  const Tensor tokens = random_tokens({2, 11}, 19, 5);
  ModelState start;
  {
    autograd::NoGrad no_grad;
    start = model->forward(random_tokens({2, 6}, 19, 6)).state;
  }
  NamedTensors inputs = model->named_parameters();
  for (auto& block : start.blocks)
    for_each_tensor(block, [&](const char* name, Tensor& t) {
      if (!t.defined()) return;
      t = t.clone().set_requires_grad(true);
      inputs.emplace_back(std::string("initial ") + name, t);
    });

  const ModelOutput base = model->forward(tokens, start, reset);
  const Tensors outputs = seen_by_loss(base);
  Tensors weights;
  for (size_t i = 0; i < outputs.size(); ++i)
    weights.push_back(random_normal(outputs[i].shape(), DType::f64, 100 + i));
  autograd::backward(outputs, weights);

  autograd::NoGrad no_grad;
  uint64_t seed = 1000;
  for (auto& [name, tensor] : inputs) {
    REQUIRE(tensor.grad().defined());
    const auto gradient = tensor.grad().to_vector<double>();
    double largest = 0;
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    for (const int64_t i : some_elements(tensor.numel(), ++seed)) {
      double& value = tensor.data<double>()[i];
      const double before = value, step = 1e-5;
      value = before + step;
      const double up = loss_at_scale(model->forward(tokens, start, reset), base.state, weights);
      value = before - step;
      const double down = loss_at_scale(model->forward(tokens, start, reset), base.state, weights);
      value = before;
      const double numeric = (up - down) / (2 * step);
      const double analytic = gradient[static_cast<size_t>(i)];
      INFO(model->arch() << ", " << name << "[" << i << "]: " << analytic << ", by differences "
                         << numeric << ", largest " << largest);
      // The stabiliser is a constant in the gradient, which is exact but for the denominator's eps
      // of 1e-6.
      CHECK(std::abs(analytic - numeric) <= 1e-5 * largest + 1e-7);
    }
  }
}

TEST_CASE("gradients of whole models, from a given state") {
  check_model(testing::small_a(), {});
  check_model(testing::small_b(), {});
}

TEST_CASE("gradients of whole models across document boundaries") {
  std::vector<uint8_t> mask(22, 0);
  mask[4] = mask[11] = mask[20] = 1;
  const Tensor reset = Tensor::from(mask, {2, 11});
  check_model(testing::small_a(), reset);
  check_model(testing::small_b(), reset);
}

TEST_CASE("gradients with every optional parameter") {
  XlstmModelConfig a = testing::small_a();
  a.bias = true;
  a.tie_weights = true;
  a.slstm_block.feedforward->bias = true;
  a.slstm_block.feedforward->act_fn = "swish";
  a.slstm_block.slstm.conv1d_kernel_size = 0;
  check_model(a, {});
  XlstmLargeConfig b = testing::small_b();
  b.use_bias = true;
  b.tie_word_embeddings = true;
  check_model(b, {});
}

Tensor converted(const Tensor& t, DType dtype, Device device) {
  Tensor out = Tensor::empty(t.shape(), dtype, device);
  out.copy_from(t);
  return out;
}

// Gradients with respect to all parameters and to the state that the sequence starts with.
NamedTensors gradients(LanguageModel& model, const ModelState& given, const Tensor& tokens,
                       const Tensor& reset) {
  ModelState start = given;
  NamedTensors inputs = model.named_parameters();
  for (auto& block : start.blocks)
    for_each_tensor(block, [&](const char* name, Tensor& t) {
      if (!t.defined()) return;
      t = converted(t, model.dtype(), model.device()).set_requires_grad(true);
      inputs.emplace_back(std::string("initial ") + name, t);
    });
  const Tensors outputs = seen_by_loss(model.forward(
      tokens.to(model.device()), start, reset.defined() ? reset.to(model.device()) : Tensor{}));
  Tensors weights;
  for (size_t i = 0; i < outputs.size(); ++i)
    weights.push_back(converted(random_normal(outputs[i].shape(), DType::f32, 100 + i),
                                model.dtype(), model.device()));
  autograd::backward(outputs, weights);
  for (auto& [name, tensor] : inputs) tensor = tensor.grad();
  return inputs;
}

// Of the largest element of each gradient: ten times what sums in float32, in several orders, have
// been seen to leave.
constexpr double kFloat32Limit = 5e-5;

void check_float32(const ModelConfig& config, const Tensor& reset, Device device) {
  const auto in_float = perturbed_model(config, DType::f32);
  const auto exact = make_language_model(config, 1, DType::f64);
  const NamedTensors from = in_float->named_parameters();
  NamedTensors to = exact->named_parameters();
  for (size_t i = 0; i < to.size(); ++i) to[i].second.copy_from(from[i].second);
  in_float->to(device);
  const Tensor tokens = random_tokens({2, 11}, 19, 5);
  ModelState start;
  {
    autograd::NoGrad no_grad;
    start = exact->forward(random_tokens({2, 6}, 19, 6)).state;
  }
  for (auto& block : start.blocks)
    for_each_tensor(block, [](const char*, Tensor& t) {
      if (t.defined()) t = converted(t, DType::f32, kCpu);
    });
  const NamedTensors want = gradients(*exact, start, tokens, reset);
  const NamedTensors got = gradients(*in_float, start, tokens, reset);
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = testing::relative_error(got[i].second, want[i].second);
    INFO(exact->arch() << ", " << got[i].first << " differs by " << error);
    CHECK(error <= kFloat32Limit);
  }
}

TEST_CASE("gradients of whole models in float32 are those in float64") {
  std::vector<uint8_t> mask(22, 0);
  mask[4] = mask[11] = mask[20] = 1;
  const Tensor resets = Tensor::from(mask, {2, 11});
  XlstmModelConfig a = testing::small_a();
  a.bias = true;
  a.tie_weights = true;
  a.slstm_block.feedforward->bias = true;
  a.slstm_block.feedforward->act_fn = "swish";
  a.slstm_block.slstm.conv1d_kernel_size = 0;
  XlstmLargeConfig b = testing::small_b();
  b.use_bias = true;
  b.tie_word_embeddings = true;
  test::for_each_device([&](Device device) {
    for (const ModelConfig& config :
         {ModelConfig(testing::small_a()), ModelConfig(testing::small_b()), ModelConfig(a),
          ModelConfig(b)})
      for (const Tensor& reset : {Tensor{}, resets}) {
        INFO("with resets " << reset.defined());
        check_float32(config, reset, device);
      }
  });
}

// Parameter gradients of one training pass, and the generator's offset after it.
std::pair<Tensors, uint64_t> training_gradients(const ModelConfig& config, ForwardContext context,
                                                Device device) {
  const auto model = perturbed_model(config, DType::f32, device);
  Generator generator{4, 0};
  context.training = true;
  context.generator = &generator;
  const Tensor tokens = random_tokens({2, 11}, 19, 5).to(device);
  const auto first = model->forward(tokens, {}, {}, context);
  const auto second = model->forward(tokens, first.state, {}, context);
  const Tensors outputs = seen_by_loss(second);
  Tensors weights;
  for (size_t i = 0; i < outputs.size(); ++i)
    weights.push_back(random_normal(outputs[i].shape(), DType::f32, 100 + i).to(device));
  autograd::backward(outputs, weights);
  Tensors gradients;
  for (const Tensor& p : model->parameters()) gradients.push_back(p.grad());
  return {gradients, generator.offset};
}

TEST_CASE("activation checkpointing gives the same gradients, dropout and carried state included") {
  XlstmModelConfig with_dropout = testing::small_a();
  with_dropout.dropout = 0.2;
  with_dropout.add_embedding_dropout = true;
  with_dropout.slstm_block.feedforward->dropout = 0.1;
  test::for_each_device([&](Device device) {
    for (const ModelConfig& config : {ModelConfig(testing::small_a()), ModelConfig(with_dropout),
                                      ModelConfig(testing::small_b())}) {
      const auto [plain, plain_offset] = training_gradients(config, {}, device);
      const auto [again, again_offset] =
          training_gradients(config, {.activation_checkpointing = true}, device);
      CHECK(plain_offset == again_offset);
      for (size_t i = 0; i < plain.size(); ++i) {
        CHECK(testing::relative_error(again[i], plain[i]) < 1e-6);
      }
    }
  });
}

TEST_CASE("recomputing in sLSTM cells gives the same gradients, in checkpointed blocks too") {
  test::for_each_device([&](Device device) {
    const ModelConfig config = testing::small_a();
    const auto [plain, plain_offset] = training_gradients(config, {}, device);
    for (const bool checkpointing : {false, true}) {
      const auto [again, again_offset] = training_gradients(
          config, {.activation_checkpointing = checkpointing, .slstm_recompute_steps = 4}, device);
      for (size_t i = 0; i < plain.size(); ++i)
        CHECK(testing::relative_error(again[i], plain[i]) < 1e-5);
    }
  });
}

TEST_CASE("dropout acts only in training, and asks for a generator") {
  XlstmModelConfig config = testing::small_a();
  config.dropout = 0.5;
  test::for_each_device([&](Device device) {
    const auto model = perturbed_model(config, DType::f32, device);
    const auto without = perturbed_model(testing::small_a(), DType::f32, device);
    const Tensor tokens = random_tokens({2, 5}, 19, 5).to(device);
    CHECK(testing::same_bits(model->forward(tokens).logits, without->forward(tokens).logits));
    Generator generator{4, 0};
    const ForwardContext training{.training = true, .generator = &generator};
    CHECK(testing::relative_error(model->forward(tokens, {}, {}, training).logits,
                                  model->forward(tokens).logits) > 1e-2);
    CHECK(generator.offset > 0);
    CHECK_THROWS_AS(model->forward(tokens, {}, {}, {.training = true}), ConfigError);
  });
}

}  // namespace
}  // namespace xlstm::layers
