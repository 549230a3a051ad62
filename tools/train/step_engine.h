// How one optimizer step is carried out: at once on the CPU, queued on a CUDA device.
#pragma once

#include <memory>
#include <vector>

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

std::unique_ptr<StepEngine> make_host_engine(Trainer::State& state);
std::unique_ptr<StepEngine> make_device_engine(Trainer::State& state);

}  // namespace xlstm::train
