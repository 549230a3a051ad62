// What a checkpoint holds besides weights and moments, and how it is written and read.
#pragma once

#include <cstdint>
#include <string>

#include "core/json.h"
#include "core/random.h"
#include "tools/train/monitor.h"

namespace xlstm::train {

// Everything that the next step depends on, apart from weights and optimizer state.
struct TrainingState {
  int64_t step = 0;       // batches consumed, in optimizer steps
  int64_t n_skipped = 0;  // of these, skipped because the gradient was not finite
  int64_t skipped_in_a_row = 0;
  int64_t tokens_seen = 0;
  double loss_scale = 0;  // of 16-mixed; 0: its start
  int64_t n_good = 0;     // updates since it changed
  double seconds = 0;     // of training, over all processes
  Generator generator;    // dropout
  uint64_t data_fingerprint = 0;
  double best_validation_loss = 0;
  int64_t best_step = -1;                           // -1: never validated
  Patience patience;                                // of early stopping
  std::vector<double> recent_losses, recent_norms;  // windows of the spike detectors
  bool operator==(const TrainingState&) const = default;
};

Json to_json(const TrainingState& state);
// How good a checkpoint is, kept beside the state: the value that was monitored and which values
// are good.
struct CheckpointRank {
  double value = std::nan("");  // not known at its step
  std::string mode = "min";
};
void add_rank(Json& json, const std::string& monitor, const CheckpointRank& rank);
CheckpointRank rank_from_json(const Json& json);  // of checkpoints without one: not known

// FormatError names `source` and the field.
TrainingState training_state_from_json(const Json& json, const std::string& source);

}  // namespace xlstm::train
