// A step on the CPU, done when enqueue returns.
#include <limits>
#include <utility>

#include "core/autograd.h"
#include "core/fault_plan.h"
#include "tools/train/step_prefetch.h"
#include "tools/train/trainer_state.h"

namespace xlstm::train {
namespace {

class HostEngine : public StepEngine {
 public:
  explicit HostEngine(Trainer::State& state)
      : s_(state), prefetch_(state.config.data.prefetch, 1, [this](int64_t step, size_t place) {
          fill(step, batches_[place]);
        }) {
    batches_.resize(prefetch_.n_places());
  }

  void enqueue() override {
    const int64_t n_micro = s_.config.trainer.accumulate_grad_batches;
    Generator generator = s_.rank_generator();
    layers::ForwardContext context{
        .training = true,
        .generator = &generator,
        .activation_checkpointing = s_.config.trainer.activation_checkpointing,
        .slstm_recompute_steps = s_.config.trainer.slstm_recompute_steps};
    const std::vector<Batch> batches =
        std::move(batches_[prefetch_.take(s_.progress.step).place()]);
    s_.arena->zero_grad();
    double loss_sum = 0;
    if (const FaultPlan* plan = FaultPlan::of_environment()) inject_nan(*plan, loss_sum);
    for (int64_t micro = 0; micro < n_micro; ++micro) {
      const Batch& batch = batches[static_cast<size_t>(micro)];
      const layers::ModelState before =
          s_.carried ? s_.carried->begin(micro, batch.fresh) : layers::ModelState{};
      MicroPass pass(s_, context, micro == 0, micro == n_micro - 1);
      const BatchLoss loss = batch_loss(*s_.model, batch, context, before);
      pass.backward(loss.loss);
      if (s_.carried) s_.carried->keep(micro, loss.state);
      loss_sum += loss.loss.item();
      s_.progress.tokens_seen += loss.n_tokens * s_.world.size;
    }
    s_.progress.generator.offset = generator.offset;
    optim::UpdateConfig how{.max_norm = s_.config.trainer.gradient_clip_val,
                            .n_accumulated = s_.n_averaged()};
    double votes = s_.vote;
    if (s_.parallel != nullptr) {
      s_.parallel->finish();
      const auto total = s_.parallel->total(loss_sum, votes);
      how.norm_of_sum = total.gradient_norm;
      loss_sum = total.loss;
      votes = total.votes;
    }
    const double loss = loss_sum / static_cast<double>(s_.n_averaged());
    // A skipped update leaves weights, moments and schedule as they were; the data moves on.
    const double lr = optim::learning_rate(s_.schedule, s_.optimizer->step_count());
    ++s_.progress.step;
    const optim::UpdateResult result = optim::update(*s_.optimizer, s_.guard, loss, lr, how);
    reports_.push_back({.step = s_.progress.step,
                        .loss = loss,
                        .grad_norm = result.gradient_norm,
                        .lr = lr,
                        .skipped = !result.updated,
                        .votes = votes});
  }

  std::vector<StepReport> finished(bool) override { return std::exchange(reports_, {}); }

 private:
  // Into sums that have only begun, so every later addition keeps it.
  void inject_nan(const FaultPlan& plan, double& loss_sum) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    const int64_t step = s_.progress.step + 1;
    if (plan.loss_is_nan(step)) loss_sum = kNan;
    const Tensor gradients = s_.arena->gradients();
    for (const int64_t element : plan.nan_gradients(step)) {
      FaultPlan::require_element(element, gradients.numel());
      gradients.strided_view({1}, {1}, element).fill(kNan);
    }
  }

  void fill(int64_t step, std::vector<Batch>& place) const {
    std::vector<Batch> batches;
    for (int64_t micro = 0; micro < s_.config.trainer.accumulate_grad_batches; ++micro)
      batches.push_back(s_.data.batch(step, micro));
    place = std::move(batches);
  }

  Trainer::State& s_;
  std::vector<StepReport> reports_;
  std::vector<std::vector<Batch>> batches_;  // by place
  StepPrefetch prefetch_;                    // last: its thread writes to the others
};

}  // namespace

std::unique_ptr<StepEngine> make_host_engine(Trainer::State& state) {
  return std::make_unique<HostEngine>(state);
}

}  // namespace xlstm::train
