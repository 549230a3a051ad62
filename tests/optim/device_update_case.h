// A short course of updates with everything that can happen in one, for the tests of DeviceUpdate
// on the CPU and on CUDA: clipping, a gradient that is not a number, an infinite loss, the loss
// scale that grows and falls.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/op_info.h"
#include "optim/device_update.h"
#include "optim/update.h"

namespace xlstm::optim::testing {

inline constexpr int64_t kUpdates = 8;
inline constexpr int64_t kAccumulated = 2;
// What the loss is multiplied by before each update, and after the last.
inline constexpr double kScales[kUpdates + 1] = {8, 8, 16, 8, 8, 4, 4, 8, 4};

inline double rate_of(int64_t update) {
  return 0.125 / static_cast<double>(1 + update);
}
inline LossScaleConfig loss_scaling() {
  return {.dynamic = true, .initial = 8, .largest = 16, .growth_interval = 2};
}

// Two matrices and a vector as an arena lays them: values, gradients and bfloat16 copies flat.
struct Course {
  explicit Course(Device device) : device_(device) {
    const std::vector<Shape> shapes = {{7, 5}, {3, 33}, {70}};
    const int64_t A = kFlatAlignment;
    int64_t n = 0;
    std::vector<int64_t> starts;
    for (const Shape& shape : shapes) {
      starts.push_back(n);
      n += (element_count(shape) + A - 1) / A * A;
    }
    const Tensor values = Tensor::zeros({n}, DType::f32, device);
    gradients = Tensor::zeros({n}, DType::f32, device);
    const Tensor copies = Tensor::zeros({n}, DType::bf16, device);
    Generator generator{11, 0};
    NamedTensors named;
    for (size_t i = 0; i < shapes.size(); ++i) {
      const auto part = [&](const Tensor& all) {
        return all.strided_view(shapes[i], contiguous_strides(shapes[i]), starts[i]);
      };
      Tensor value = part(values);
      value.copy_from(random_tensor(shapes[i], DType::f32, generator));
      value.set_requires_grad(true);
      value.set_grad(part(gradients));
      value.set_low_precision(part(copies));
      named.emplace_back("abc"[i] + std::string(".weight"), value);
    }
    parameters = make_parameters(named);
    loss = Tensor::zeros({}, DType::f32, device);
  }

  // The sum over the batches of gradients and losses before update number `i`.
  void prepare(int64_t i, double scale) {
    Generator generator{static_cast<uint64_t>(100 + i), 0};
    for (Parameter& p : parameters) {
      const Tensor g = random_tensor(p.value.shape(), DType::f32, generator);
      // Small enough not to be clipped every third time.
      const double size = scale * (i % 3 == 0 ? 1.0 / 64 : 4.0);
      for (int64_t j = 0; j < g.numel(); ++j) g.data<float>()[j] *= static_cast<float>(size);
      p.value.grad().copy_from(g);
    }
    if (i == 2) parameters[1].value.grad().strided_view({1}, {1}, 40).fill(NAN);
    if (i == 7) parameters[2].value.grad().fill(-INFINITY);
    loss.fill(i == 4 ? std::numeric_limits<double>::infinity() : 3.0 + static_cast<double>(i));
  }

  std::unique_ptr<Optimizer> optimizer(bool adamw) const {
    if (adamw) return std::make_unique<AdamW>(parameters, AdamWConfig{.weight_decay = 0.1});
    return std::make_unique<Sgd>(parameters, SgdConfig{.momentum = 0.5, .weight_decay = 0.1});
  }

  Parameters parameters;
  Tensor gradients, loss;

 private:
  Device device_;
};

struct Ending {
  std::vector<DeviceUpdate::Outcome> outcomes;
  std::vector<double> numbers;  // parameters and moments
  bool copies_are_rounded = true;
};

inline void collect(const Optimizer& optimizer, Ending& ending) {
  for (const Parameter& p : optimizer.parameters()) {
    const std::vector<double> values = p.value.to_vector<double>();
    ending.numbers.insert(ending.numbers.end(), values.begin(), values.end());
    Tensor rounded = Tensor::empty(p.value.shape(), DType::bf16, p.value.device());
    rounded.copy_from(p.value);
    if (rounded.to_vector<double>() != p.value.low_precision().to_vector<double>())
      ending.copies_are_rounded = false;
  }
  for (const auto& [name, tensor] : optimizer.state())
    for (const double x : tensor.to_vector<double>()) ending.numbers.push_back(x);
}

inline void set_rates(const DeviceUpdate& update, int64_t base) {
  DeviceUpdate::Rates rates{};
  rates.base = base;
  for (int64_t k = 0; k < XLSTM_UPDATE_RATES; ++k)
    rates.rate[k] = static_cast<float>(rate_of(base + k));
  Tensor bytes = Tensor::empty({static_cast<int64_t>(sizeof(rates))}, DType::u8);
  std::memcpy(bytes.raw(), &rates, sizeof(rates));
  Tensor target = update.rates();
  target.copy_from(bytes);
}

// `launch` is called with the function that launches an update, and may record and replay it.
inline Ending run(Device device, bool adamw,
                  const std::function<void(int64_t, const std::function<void()>&)>& launch) {
  Course course(device);
  const std::unique_ptr<Optimizer> optimizer = course.optimizer(adamw);
  DeviceUpdate update(*optimizer, {.n_accumulated = kAccumulated, .loss_scale = loss_scaling()});
  Ending ending;
  for (int64_t i = 0; i < kUpdates; ++i) {
    course.prepare(i, kScales[i]);
    // The host is a step late: it knows the count before the last update.
    set_rates(update, i < 2 ? 0 : ending.outcomes[static_cast<size_t>(i - 2)].step);
    launch(i, [&] { update.launch(course.loss); });
    ending.outcomes.push_back(update.read());
  }
  collect(*optimizer, ending);
  return ending;
}

// The same by optim/update.h, which scales no loss.
inline Ending run_on_host(bool adamw) {
  Course course(kCpu);
  const std::unique_ptr<Optimizer> optimizer = course.optimizer(adamw);
  StepGuard guard(1000);
  Ending ending;
  for (int64_t i = 0; i < kUpdates; ++i) {
    course.prepare(i, 1);
    const int64_t before = optimizer->step_count();
    const double loss = course.loss.item() / static_cast<double>(kAccumulated);
    const UpdateResult result =
        update(*optimizer, guard, loss, rate_of(before), {1, 0, kAccumulated});
    DeviceUpdate::Outcome outcome{};
    outcome.step = optimizer->step_count();
    outcome.n_skipped = guard.n_skipped();
    // The device blames gradients on its loss scale, which never gets down to 1 here.
    outcome.n_in_a_row = std::isfinite(loss) ? 0 : guard.n_in_a_row();
    outcome.gradient_norm = result.gradient_norm;
    outcome.loss = static_cast<float>(loss);
    outcome.lr = static_cast<float>(rate_of(before));
    outcome.grad_scale = static_cast<float>(result.grad_scale);
    outcome.skip = result.updated ? 0 : 1;
    ending.outcomes.push_back(outcome);
  }
  collect(*optimizer, ending);
  return ending;
}

}  // namespace xlstm::optim::testing
