#include "layers/module.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/checked_size.h"
#include "core/ops/dropout.h"

namespace xlstm::layers {

Tensor dropout(const Tensor& x, double p, const ForwardContext& context) {
  if (!context.training || p == 0) return x;
  require<ConfigError>(context.generator != nullptr,
                       "dropout: no generator in the forward context, got p = ", p,
                       ", expected a generator (training with dropout draws random numbers)");
  return ops::dropout(x, p, *context.generator);
}

ParameterFactory::ParameterFactory(Generator generator, DType dtype)
    : generator_(generator), dtype_(dtype) {
  require<ConfigError>(dtype == DType::f32 || dtype == DType::f64, "parameters: element type, got ",
                       name_of(dtype), ", expected float32 or float64");
}

ParameterFactory ParameterFactory::shapes_only() {
  ParameterFactory factory(Generator{});
  factory.shapes_only_ = true;
  return factory;
}

Tensor ParameterFactory::create(const Shape& shape, const init::Initializer& initializer) {
  if (shapes_only_) {
    element_count(shape);  // the same errors as for real memory
    Tensor one = Tensor::zeros({1}, dtype_);
    return one.strided_view(shape, Shape(shape.size(), 0)).set_requires_grad(true);
  }
  const MemoryScope scope(MemoryCategory::weights);
  Tensor parameter = Tensor::empty(shape, dtype_);
  initializer(parameter, generator_);
  return parameter.set_requires_grad(true);
}

void Module::register_parameter(std::string name, const Tensor& parameter) {
  members_.push_back({std::move(name), parameter, nullptr});
}

void Module::register_module(std::string name, Module& module) {
  module.owner_name_ = interned(name);
  members_.push_back({std::move(name), Tensor{}, &module});
}

void Module::register_constant(const Tensor& constant) {
  constants_.push_back(constant);
}

void Module::collect_constants(Tensors& out) const {
  out.insert(out.end(), constants_.begin(), constants_.end());
  for (const Member& member : members_)
    if (member.module != nullptr) member.module->collect_constants(out);
}

void Module::to(Device device) {
  const MemoryScope scope(MemoryCategory::weights);
  Tensors all = parameters();
  collect_constants(all);
  for (Tensor& tensor : all) {
    if (tensor.device() == device) continue;
    tensor.set_grad({});
    tensor.rebind(tensor.to(device));
  }
}

void Module::to(Device device, DType dtype) {
  const MemoryScope scope(MemoryCategory::weights);
  require<ConfigError>(is_floating(dtype), "module: element type, got ", name_of(dtype),
                       ", expected a floating one");
  Tensors all = parameters();
  collect_constants(all);
  for (Tensor& tensor : all) {
    if (tensor.dtype() != dtype) {
      tensor.set_grad({});
      Tensor converted = Tensor::empty(tensor.shape(), dtype, tensor.device());
      converted.copy_from(tensor);
      tensor.rebind(converted);
    }
  }
  to(device);
}

void Module::collect(const std::string& prefix, NamedTensors& out) const {
  for (const Member& member : members_) {
    if (member.module != nullptr) {
      member.module->collect(prefix + member.name + ".", out);
    } else {
      out.emplace_back(prefix + member.name, member.parameter);
    }
  }
}

NamedTensors Module::named_parameters_and_aliases() const {
  NamedTensors all;
  collect("", all);
  return all;
}

NamedTensors Module::named_parameters() const {
  NamedTensors unique;
  std::unordered_set<const TensorImpl*> seen;
  for (auto& named : named_parameters_and_aliases())
    if (seen.insert(named.second.impl()).second) unique.push_back(std::move(named));
  return unique;
}

Tensors Module::parameters() const {
  Tensors all;
  for (auto& [name, parameter] : named_parameters()) all.push_back(parameter);
  return all;
}

int64_t Module::n_parameters() const {
  int64_t n = 0;
  for (const Tensor& parameter : parameters())
    n = checked_add(n, parameter.numel(), "number of parameters");
  return n;
}

namespace {

bool owns_its_memory(const Tensor& t) {
  return t.impl()->storage->bytes == t.numel() * size_of(t.dtype());
}

}  // namespace

void Module::zero_grad() {
  for (Tensor& parameter : parameters()) {
    Tensor grad = parameter.grad();
    if (!grad.defined()) continue;
    if (owns_its_memory(grad)) {
      parameter.set_grad({});
    } else {
      grad.fill(0);
    }
  }
}

ParameterArena::ParameterArena(const Module& module, const ArenaOptions& options) {
  NamedTensors parameters = module.named_parameters();
  const DType dtype = parameters.empty() ? DType::f32 : parameters.front().second.dtype();
  const Device device = parameters.empty() ? kCpu : parameters.front().second.device();
  const bool with_copies = options.copy_dtype != dtype && options.copy_dtype != DType::f32;
  const auto is_copied = [&](const auto& named) {
    return with_copies && (!options.copied || options.copied(named.first, named.second));
  };
  const auto group_of = [&](const auto& named) {
    return options.group ? options.group(named.first, named.second) : 0;
  };
  std::stable_sort(parameters.begin(), parameters.end(), [&](const auto& a, const auto& b) {
    return std::pair(!is_copied(a), group_of(a)) < std::pair(!is_copied(b), group_of(b));
  });
  const auto filled_up = [](int64_t n, int64_t multiple) {
    return checked_add(n, multiple - 1, "parameter arena") / multiple * multiple;
  };
  const auto others = std::find_if_not(parameters.begin(), parameters.end(), is_copied);
  int64_t n = 0;
  for (auto named = parameters.begin(); named != parameters.end(); ++named) {
    const auto& [name, parameter] = *named;
    require<ShapeError>(parameter.dtype() == dtype && parameter.device() == device,
                        "parameter arena: ", name, " is of another kind, got ",
                        name_of(parameter.dtype()), " on ", to_string(parameter.device()),
                        ", expected ", name_of(dtype), " on ", to_string(device));
    if (named == others) n = filled_up(n, options.multiple_of);
    groups_.push_back(group_of(*named));
    entries_.push_back({name, parameter, n, parameter.numel()});
    n = checked_add(n, filled_up(parameter.numel(), kFlatAlignment), "parameter arena");
    if (named < others) n_copied_ = filled_up(n, options.multiple_of);
  }
  n = filled_up(n, options.multiple_of);
  const MemoryScope scope(MemoryCategory::weights);
  const auto zeros = [&](int64_t length, DType type) {
    return options.zeros ? options.zeros(length, type) : Tensor::zeros({length}, type, device);
  };
  {
    const MemoryScope inner(MemoryCategory::gradients);
    gradients_ = zeros(n, dtype);
  }
  weights_ = zeros(n - n_copied_, dtype);
  if (n_copied_ > 0) {
    copies_ = zeros(n_copied_, options.copy_dtype);
    masters_ = Tensor::zeros({n_copied_}, dtype, device);  // nobody else reaches it
  }
  for (Entry& entry : entries_) {
    const Shape& shape = entry.parameter.shape();
    const Shape strides = contiguous_strides(shape);
    const bool copied = entry.offset < n_copied_;
    Tensor weight = copied ? masters_.strided_view(shape, strides, entry.offset)
                           : weights_.strided_view(shape, strides, entry.offset - n_copied_);
    Tensor gradient = gradients_.strided_view(shape, strides, entry.offset);
    weight.copy_from(entry.parameter);
    if (entry.parameter.grad().defined()) gradient.copy_from(entry.parameter.grad());
    entry.parameter.rebind(weight);
    entry.parameter.set_grad(gradient);
    if (copied)
      entry.parameter.set_low_precision(copies_.strided_view(shape, strides, entry.offset));
  }
  refresh_copies();
}

void ParameterArena::release_masters() {
  if (masters_.defined()) masters_.impl()->storage->release();
}

void ParameterArena::restore_masters() {
  if (!masters_.defined()) return;
  const MemoryScope scope(MemoryCategory::weights);
  masters_.impl()->storage->renew();
}

int64_t ParameterArena::end_of_group(int group) const {
  int64_t end = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (groups_[i] > group) break;
    const int64_t aligned =
        (entries_[i].numel + kFlatAlignment - 1) / kFlatAlignment * kFlatAlignment;
    end = entries_[i].offset + aligned;
  }
  return end;
}

void ParameterArena::zero_grad() {
  gradients_.fill(0);
}

void ParameterArena::refresh_copies() {
  for (Entry& entry : entries_) {
    Tensor copy = entry.parameter.low_precision();
    if (copy.defined()) copy.copy_from(entry.parameter);
  }
}

}  // namespace xlstm::layers
