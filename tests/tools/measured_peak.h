// The memory that training takes, for tests of predictions.
#pragma once

#include "core/allocator.h"
#include "tools/train/trainer.h"

namespace xlstm::testing {

// The most that tensors on `device` took in some steps, or in a whole fit, above what there was
// before.
inline int64_t measured_peak(const train::RunConfig& config, const train::TrainerServices& services,
                             bool fits, Device device = kCpu) {
  release_cached_memory(device);
  const int64_t before = memory_stats(device).in_use_bytes;
  reset_peak_memory(device);
  train::Trainer trainer(config, services);
  if (fits) {
    trainer.fit();
  } else {
    for (int i = 0; i < 5; ++i) trainer.step();  // on a GPU the third is recorded
  }
  return memory_stats(device).peak_bytes - before;
}

}  // namespace xlstm::testing
