// How much memory training will take, found by two small batches.
//
// A step asks the allocator for the same blocks in the same order whatever the batch, and each
// request grows evenly with it, some up to a limit that they bring (MemoryOwner::most). So the
// requests of a run with two batch sizes tell those of any other, and playing them back, with the
// allocator's rounding, tells its peak.
#pragma once

#include <cstdint>
#include <iosfwd>

#include "core/memory_owner.h"
#include "tools/train/trainer.h"

namespace xlstm::train {

// In bytes, of the device that the configuration asks for.
struct MemoryPrediction {
  Device device;
  int64_t batch_size = 0;
  int64_t peak_bytes = 0;          // of tensors: memory_stats().peak_bytes of such a run
  BytesByCategory at_peak{};       // what it consists of
  BytesByCategory per_sequence{};  // of at_peak, what one more sequence would add
  int64_t reserved_bytes = 0;  // what the allocator then holds of the system, free blocks included
  int64_t staging_bytes = 0;   // of the host besides: copies for checkpoint.async; 0 without it
  int64_t usable_bytes = 0;    // of the device
  int64_t largest_batch = 0;   // data.batch_size that fits there; 0: none
  bool fits() const { return largest_batch >= batch_size; }
};

// Trains two steps with each of two small batches, without a run folder, on one process; the token
// cache is written as by `fit`. OutOfMemory if even these do not fit, ConfigError, FileError.
MemoryPrediction predict_memory(const RunConfig& config, const TrainerServices& services = {});

void print_prediction(std::ostream& out, const MemoryPrediction& prediction);

}  // namespace xlstm::train
