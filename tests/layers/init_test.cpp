// Start values of every kind of parameter.
#include <map>

#include "layers/make_model.h"
#include "tests/catch.h"
#include "tests/layers/small_models.h"

namespace xlstm::layers {
namespace {

struct Statistics {
  double mean = 0, std = 0, low = INFINITY, high = -INFINITY;
};

Statistics statistics(const Tensor& t) {
  Statistics s;
  const auto values = t.to_vector<double>();
  for (const double v : values) {
    s.mean += v;
    s.low = std::min(s.low, v);
    s.high = std::max(s.high, v);
  }
  s.mean /= static_cast<double>(values.size());
  for (const double v : values) s.std += (v - s.mean) * (v - s.mean);
  s.std = std::sqrt(s.std / static_cast<double>(values.size()));
  return s;
}

std::map<std::string, Tensor> parameters_of(const LanguageModel& model) {
  const NamedTensors named = model.named_parameters();
  return {named.begin(), named.end()};
}

// Within five standard errors of the expected standard deviation, and of a zero mean.
void check_normal(const Tensor& t, double std) {
  const Statistics s = statistics(t);
  const auto n = static_cast<double>(t.numel());
  CHECK(std::abs(s.std - std) < 5 * std / std::sqrt(2 * n));
  CHECK(std::abs(s.mean) < 5 * std / std::sqrt(n));
}

void check_uniform(const Tensor& t, double bound) {
  const Statistics s = statistics(t);
  CHECK(s.low >= -bound);
  CHECK(s.high <= bound);
  CHECK(s.high > 0.8 * bound);
  CHECK(s.low < -0.8 * bound);
  CHECK(s.std == Approx(bound / std::sqrt(3.0)).epsilon(0.15));
}

void check_constant(const Tensor& t, double value) {
  for (const double v : t.to_vector<double>()) CHECK(v == value);
}

TEST_CASE("architecture A starts as the official code does") {
  XlstmModelConfig config;
  config.vocab_size = 199;
  config.embedding_dim = 64;
  config.num_blocks = 3;
  config.slstm_at.indices = {1};
  config.bias = true;
  const auto model = make_language_model(config, 5, DType::f64);
  auto p = parameters_of(*model);
  const double small = std::sqrt(2.0 / (5 * 64)), wang = 2.0 / (3 * 8);
  const std::string m = "xlstm_block_stack.blocks.0.", s = "xlstm_block_stack.blocks.1.";

  check_normal(p.at("token_embedding.weight"), small);
  check_normal(p.at("lm_head.weight"), small);
  check_normal(p.at(m + "xlstm.proj_up.weight"), small);
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    check_normal(p.at(m + "xlstm." + name + ".weight"), small);
  check_normal(p.at(m + "xlstm.proj_down.weight"), wang);
  check_uniform(p.at(m + "xlstm.conv1d.conv.weight"), 0.5);
  check_uniform(p.at(m + "xlstm.conv1d.conv.bias"), 0.5);
  check_constant(p.at(m + "xlstm.learnable_skip"), 1);
  check_constant(p.at(m + "xlstm.mlstm_cell.igate.weight"), 0);
  check_constant(p.at(m + "xlstm.mlstm_cell.fgate.weight"), 0);
  check_constant(p.at(m + "xlstm.mlstm_cell.outnorm.weight"), 0);
  check_constant(p.at(m + "xlstm_norm.weight"), 0);
  check_constant(p.at(m + "xlstm.proj_up.bias"), 0);
  check_constant(p.at(m + "xlstm.proj_down.bias"), 0);
  check_constant(p.at(m + "xlstm.q_proj.bias"), 0);
  CHECK(p.at(m + "xlstm.mlstm_cell.fgate.bias").to_vector<double>() ==
        std::vector<double>{3, 4, 5, 6});

  for (const char* name : {"fgate", "igate", "zgate", "ogate"})
    check_normal(p.at(s + "xlstm." + name + ".weight"), small);
  check_constant(p.at(s + "xlstm.slstm_cell._recurrent_kernel_"), 0);
  check_constant(p.at(s + "xlstm.group_norm.weight"), 0);
  check_constant(p.at(s + "ffn_norm.weight"), 0);
  check_normal(p.at(s + "ffn.proj_up.weight"), small);
  check_normal(p.at(s + "ffn.proj_down.weight"), wang);
  check_constant(p.at("xlstm_block_stack.post_blocks_norm.weight"), 0);
  CHECK_FALSE(p.contains(s + "ffn.proj_up.bias"));  // the feed-forward network has its own key
}

TEST_CASE("the input gate bias of architecture A's mLSTM is N(0, 0.01)") {
  XlstmModelConfig config;
  config.vocab_size = 3;
  config.embedding_dim = 32;
  config.num_blocks = 200;
  const auto model = make_language_model(config, 5, DType::f64);
  std::vector<double> all;
  for (const auto& [name, t] : model->named_parameters())
    if (name.ends_with("igate.bias"))
      for (const double v : t.to_vector<double>()) all.push_back(v);
  const auto n = static_cast<int64_t>(all.size());
  REQUIRE(n == 800);
  check_normal(Tensor::from(all, {n}), 0.1);
}

TEST_CASE("architecture B starts as its training code does") {
  XlstmLargeConfig config = testing::small_b();
  config.embedding_dim = 64;
  config.vocab_size = 199;
  const auto model = make_language_model(config, 5, DType::f64);
  auto p = parameters_of(*model);
  const double small = std::sqrt(2.0 / (5 * 64)), wang = 2.0 / (2 * 8);
  const std::string b = "backbone.blocks.1.";
  check_normal(p.at("embedding.weight"), small);
  check_normal(p.at("lm_head.weight"), small);
  for (const char* name :
       {"mlstm_layer.q", "mlstm_layer.k", "mlstm_layer.v", "ffn.proj_up_gate", "ffn.proj_up"})
    check_normal(p.at(b + name + ".weight"), small);
  check_normal(p.at(b + "mlstm_layer.out_proj.weight"), wang);
  check_normal(p.at(b + "ffn.proj_down.weight"), wang);
  for (const char* name : {"ogate_preact", "igate_preact", "fgate_preact"})
    check_constant(p.at(b + "mlstm_layer." + name + ".weight"), 0);
  check_constant(p.at(b + "mlstm_layer.igate_preact.bias"), -10);
  CHECK(p.at(b + "mlstm_layer.fgate_preact.bias").to_vector<double>() ==
        std::vector<double>{3, 4, 5, 6});
  for (const char* name : {"norm_mlstm", "norm_ffn", "mlstm_layer.multihead_norm"})
    check_constant(p.at(b + name + ".weight"), 1);
  check_constant(p.at("backbone.out_norm.weight"), 1);
}

// Gate `gate` of head h of an sLSTM bias made by a rule.
std::vector<double> bias_of(const std::string& kind, int64_t block, int64_t blocks, int64_t D,
                            int64_t gate, int64_t head = 1) {
  Generator generator{3, 0};
  Tensor bias = Tensor::empty({2, 4, D}, DType::f64);
  init::slstm_bias(kind, block, blocks)(bias, generator);
  return bias.strided_view({D}, {1}, (head * 4 + gate) * D).to_vector<double>();
}

TEST_CASE("sLSTM bias rules") {
  const auto middle = bias_of("powerlaw_blockdependent", 1, 3, 5, 1);
  for (int k = 0; k < 5; ++k)
    CHECK(middle[static_cast<size_t>(k)] ==
          Approx(5 - 12 * std::pow(k / 4.0, 0.3 + 1.3 * 0.5)).margin(1e-12));
  CHECK(bias_of("powerlaw_blockdependent", 0, 1, 5, 1)[1] == Approx(5 - 12 * std::pow(0.25, 0.3)));
  CHECK(bias_of("powerlaw_blockdependent", 2, 3, 5, 1)[1] == Approx(5 - 12 * std::pow(0.25, 1.6)));
  CHECK(middle == bias_of("powerlaw_blockdependent", 1, 3, 5, 1, 0));
  CHECK(bias_of("powerlaw_blockdependent", 1, 3, 1, 1) == std::vector<double>{5});
  CHECK(bias_of("small_init", 0, 1, 4, 1) == std::vector<double>{3, 4, 5, 6});
  for (const int64_t gate : {0, 2, 3}) {
    CHECK(bias_of("powerlaw_blockdependent", 1, 3, 2, gate) == std::vector<double>{0, 0});
    CHECK(bias_of("small_init", 1, 3, 2, gate) == std::vector<double>{0, 0});
  }
  CHECK(bias_of("zeros", 1, 3, 2, 1) == std::vector<double>{0, 0});
  for (const int64_t gate : {0, 1, 2, 3})
    for (const double v : bias_of("standard", 0, 1, 8, gate)) CHECK(std::abs(v) <= 0.25);
  CHECK(bias_of("standard", 0, 1, 8, 0) != bias_of("standard", 0, 1, 8, 1));
  CHECK_THROWS_AS(init::slstm_bias("powerlaw", 0, 1), ConfigError);
}

TEST_CASE("a linspace over one head is its first value") {
  Generator generator{};
  Tensor one = Tensor::empty({1}, DType::f64);
  init::linspace(3, 6)(one, generator);
  CHECK(one.item() == 3);
}

TEST_CASE("a seed fixes a model, and another seed changes it") {
  const auto a = make_language_model(testing::small_a(), 11);
  const auto b = make_language_model(testing::small_a(), 11);
  const auto c = make_language_model(testing::small_a(), 12);
  const auto weight = [](const LanguageModel& m) {
    return parameters_of(m).at("lm_head.weight").to_vector<float>();
  };
  CHECK(weight(*a) == weight(*b));
  CHECK(weight(*a) != weight(*c));
}

}  // namespace
}  // namespace xlstm::layers
