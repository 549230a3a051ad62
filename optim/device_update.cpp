#include "optim/device_update.h"

#include <cmath>
#include <cstddef>
#include <cstring>

#include "core/ops/kernel_call.h"

namespace xlstm::optim {
namespace {

Device device_of(const Optimizer& optimizer) {
  const Parameters& all = optimizer.parameters();
  return all.empty() ? kCpu : all.front().value.device();
}

// One number inside bytes on the device.
Tensor field(const Tensor& bytes, size_t offset, DType dtype) {
  return tensor_in(bytes.impl()->storage, static_cast<int64_t>(offset), {}, dtype);
}

template <class T>
Tensor bytes_on(Device device) {
  return Tensor::zeros({static_cast<int64_t>(sizeof(T))}, DType::u8, device);
}

}  // namespace

void DeviceUpdateConfig::validate() const {
  require<ConfigError>(max_norm >= 0, "update: the largest norm must not be negative, got ",
                       max_norm);
  require<ConfigError>(n_accumulated >= 1, "update: at least one batch is needed, got ",
                       n_accumulated);
  const LossScaleConfig& s = loss_scale;
  require<ConfigError>(!s.dynamic || (s.initial >= 1 && s.largest >= s.initial && s.growth >= 1 &&
                                      s.backoff > 0 && s.backoff < 1 && s.growth_interval >= 1),
                       "update: loss scaling, got initial ", s.initial, ", largest ", s.largest,
                       ", growth ", s.growth, ", backoff ", s.backoff, " and interval ",
                       s.growth_interval,
                       ", expected 1 <= initial <= largest, growth >= 1, 0 < backoff < 1 and an "
                       "interval of at least 1");
}

DeviceUpdate::DeviceUpdate(Optimizer& optimizer, const DeviceUpdateConfig& config,
                           DataParallel* parallel)
    : optimizer_(optimizer), config_(config), parallel_(parallel) {
  config.validate();
  const Device device = device_of(optimizer);
  rates_ = bytes_on<Rates>(device);
  state_ = bytes_on<Outcome>(device);
  const int64_t n_sums =
      adds_parts() ? parallel->squares().numel() : static_cast<int64_t>(own_gradients().size());
  control_ = Tensor::zeros({n_sums + 2}, DType::f64, device);
  restore(optimizer.step_count(), 0, 0);
}

Tensors DeviceUpdate::own_gradients() const {
  return parallel_ != nullptr ? parallel_->own_gradients() : optimizer_.flat_gradients();
}

bool DeviceUpdate::adds_parts() const {
  return parallel_ != nullptr && parallel_->squares().defined();
}

// The sum of squares of each piece of gradients of this rank, into the first numbers of control_.
void DeviceUpdate::take_squares() {
  const int64_t n_sums = control_.numel() - 2;
  if (adds_parts()) {
    control_.strided_view({n_sums}, {1}).copy_from(parallel_->squares());
    return;
  }
  const Tensors gradients = own_gradients();
  require<ShapeError>(static_cast<int64_t>(gradients.size()) == n_sums,
                      "update: the gradients have moved, got ", gradients.size(),
                      " pieces, expected ", n_sums);
  for (size_t i = 0; i < gradients.size(); ++i)
    ops::sum_of_squares_into(gradients[i],
                             control_.strided_view({1}, {1}, static_cast<int64_t>(i)));
}

void DeviceUpdate::launch(const Tensor& loss, const Tensor& votes) {
  require<ShapeError>(loss.defined() && loss.numel() == 1 && loss.dtype() == DType::f32 &&
                          loss.device() == state_.device(),
                      "update: the loss must be one float32 number on the device of the "
                      "parameters");
  take_squares();
  const int64_t n_sums = control_.numel() - 2;
  const auto number = [this](int64_t i) { return control_.strided_view({1}, {1}, i); };
  number(n_sums).copy_from(loss.strided_view({1}, {1}));
  if (votes.defined()) number(n_sums + 1).copy_from(votes.strided_view({1}, {1}));
  if (parallel_ != nullptr) parallel_->sum_control(control_);
  const LossScaleConfig& scale = config_.loss_scale;
  xlstm_update_control_args args{};
  args.sums = control_.data<double>();
  args.n_sums = n_sums;
  args.loss = args.sums + n_sums;
  args.votes = args.loss + 1;
  args.n_accumulated = config_.n_accumulated;
  args.max_norm = config_.max_norm;
  args.growth = scale.growth;
  args.backoff = scale.backoff;
  args.min_scale = 1;
  args.max_scale = scale.largest;
  args.growth_interval = scale.dynamic ? scale.growth_interval : 0;
  args.rates = static_cast<const Rates*>(rates_.raw());
  args.state = static_cast<Outcome*>(state_.raw());
  ops::run_kernel(ops::Kernel{xlstm_update_control_cpu, xlstm_update_control_cuda}, args,
                  state_.device(), "update");
  if (state_.device() == kCpu) {
    if (parallel_ != nullptr) parallel_->communicator().join();
    const auto* outcome = static_cast<const Outcome*>(state_.raw());
    optimizer_.set_step_count(outcome->step - (outcome->skip != 0 ? 0 : 1));
    if (outcome->skip == 0)
      optimizer_.step(static_cast<double>(outcome->lr), static_cast<double>(outcome->grad_scale));
    return;
  }
  const ops::UpdateScalars scalars{
      .lr = field(state_, offsetof(Outcome, lr), DType::f32),
      .grad_scale = field(state_, offsetof(Outcome, grad_scale), DType::f32),
      .step = field(state_, offsetof(Outcome, step), DType::i64),
      .skip = field(state_, offsetof(Outcome, skip), DType::i32)};
  if (parallel_ == nullptr || parallel_->shards_optimizer())
    return optimizer_.step_on_device(scalars);
  // What came last is on its way while the rest is updated.
  const Range whole = parallel_->whole();
  optimizer_.step_on_device(scalars, whole);
  parallel_->communicator().join();
  optimizer_.step_on_device(scalars, {0, whole.begin});
  optimizer_.step_on_device(scalars, {whole.end, parallel_->n()});
}

Tensor DeviceUpdate::loss_scale() const {
  return field(state_, offsetof(Outcome, loss_scale), DType::f32);
}

void DeviceUpdate::restore(int64_t step_count, int64_t n_skipped, int64_t n_in_a_row,
                           int64_t n_good, double loss_scale) {
  Outcome outcome{};
  outcome.step = step_count;
  outcome.n_skipped = n_skipped;
  outcome.n_in_a_row = n_in_a_row;
  outcome.n_good = n_good;
  const LossScaleConfig& scale = config_.loss_scale;
  outcome.loss_scale = !scale.dynamic   ? 1.0f
                       : loss_scale > 0 ? static_cast<float>(loss_scale)
                                        : static_cast<float>(scale.initial);
  Tensor bytes = Tensor::empty({static_cast<int64_t>(sizeof(outcome))}, DType::u8);
  std::memcpy(bytes.raw(), &outcome, sizeof(outcome));
  state_.copy_from(bytes);
}

DeviceUpdate::Outcome DeviceUpdate::read() const {
  Outcome outcome;
  std::memcpy(&outcome, state_.to(kCpu).raw(), sizeof(outcome));
  return outcome;
}

}  // namespace xlstm::optim
