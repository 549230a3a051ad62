// The recurrent states that training carries from step to step (data.stateful): truncated
// back-propagation through time. They lie in memory of their own that stays where it is, so that a
// CUDA graph reads and writes them, and whether a sequence begins anew is decided where they are.
#pragma once

#include <vector>

#include "layers/language_model.h"

namespace xlstm::train {

class CarriedState {
 public:
  // Of n_micro micro-batches of `batch` lanes each, in memory of the model's device. All lanes
  // begin at the model's start.
  CarriedState(const layers::LanguageModel& model, int64_t n_micro, int64_t batch);

  // The state before the next tokens of a micro-batch, outside the tape: that which keep() was
  // given, but the start for lanes that are fresh (uint8 [batch] on the device; not 0) and for
  // lanes whose state was not finite. Its memory is the carried one: to be read until keep() is
  // called.
  layers::ModelState begin(int64_t micro, const Tensor& fresh);
  // The state after those tokens, once nothing reads the one before: after the backward pass.
  void keep(int64_t micro, const layers::ModelState& after);
  // After all of a step, its update too.
  void end_step() { in_step_ = false; }
  // After a step that failed: if it had begun, all lanes begin at the start next time, for some may
  // have been kept and others not.
  void forget_half_step();

  // "blocks.3.cell.C" [lanes, ...] and so on, on the CPU, the lanes of all micro-batches in order.
  // Lanes that would not be carried on have the start.
  NamedTensors named_tensors() const;
  // FormatError, naming `source`, for tensors that are not these.
  void load(const NamedTensors& tensors, const std::string& source);

 private:
  struct Micro {
    layers::ModelState state;
    Tensor usable;  // uint8 [batch]: 0 where the state cannot be carried on
  };
  Micro& at(int64_t micro) { return micros_[static_cast<size_t>(micro)]; }

  std::vector<double> starts_;  // of each tensor of a state: all of its elements begin so
  std::vector<Micro> micros_;
  bool in_step_ = false;
};

}  // namespace xlstm::train
