// How one optimizer step is carried out: at once on the CPU, queued on a CUDA device.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/autograd.h"
#include "tools/train/trainer.h"

namespace xlstm::train {

class StepEngine {
 public:
  virtual ~StepEngine() = default;
  // Begins the next step; progress.step, tokens_seen and the generator are then past it.
  virtual void enqueue() = 0;
  // Reports, in order, of the steps that have ended since the last call: all of them if `wait`,
  // else all but perhaps the last. NonFiniteError after too many skipped steps.
  virtual std::vector<StepReport> finished(bool wait) = 0;
  // The run goes on from a checkpoint that has been loaded: weights, moments and progress are new.
  virtual void restored() {}
};

// The forward and backward pass of a micro-batch of a step. Of the first one, the forward pass
// waits for weights that are on their way from other ranks; of the last one, gradients go on theirs
// while the backward pass runs.
class MicroPass {
 public:
  MicroPass(Trainer::State& state, layers::ForwardContext& context, bool is_first, bool is_last);
  void backward(const Tensor& loss, const Tensor& loss_grad = {});

 private:
  Trainer::State& state_;
  autograd::Marks marks_;
  std::function<void(const layers::Module&)> before_block_;
  int64_t block_ = 0;
};

std::unique_ptr<StepEngine> make_host_engine(Trainer::State& state);
std::unique_ptr<StepEngine> make_device_engine(Trainer::State& state);

}  // namespace xlstm::train
