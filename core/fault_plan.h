// Faults that a user or a test asks for, to see what becomes of a run: XLSTM_FAULT, documented in
// docs/errors.md. Nothing here does anything unless the variable is set.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/fault.h"

namespace xlstm {

enum class FaultKind { kill, stop, exit, throws, slow, nan, skip_call, other_size, file };

struct PlannedFault {
  FaultKind kind = FaultKind::kill;
  int64_t rank = -1;              // -1: every rank
  int64_t step = -1, call = -1;   // from 1; the one that is set says when
  double seconds = 1;             // of slow
  int64_t code = 1;               // of exit
  bool in_loss = false;           // nan: in the loss, else in a gradient,
  int64_t element = 0;            // at this place of all gradients in a row
  Fault error = Fault::no_space;  // of file
  bool operator==(const PlannedFault&) const = default;
};

// "kill@rank=1,step=7; nan@step=3,of=loss". ConfigError that says what is expected.
std::vector<PlannedFault> parse_faults(std::string_view text);

// The faults of one process. Its methods are called where a fault may strike.
class FaultPlan {
 public:
  FaultPlan(const std::vector<PlannedFault>& faults, int64_t rank);
  // Of XLSTM_FAULT and the rank that the launcher says; null if the variable is not set.
  static FaultPlan* of_environment();

  void before_step(int64_t step) const;
  // A collective call; calls are counted from 1.
  enum class CallFault { none, skip, other_size };
  CallFault before_call();
  std::vector<PlannedFault> nans() const;  // all of the plan, in its order
  // ConfigError if a planned `element` is none of so many elements of gradients.
  static void require_element(int64_t element, int64_t n_elements);
  bool loss_is_nan(int64_t step) const;
  std::vector<int64_t> nan_gradients(int64_t step) const;  // their places
  // `inner`, or a file system in which a call fails.
  FileSystem& files(FileSystem& inner);

 private:
  std::vector<PlannedFault> faults_;  // of this rank
  int64_t n_calls_ = 0;
  std::unique_ptr<FaultyFileSystem> files_;
};

}  // namespace xlstm
