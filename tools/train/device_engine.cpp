// Steps on a CUDA device. A thread fills pinned memory with the tokens of the next steps; the host
// launches a step and goes on to the next, and reads how one went while the following one runs.
// After two steps one by one the whole step is recorded as a graph and replayed.
//
// Everything that changes from step to step lies in one block of device memory, `inputs_`: tokens,
// document starts, the counter of random numbers, learning rates, and for each NaN of XLSTM_FAULT a
// number, NaN in its step and else 0, that every step adds. What goes from step to step on
// the device alone (number of updates, loss scale, whether to skip) is optim::DeviceUpdate's, and
// CarriedState's with data.stateful.
#include <cstring>
#include <limits>

#include "core/autograd.h"
#include "core/cuda/graph.h"
#include "core/cuda/runtime.h"
#include "core/fault_plan.h"
#include "core/log.h"
#include "core/ops/elementwise.h"
#include "optim/device_update.h"
#include "tools/train/step_prefetch.h"
#include "tools/train/trainer_state.h"

namespace xlstm::train {
namespace {

using optim::DeviceUpdate;

constexpr int64_t kStepsOnTheWay = 2;  // one runs while the next is launched
constexpr int64_t kEagerSteps = 2;     // before the graph: they find every block of memory it needs

// The places inside the block of inputs, in bytes.
struct InputLayout {
  int64_t B, T, n_micro;
  bool has_reset, has_fresh;
  int64_t n_nans;
  int64_t tokens_bytes() const { return B * T * 8; }
  int64_t reset_bytes() const { return has_reset ? (B * T + 255) / 256 * 256 : 0; }
  int64_t fresh_bytes() const { return has_fresh ? (B + 255) / 256 * 256 : 0; }
  int64_t inputs(int64_t micro) const {
    return micro * (2 * tokens_bytes() + reset_bytes() + fresh_bytes());
  }
  int64_t targets(int64_t micro) const { return inputs(micro) + tokens_bytes(); }
  int64_t reset(int64_t micro) const { return targets(micro) + tokens_bytes(); }
  int64_t fresh(int64_t micro) const { return reset(micro) + reset_bytes(); }
  int64_t counter() const { return inputs(n_micro); }
  int64_t votes() const { return counter() + 8; }
  int64_t rates() const { return votes() + 8; }
  int64_t nan(int64_t i) const {
    return rates() + static_cast<int64_t>(sizeof(DeviceUpdate::Rates)) + 4 * i;
  }
  int64_t bytes() const { return nan(n_nans); }
};

Tensor view_of(const Tensor& bytes, int64_t offset, const Shape& shape, DType dtype) {
  return tensor_in(bytes.impl()->storage, offset, shape, dtype);
}

// Those of XLSTM_FAULT, where there are any.
std::vector<PlannedFault> planned_nans(const Trainer::State& state) {
  const FaultPlan* plan = FaultPlan::of_environment();
  std::vector<PlannedFault> nans = plan == nullptr ? std::vector<PlannedFault>{} : plan->nans();
  for (const PlannedFault& fault : nans)
    if (!fault.in_loss) FaultPlan::require_element(fault.element, state.arena->gradients().numel());
  return nans;
}

// A step on its way: its outcome, and the place of its inputs, in pinned memory.
struct Slot {
  StepPrefetch::Lease inputs;
  cuda::PinnedMemory outcome;
  cuda::Event done;
  int64_t step = 0;  // 0: free
  explicit Slot(Device device) : outcome(sizeof(DeviceUpdate::Outcome)), done(device) {}
};

class DeviceEngine : public StepEngine {
 public:
  explicit DeviceEngine(Trainer::State& state)
      : s_(state),
        device_(state.model->device()),
        nans_(planned_nans(state)),
        layout_{state.config.data.batch_size,
                state.config.data.max_length,
                state.config.trainer.accumulate_grad_batches,
                state.config.data.document_reset,
                state.config.data.stateful,
                static_cast<int64_t>(nans_.size())},
        inputs_(Tensor::zeros({layout_.bytes()}, DType::u8, device_)),
        update_(*state.optimizer,
                {.max_norm = state.config.trainer.gradient_clip_val,
                 .n_accumulated = state.n_averaged(),
                 .loss_scale = {.dynamic = state.placement.scale_loss}},
                state.parallel.get()),
        prefetch_(state.config.data.prefetch, kStepsOnTheWay,
                  [this](int64_t step, size_t place) { fill(step, *staging_[place]); }) {
    for (auto& slot : slots_) slot = std::make_unique<Slot>(device_);
    for (size_t i = 0; i < prefetch_.n_places(); ++i)
      staging_.push_back(std::make_unique<cuda::PinnedMemory>(layout_.bytes()));
    restored();
  }
  // The device still reads and writes what is about to be freed.
  ~DeviceEngine() override {
    try {
      cuda::synchronize(device_);
    } catch (const Error& error) {
      log_warning("the device did not finish its last step: ", error.what());
    }
  }

