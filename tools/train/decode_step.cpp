#include "tools/train/decode_step.h"

#include "core/autograd.h"
#include "core/cuda/graph.h"
#include "core/cuda/runtime.h"
#include "core/error.h"

namespace xlstm::train {
namespace {

// Into the memory that `kept` has, what a step returned elsewhere.
void overwrite(const layers::ModelState& kept, const layers::ModelState& next) {
  const NamedTensors to = kept.named_tensors(), from = next.named_tensors();
  require<ShapeError>(to.size() == from.size(), "decode: the state has ", to.size(),
                      " tensors before a step and ", from.size(), " after it");
  for (size_t i = 0; i < to.size(); ++i) {
    Tensor tensor = to[i].second;
    if (from[i].second.raw() != tensor.raw()) tensor.copy_from(from[i].second);
  }
}

std::vector<int64_t> picked(const std::vector<int64_t>& all, const std::vector<int64_t>& places) {
  std::vector<int64_t> some;
  for (const int64_t place : places) some.push_back(all[static_cast<size_t>(place)]);
  return some;
}

// Rows are dropped seldom, so bytes, which no op selects, go by the host.
Tensor picked_rows(const Tensor& bytes, const std::vector<int64_t>& rows) {
  const auto all = bytes.to(kCpu).to_vector<uint8_t>();
  const int64_t n = bytes.size(1);
  std::vector<uint8_t> some;
  for (const int64_t row : rows)
    some.insert(some.end(), all.begin() + row * n, all.begin() + (row + 1) * n);
  return Tensor::from(some, {static_cast<int64_t>(rows.size()), n}).to(bytes.device());
}

}  // namespace

DecodeStep::DecodeStep(const layers::LanguageModel& model, layers::ModelState state,
                       const Tensor& logits, const std::vector<int64_t>& streams,
                       const Tensor& seen, const ops::SamplingOptions& sampling, bool use_graph)
    : model_(model),
      sampling_(sampling),
      use_graph_(use_graph && model.device() != kCpu && !cuda::waits_after_each_call()),
      state_(std::move(state)),
      logits_(logits.clone()),
      streams_on_host_(streams) {
  tokens_ = Tensor::zeros({logits.size(0)}, DType::i64, model.device());
  streams_ = on_device(streams);
  if (seen.defined())
    seen_ = seen.device() == model.device() ? seen.clone() : seen.to(model.device());
  position_ = Tensor::zeros({1}, DType::i64, model.device());
}

DecodeStep::~DecodeStep() = default;

const std::vector<int64_t>& DecodeStep::next(int64_t position) {
  const autograd::NoGrad no_grad;
  position_.fill(static_cast<double>(position));
  if (has_chosen_)
    run_step();
  else
    draw();
  has_chosen_ = true;
  chosen_ = tokens_.to_vector<int64_t>();
  return chosen_;
}

void DecodeStep::run_step() {
  if (graph_ != nullptr) return graph_->launch();
  // What is made once, for example the choice of algorithms, is made by a step that is not
  // recorded.
  if (!use_graph_ || !has_stepped_) {
    step();
    has_stepped_ = true;
    return;
  }
  // Other texts may be under way between its replays.
  graph_ = std::make_unique<cuda::Graph>(
      model_.device(), [this] { step(); }, cuda::Graph::Memory::own);
  graph_->launch();
}

void DecodeStep::read() {
  layers::ModelOutput out = model_.step(tokens_, state_, {.in_place_state = true});
  overwrite(state_, out.state);
  logits_.copy_from(out.logits);
}

void DecodeStep::step() {
  read();
  draw();
}

layers::ModelOutput DecodeStep::finish() {
  const autograd::NoGrad no_grad;
  if (has_chosen_) read();
  return {logits_, state_};
}

void DecodeStep::draw() {
  tokens_.copy_from(ops::sample(logits_, sampling_, 0, streams_,
                                static_cast<const uint64_t*>(position_.raw()), seen_));
}

void DecodeStep::keep(const std::vector<int64_t>& places) {
  const autograd::NoGrad no_grad;
  graph_.reset();
  has_stepped_ = false;
  state_ = state_.select_rows(on_device(places));
  streams_on_host_ = picked(streams_on_host_, places);
  streams_ = on_device(streams_on_host_);
  tokens_ = on_device(picked(chosen_, places));
  if (seen_.defined()) seen_ = picked_rows(seen_, places);
  logits_ = Tensor::empty({rows(), logits_.size(1)}, logits_.dtype(), logits_.device());
}

void DecodeStep::report_bad_rows() const {
  ops::report_bad_rows(logits_, sampling_);
}

Tensor DecodeStep::on_device(const std::vector<int64_t>& numbers) const {
  return Tensor::from(numbers, {static_cast<int64_t>(numbers.size())}).to(model_.device());
}

}  // namespace xlstm::train
