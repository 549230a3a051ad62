#include "optim/optimizer.h"

#include <cmath>
#include <memory>

#include "core/autograd.h"
#include "core/op_info.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "tests/catch.h"

namespace xlstm::optim {
namespace {

// Three parameters: one that decays, one that does not, one that never has a gradient.
Parameters three(DType dtype, uint64_t seed) {
  Generator generator{seed, 0};
  Parameters out = make_parameters({{"a.weight", random_tensor({3, 5}, dtype, generator)},
                                    {"a.bias", random_tensor({5}, dtype, generator)},
                                    {"unused.weight", random_tensor({4}, dtype, generator)}});
  for (Parameter& p : out) p.value.set_requires_grad(true);
  return out;
}

void draw_gradients(Parameters& parameters, uint64_t seed) {
  Generator generator{seed, 0};
  for (size_t i = 0; i < 2; ++i) {
    Tensor& value = parameters[i].value;
    value.set_grad(random_tensor(value.shape(), value.dtype(), generator));
  }
}

std::unique_ptr<Optimizer> make(const std::string& kind, const Parameters& parameters) {
  if (kind == "adamw") return std::make_unique<AdamW>(parameters, AdamWConfig{});
  if (kind == "sgd") return std::make_unique<Sgd>(parameters, SgdConfig{0, 0.1, false});
  return std::make_unique<Sgd>(parameters, SgdConfig{0.9, 0.1, true});
}

std::vector<double> all_values(const Parameters& parameters) {
  std::vector<double> out;
  for (const Parameter& p : parameters)
    for (const double value : p.value.to_vector<double>()) out.push_back(value);
  return out;
}

TEST_CASE("AdamW follows the equations over several steps, with decay only where it belongs") {
  Parameters parameters = three(DType::f64, 1);
  const std::vector<double> start = all_values(parameters);
  std::vector<double> p(start.begin(), start.begin() + 20), m(20, 0), v(20, 0);
  AdamW optimizer(parameters, {0.8, 0.9, 1e-3, 0.5});
  for (int step = 1; step <= 4; ++step) {
    draw_gradients(parameters, static_cast<uint64_t>(step));
    const double lr = 0.1 / step;
    std::vector<double> g;
    for (size_t i = 0; i < 2; ++i)
      for (const double value : parameters[i].value.grad().to_vector<double>())
        g.push_back(value / 4);
    optimizer.step(lr, 0.25);
    for (size_t i = 0; i < 20; ++i) {
      m[i] = 0.8 * m[i] + 0.2 * g[i];
      v[i] = 0.9 * v[i] + 0.1 * g[i] * g[i];
      const double decay = i < 15 ? 0.5 : 0;
      p[i] -= lr * (m[i] / (1 - std::pow(0.8, step)) /
                        (std::sqrt(v[i] / (1 - std::pow(0.9, step))) + 1e-3) +
                    decay * p[i]);
    }
  }
  const std::vector<double> got = all_values(parameters);
  for (size_t i = 0; i < 20; ++i) CHECK(got[i] == Approx(p[i]).epsilon(1e-12));
  // No gradient: not even decay.
  for (size_t i = 20; i < 24; ++i) CHECK(got[i] == start[i]);
  CHECK(optimizer.step_count() == 4);
}

TEST_CASE("every optimizer goes down a narrow valley") {
  for (const std::string kind : {"adamw", "sgd", "sgd with momentum"}) {
    INFO(kind);
    Tensor x = Tensor::from(std::vector<double>{3, -2}, {2});
    x.set_requires_grad(true);
    const Tensor steepness = Tensor::from(std::vector<double>{1, 10}, {2});
    const auto optimizer = make(kind, {{"x", x, false}});
    double loss = 0;
    for (int step = 0; step < 400; ++step) {
      x.set_grad({});
      const Tensor value = ops::sum(ops::mul(steepness, ops::square(x)));
      loss = value.item();
      autograd::backward(value);
      optimizer->step(kind == "adamw" ? 0.1 * (1 - step / 400.0) : 0.01);
    }
    CHECK(loss < 1e-3);
  }
}

TEST_CASE("a saved and loaded state continues bit for bit") {
  for (const std::string kind : {"adamw", "sgd", "sgd with momentum"}) {
    INFO(kind);
    Parameters straight = three(DType::f32, 2), resumed = three(DType::f32, 2);
    const auto one = make(kind, straight);
    auto two = make(kind, resumed);
    for (uint64_t step = 0; step < 6; ++step) {
      draw_gradients(straight, 50 + step);
      draw_gradients(resumed, 50 + step);
      one->step(0.01);
      two->step(0.01);
      if (step != 2) continue;
      NamedTensors saved;
      for (const auto& [name, tensor] : two->state()) saved.emplace_back(name, tensor.clone());
      const int64_t count = two->step_count();
      two = make(kind, resumed);
      two->load_state(saved, count);
    }
    CHECK(all_values(straight) == all_values(resumed));
    CHECK(two->step_count() == 6);
  }
}

TEST_CASE("state tensors are named after slot and parameter") {
  const auto names = [](const Optimizer& optimizer) {
    std::vector<std::string> out;
    for (const auto& [name, tensor] : optimizer.state()) out.push_back(name);
    return out;
  };
  const Parameters parameters = three(DType::f32, 3);
  CHECK(names(*make("adamw", parameters)) ==
        std::vector<std::string>{"moment1.a.weight", "moment1.a.bias", "moment1.unused.weight",
                                 "moment2.a.weight", "moment2.a.bias", "moment2.unused.weight"});
  CHECK(names(*make("sgd with momentum", parameters))[1] == "velocity.a.bias");
  CHECK(make("sgd", parameters)->state().empty());
}

TEST_CASE("a state that does not fit is refused and changes nothing") {
  Parameters parameters = three(DType::f32, 4);
  AdamW optimizer(parameters, {});
  draw_gradients(parameters, 1);
  optimizer.step(0.1);
  NamedTensors good;
  for (const auto& [name, tensor] : optimizer.state())
    good.emplace_back(name, Tensor::full(tensor.shape(), 7, tensor.dtype()));
  const auto moments = [&] {
    std::vector<double> out;
    for (const auto& [name, tensor] : optimizer.state())
      for (const double value : tensor.to_vector<double>()) out.push_back(value);
    return out;
  };
  const std::vector<double> before = moments();
  auto missing = good, unknown = good, repeated = good, shape = good, type = good;
  missing.pop_back();
  unknown.emplace_back("moment3.a.bias", Tensor::zeros({5}));
  repeated.push_back(good[0]);
  shape[1].second = Tensor::zeros({6});
  type[1].second = Tensor::zeros({5}, DType::f64);
  for (const auto& bad : {missing, unknown, repeated, shape, type})
    CHECK_THROWS_AS(optimizer.load_state(bad, 9), FormatError);
  CHECK_THROWS_AS(optimizer.load_state(good, -1), FormatError);
  CHECK(moments() == before);
  CHECK(optimizer.step_count() == 1);
  optimizer.load_state(good, 9);
  CHECK(moments()[0] == 7);
  CHECK(optimizer.step_count() == 9);
}

TEST_CASE("settings that make no sense are refused before anything changes") {
  Parameters parameters = three(DType::f32, 5);
  CHECK_THROWS_AS(AdamW(parameters, {.beta1 = 1}), ConfigError);
  CHECK_THROWS_AS(AdamW(parameters, {.beta2 = -0.1}), ConfigError);
  CHECK_THROWS_AS(AdamW(parameters, {.eps = NAN}), ConfigError);
  CHECK_THROWS_AS(AdamW(parameters, {.weight_decay = -1}), ConfigError);
  CHECK_THROWS_AS(Sgd(parameters, {.momentum = 1}), ConfigError);
  CHECK_THROWS_AS(Sgd(parameters, {.nesterov = true}), ConfigError);
  AdamW optimizer(parameters, {});
  draw_gradients(parameters, 1);
  const std::vector<double> before = all_values(parameters);
  CHECK_THROWS_AS(optimizer.step(-1), ConfigError);
  CHECK_THROWS_AS(optimizer.step(NAN), ConfigError);
  CHECK_THROWS_AS(optimizer.step(0.1, INFINITY), ConfigError);
  CHECK(all_values(parameters) == before);
  CHECK(optimizer.step_count() == 0);
}

}  // namespace
}  // namespace xlstm::optim