  void restored() override {
    update_.restore(s_.optimizer->step_count(), s_.guard.n_skipped(), s_.guard.n_in_a_row(),
                    s_.progress.n_good, s_.progress.loss_scale);
  }

  void enqueue() override {
    Slot& slot = *slots_[static_cast<size_t>(s_.progress.step % kStepsOnTheWay)];
    if (slot.step != 0) collect(slot);
    slot.inputs = prefetch_.take(s_.progress.step);
    const cuda::PinnedMemory& inputs = *staging_[slot.inputs.place()];
    fill_state(inputs);
    cuda::copy_to_device(inputs_.raw(), inputs.data(), layout_.bytes(), device_);
    run();
    cuda::copy_to_host(slot.outcome.data(), update_.state().raw(), slot.outcome.bytes(), device_);
    slot.done.record();
    slot.step = ++s_.progress.step;
    s_.progress.generator.offset += n_drawn_;
    s_.progress.tokens_seen += layout_.B * layout_.T * s_.n_averaged();
    newest_ = slot.step;
  }

  std::vector<StepReport> finished(bool wait) override {
    for (int64_t step : {newest_ - 1, newest_}) {
      if (step < 1 || (!wait && step == newest_)) continue;
      for (auto& slot : slots_)
        if (slot->step == step) collect(*slot);
    }
    return std::exchange(reports_, {});
  }

 private:
  void collect(Slot& slot) {
    slot.done.wait();
    DeviceUpdate::Outcome outcome;
    std::memcpy(&outcome, slot.outcome.data(), sizeof(outcome));
    reports_.push_back({.step = slot.step,
                        .loss = static_cast<double>(outcome.loss),
                        .grad_norm = outcome.gradient_norm,
                        .lr = static_cast<double>(outcome.lr),
                        .skipped = outcome.skip != 0,
                        .votes = outcome.votes});
    slot.step = 0;
    slot.inputs = {};
    s_.optimizer->set_step_count(outcome.step);
    s_.progress.loss_scale = static_cast<double>(outcome.loss_scale);
    s_.progress.n_good = outcome.n_good;
    s_.guard.learn(outcome.skip != 0, static_cast<double>(outcome.loss), outcome.gradient_norm,
                   outcome.n_skipped, outcome.n_in_a_row);
  }

  // What follows from the step's number alone: by the thread, ahead of the step.
  void fill(int64_t step, const cuda::PinnedMemory& inputs) const {
    auto* bytes = static_cast<unsigned char*>(inputs.data());
    const int64_t B = layout_.B, T = layout_.T;
    for (int64_t micro = 0; micro < layout_.n_micro; ++micro) {
      const Batch batch = s_.data.batch(step, micro);
      const int64_t* tokens = batch.tokens.data<int64_t>();
      for (int64_t b = 0; b < B; ++b) {
        const auto put = [&](int64_t place, const int64_t* from) {
          std::memcpy(bytes + place + b * T * 8, from, static_cast<size_t>(T) * 8);
        };
        put(layout_.inputs(micro), tokens + b * (T + 1));
        put(layout_.targets(micro), tokens + b * (T + 1) + 1);
      }
      if (layout_.has_reset)
        std::memcpy(bytes + layout_.reset(micro), batch.reset.raw(), static_cast<size_t>(B * T));
      if (layout_.has_fresh)
        std::memcpy(bytes + layout_.fresh(micro), batch.fresh.raw(), static_cast<size_t>(B));
    }
    for (int64_t i = 0; i < layout_.n_nans; ++i) {
      const bool is_now = nans_[static_cast<size_t>(i)].step == step + 1;
      const float number = is_now ? std::numeric_limits<float>::quiet_NaN() : 0;
      std::memcpy(bytes + layout_.nan(i), &number, sizeof(number));
    }
  }

  // What follows from the steps before.
  void fill_state(const cuda::PinnedMemory& inputs) const {
    auto* bytes = static_cast<unsigned char*>(inputs.data());
    std::memcpy(bytes + layout_.counter(), &s_.progress.generator.offset, 8);
    std::memcpy(bytes + layout_.votes(), &s_.vote, 8);
    DeviceUpdate::Rates rates{};
    rates.base = s_.optimizer->step_count();
    for (int64_t i = 0; i < XLSTM_UPDATE_RATES; ++i)
      rates.rate[i] = static_cast<float>(optim::learning_rate(s_.schedule, rates.base + i));
    std::memcpy(bytes + layout_.rates(), &rates, sizeof(rates));
  }

