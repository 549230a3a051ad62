// One update as optim/update.h makes it (norm, finite check, clipping, optimizer), decided on the
// device: the host waits for nothing, so that a training step can be captured in a CUDA graph and
// learns one step late how it went. With loss scaling for float16 (Micikevicius and others 2018).
#pragma once

#include <cstdint>

#include "kernels/adamw/adamw.h"
#include "optim/data_parallel.h"
#include "optim/optimizer.h"

namespace xlstm::optim {

struct LossScaleConfig {
  bool dynamic = false;  // false: the loss is not scaled
  double initial = 65536, growth = 2, backoff = 0.5, largest = 16777216;
  int64_t growth_interval = 2000;  // updates in a row without a skip
};

struct DeviceUpdateConfig {
  double max_norm = 1;        // of the averaged gradient; 0: no limit
  int64_t n_accumulated = 1;  // batches of the update, those of all ranks
  LossScaleConfig loss_scale;
  void validate() const;  // ConfigError
};

// Works with parameters on the CPU too, where the "device" is the host: for tests.
class DeviceUpdate {
 public:
  using Rates = xlstm_update_rates;    // what the host gives before each step
  using Outcome = xlstm_update_state;  // what it may read afterwards

  // The optimizer must outlive this, and its gradients must stay where they are. With `parallel`
  // every rank decides on the sums of all: launch() then follows parallel->finish().
  DeviceUpdate(Optimizer& optimizer, const DeviceUpdateConfig& config,
               DataParallel* parallel = nullptr);

  // Launches one update; `loss` is the sum over the accumulated batches of their mean losses,
  // float32 with one element. Reads rates(), changes state(). votes: one float64 whose sum over the
  // ranks the outcome has; undefined: 0.
  void launch(const Tensor& loss, const Tensor& votes = {});

  // A float32 scalar: what the gradient of each batch's loss is multiplied by.
  Tensor loss_scale() const;
  // The memory of Rates and Outcome on the device, uint8.
  const Tensor& rates() const { return rates_; }
  const Tensor& state() const { return state_; }

  // Counters of a run that goes on, and the loss scale (0: the configuration's). Waits.
  void restore(int64_t step_count, int64_t n_skipped, int64_t n_in_a_row, int64_t n_good = 0,
               double loss_scale = 0);
  Outcome read() const;  // waits for the device

 private:
  Tensors own_gradients() const;

  Optimizer& optimizer_;
  DeviceUpdateConfig config_;
  bool adds_parts() const;
  void take_squares();
  DataParallel* parallel_;
  Tensor rates_, state_;
  Tensor control_;  // float64: a sum of squares for each piece of gradients, the loss, the votes
};

}  // namespace xlstm::optim
