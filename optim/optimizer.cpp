#include "optim/optimizer.h"

#include <cmath>
#include <map>
#include <utility>

#include "core/ops/adamw.h"

namespace xlstm::optim {
namespace {

void require_range(bool ok, const char* what, double value, const char* expected) {
  require<ConfigError>(ok, "optimizer: ", what, " must be ", expected, ", got ", value);
}

bool fraction(double x) {
  return x >= 0 && x < 1;
}

bool finite_not_negative(double x) {
  return std::isfinite(x) && x >= 0;
}

std::vector<std::string> sgd_slots(const SgdConfig& config) {
  if (config.momentum == 0) return {};
  return {"velocity"};
}

}  // namespace

Optimizer::Optimizer(Parameters parameters, std::vector<std::string> slot_names)
    : parameters_(std::move(parameters)), slot_names_(std::move(slot_names)) {
  check_parameters(parameters_);
  for (const Parameter& parameter : parameters_) {
    Tensors& slots = slots_.emplace_back();
    for (size_t s = 0; s < slot_names_.size(); ++s)
      slots.push_back(Tensor::zeros(parameter.value.shape(), parameter.value.dtype()));
  }
}

void Optimizer::step(double lr, double grad_scale) {
  require_range(finite_not_negative(lr), "the learning rate", lr, "finite and not negative");
  require_range(std::isfinite(grad_scale), "the gradient scale", grad_scale, "finite");
  ++step_count_;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor grad = parameters_[i].value.grad();
    if (grad.defined()) update(parameters_[i], grad, slots_[i], step_count_, lr, grad_scale);
  }
}

NamedTensors Optimizer::state() const {
  NamedTensors out;
  for (size_t s = 0; s < slot_names_.size(); ++s)
    for (size_t i = 0; i < parameters_.size(); ++i)
      out.emplace_back(slot_names_[s] + "." + parameters_[i].name, slots_[i][s]);
  return out;
}

void Optimizer::load_state(const NamedTensors& state, int64_t step_count) {
  require<FormatError>(step_count >= 0,
                       "optimizer state: the step count must not be negative, got ", step_count);
  std::map<std::string, Tensor> given;
  for (const auto& [name, tensor] : state)
    require<FormatError>(given.emplace(name, tensor).second, "optimizer state: ", name,
                         " appears twice");
  const NamedTensors own = this->state();
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    require<FormatError>(found != given.end() && found->second.defined(), "optimizer state: ", name,
                         " is missing (saved by another optimizer or for another model?)");
    const Tensor& saved = found->second;
    require<FormatError>(saved.shape() == tensor.shape() && saved.dtype() == tensor.dtype(),
                         "optimizer state: ", name, " differs, got ", to_string(saved.shape()), " ",
                         name_of(saved.dtype()), ", expected ", to_string(tensor.shape()), " ",
                         name_of(tensor.dtype()));
  }
  if (given.size() != own.size()) {
    for (const auto& [name, tensor] : own) given.erase(name);
    throw_error<FormatError>("optimizer state: unknown tensor ", given.begin()->first,
                             " (saved by another optimizer or for another model?)");
  }
  for (auto [name, tensor] : own) tensor.copy_from(given.at(name));
  step_count_ = step_count;
}

void AdamWConfig::validate() const {
  require_range(fraction(beta1), "beta1", beta1, "in [0, 1)");
  require_range(fraction(beta2), "beta2", beta2, "in [0, 1)");
  require_range(finite_not_negative(eps), "eps", eps, "finite and not negative");
  require_range(finite_not_negative(weight_decay), "weight decay", weight_decay,
                "finite and not negative");
}

AdamW::AdamW(Parameters parameters, const AdamWConfig& config)
    : Optimizer(std::move(parameters), {"moment1", "moment2"}), config_(config) {
  config_.validate();
}

void AdamW::update(const Parameter& parameter, const Tensor& grad, const Tensors& slots,
                   int64_t step, double lr, double grad_scale) {
  ops::adamw_update(parameter.value, grad, slots[0], slots[1],
                    {lr, config_.beta1, config_.beta2, config_.eps,
                     parameter.decay ? config_.weight_decay : 0, step, grad_scale});
}

void SgdConfig::validate() const {
  require_range(fraction(momentum), "momentum", momentum, "in [0, 1)");
  require_range(finite_not_negative(weight_decay), "weight decay", weight_decay,
                "finite and not negative");
  require<ConfigError>(!nesterov || momentum > 0,
                       "optimizer: nesterov needs a momentum above 0, got ", momentum);
}

Sgd::Sgd(Parameters parameters, const SgdConfig& config)
    : Optimizer(std::move(parameters), sgd_slots(config)), config_(config) {
  config_.validate();
}

void Sgd::update(const Parameter& parameter, const Tensor& grad, const Tensors& slots, int64_t,
                 double lr, double grad_scale) {
  ops::sgd_update(parameter.value, grad, slots.empty() ? Tensor{} : slots[0],
                  {lr, config_.momentum, parameter.decay ? config_.weight_decay : 0, grad_scale,
                   config_.nesterov});
}

}  // namespace xlstm::optim