  void run() {
    if (graph_ != nullptr) return replay();
    // Inside a graph there is no waiting for a call.
    const bool eager = !s_.config.trainer.cuda_graph || cuda::waits_after_each_call();
    if (eager || n_run_++ < kEagerSteps) return step();
    comm::CollectiveWatch& watch = s_.communicator->watch();
    watch.begin_recording();
    try {
      graph_ = std::make_unique<cuda::Graph>(device_, [this] { step(); });
    } catch (...) {
      watch.end_recording();
      throw;
    }
    calls_ = watch.end_recording();
    replay();
  }

  void replay() {
    s_.communicator->replays(calls_);
    graph_->launch();
  }

  // Forward, backward and update of all micro-batches: launches alone.
  void step() {
    Generator generator{s_.rank_generator().seed, 0};
    generator.base =
        static_cast<const uint64_t*>(view_of(inputs_, layout_.counter(), {1}, DType::i64).raw());
    layers::ForwardContext context{
        .training = true,
        .generator = &generator,
        .activation_checkpointing = s_.config.trainer.activation_checkpointing,
        .slstm_recompute_steps = s_.config.trainer.slstm_recompute_steps};
    Tensor rates = update_.rates();
    rates.copy_from(view_of(inputs_, layout_.rates(), rates.shape(), DType::u8));
    s_.arena->zero_grad();
    add_nans_to_gradients();
    Tensor loss_sum;
    const Shape shape{layout_.B, layout_.T};
    for (int64_t micro = 0; micro < layout_.n_micro; ++micro) {
      const Tensor reset =
          layout_.has_reset ? view_of(inputs_, layout_.reset(micro), shape, DType::u8) : Tensor{};
      layers::ModelState before;
      if (s_.carried)
        before = s_.carried->begin(micro,
                                   view_of(inputs_, layout_.fresh(micro), {layout_.B}, DType::u8));
      MicroPass pass(s_, context, micro == 0, micro == layout_.n_micro - 1);
      const auto [loss, n_tokens, after] = loss_of(
          *s_.model, view_of(inputs_, layout_.inputs(micro), shape, DType::i64),
          view_of(inputs_, layout_.targets(micro), shape, DType::i64), reset, context, before);
      pass.backward(loss, update_.loss_scale());
      if (s_.carried) s_.carried->keep(micro, after);
      const autograd::NoGrad no_grad;
      loss_sum = micro == 0 ? loss.detach() : ops::add(loss_sum, loss.detach());
    }
    add_nans_to_loss(loss_sum);
    if (s_.parallel != nullptr) s_.parallel->finish();
    s_.staging.hold();
    update_.launch(loss_sum, view_of(inputs_, layout_.votes(), {1}, DType::f64));
    n_drawn_ = generator.offset;
  }

  // Into sums that have only begun, so every later addition keeps it.
  void add_nans_to_gradients() {
    const autograd::NoGrad no_grad;
    for (int64_t i = 0; i < layout_.n_nans; ++i) {
      const PlannedFault& fault = nans_[static_cast<size_t>(i)];
      if (fault.in_loss) continue;
      Tensor place = s_.arena->gradients().strided_view({1}, {1}, fault.element);
      place.copy_from(ops::add(place, view_of(inputs_, layout_.nan(i), {1}, DType::f32)));
    }
  }

  void add_nans_to_loss(Tensor& loss_sum) {
    const autograd::NoGrad no_grad;
    for (int64_t i = 0; i < layout_.n_nans; ++i)
      if (nans_[static_cast<size_t>(i)].in_loss)
        loss_sum =
            ops::add(loss_sum, view_of(inputs_, layout_.nan(i), loss_sum.shape(), DType::f32));
  }

  Trainer::State& s_;
  Device device_;
  std::vector<PlannedFault> nans_;
  InputLayout layout_;
  Tensor inputs_;
  DeviceUpdate update_;
  std::vector<std::unique_ptr<cuda::PinnedMemory>> staging_;  // by place of the prefetch
  StepPrefetch prefetch_;  // its thread writes to what stands above
  std::unique_ptr<Slot> slots_[kStepsOnTheWay];
  std::unique_ptr<cuda::Graph> graph_;
  std::vector<comm::CollectiveCall> calls_;  // in it
  std::vector<StepReport> reports_;
  int64_t newest_ = 0, n_run_ = 0;
  uint64_t n_drawn_ = 0;  // counters of random numbers in a step
};

}  // namespace

std::unique_ptr<StepEngine> make_device_engine(Trainer::State& state) {
  return std::make_unique<DeviceEngine>(state);
}

}  // namespace xlstm::train
