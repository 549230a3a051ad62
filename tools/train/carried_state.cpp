#include "tools/train/carried_state.h"

#include <map>

#include "core/autograd.h"
#include "core/error.h"
#include "core/ops/carry.h"
#include "core/ops/view.h"

namespace xlstm::train {
namespace {

// Handles on the tensors of a state, in one order for all states of a model; some are undefined.
Tensors tensors_of(const layers::ModelState& state) {
  Tensors all;
  for (const layers::BlockState& block : state.blocks)
    layers::for_each_tensor(block, [&](const char*, const Tensor& t) { all.push_back(t); });
  return all;
}

}  // namespace

CarriedState::CarriedState(const layers::LanguageModel& model, int64_t n_micro, int64_t batch) {
  for (const Tensor& t : tensors_of(model.init_state(1)))
    starts_.push_back(
        t.defined() && t.numel() > 0 ? t.detach().strided_view({1}, {1}).to(kCpu).item() : 0);
  for (int64_t micro = 0; micro < n_micro; ++micro)
    micros_.push_back(
        {model.init_state(batch), Tensor::full({batch}, 1, DType::u8, model.device())});
}

layers::ModelState CarriedState::begin(int64_t micro, const Tensor& fresh) {
  in_step_ = true;
  const Micro& m = at(micro);
  const Tensors kept = tensors_of(m.state);
  for (size_t i = 0; i < kept.size(); ++i)
    if (kept[i].defined()) ops::carry_restart(kept[i], fresh, m.usable, starts_[i]);
  return m.state;
}

void CarriedState::keep(int64_t micro, const layers::ModelState& after) {
  const autograd::NoGrad no_grad;
  Micro& m = at(micro);
  m.usable.fill(1);
  const Tensors kept = tensors_of(m.state), next = tensors_of(after);
  require<ShapeError>(kept.size() == next.size(), "carried state: got ", next.size(),
                      " tensors, expected ", kept.size());
  for (size_t i = 0; i < kept.size(); ++i)
    // Inputs of convolutions may have been read in 16 bits, which float32 holds exactly.
    if (kept[i].defined()) ops::carry_store(ops::cast(next[i], kept[i].dtype()), kept[i], m.usable);
}

void CarriedState::forget_half_step() {
  if (!in_step_) return;
  for (Micro& m : micros_) m.usable.fill(0);
  in_step_ = false;
}

NamedTensors CarriedState::named_tensors() const {
  std::vector<layers::ModelState> states;
  for (const Micro& m : micros_) {
    const Tensor usable = m.usable.to(kCpu), none = Tensor::zeros(usable.shape(), DType::u8);
    layers::ModelState state = m.state;
    size_t i = 0;
    for (layers::BlockState& block : state.blocks)
      layers::for_each_tensor(block, [&](const char*, Tensor& t) {
        const double start = starts_[i++];
        if (!t.defined()) return;
        t = t.device() == kCpu ? t.clone() : t.to(kCpu);
        ops::carry_restart(t, none, usable, start);
      });
    states.push_back(std::move(state));
  }
  return layers::ModelState::concat_rows(states).named_tensors();
}

void CarriedState::load(const NamedTensors& tensors, const std::string& source) {
  std::map<std::string, Tensor> given(tensors.begin(), tensors.end());
  const NamedTensors own = micros_.front().state.named_tensors();
  require<FormatError>(given.size() == own.size(), source, ": got ", given.size(),
                       " tensors, expected ", own.size());
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    require<FormatError>(found != given.end(), source, ": ", name, " is missing");
    const Tensor& t = found->second;
    Shape shape = tensor.shape();
    shape[0] *= static_cast<int64_t>(micros_.size());
    require<FormatError>(t.shape() == shape && t.dtype() == tensor.dtype(), source, ": ", name,
                         ": got ", to_string(t.shape()), " ", name_of(t.dtype()), ", expected ",
                         to_string(shape), " ", name_of(tensor.dtype()));
  }
  int64_t first = 0;
  for (Micro& m : micros_) {
    const int64_t batch = m.usable.numel();
    for (const auto& [name, tensor] : m.state.named_tensors()) {
      Tensor kept = tensor;
      kept.copy_from(ops::slice(given.at(name), 0, first, first + batch));
    }
    m.usable.fill(1);
    first += batch;
  }
}

}  // namespace xlstm::train
