// What a configuration means for the model of scaling: counted, measured or estimated.
#pragma once

#include <optional>
#include <string>

#include "tools/bench/scaling.h"
#include "tools/train/config.h"

namespace xlstm::bench {

struct ScalingModel {
  std::string name;
  int64_t batch_size = 0, n_accumulated = 1, length = 0;
  Workload work;
  std::string step_source, activation_source;  // where the numbers come from
};

// What is known better than the defaults.
struct StepGiven {
  std::optional<double> step_ms, update_ms, activation_bytes;
  std::string source = "given";
};

// Times that are not given are those of docs/benchmarks.md (one H100, bf16-mixed) where the model
// is a preset of them, in proportion to the tokens; else its products at the rate of the 1.4B
// model. ConfigError where neither can be meant, or the numbers contradict each other.
ScalingModel scaling_model(const std::string& name, const train::RunConfig& config,
                           const StepGiven& given);

// Numbers that the step keeps for the backward pass, by what the CPU allocator counted for mLSTM
// blocks (scaling_model.cpp).
double activation_numbers(double tokens, double width, double n_blocks, bool checkpointing);

}  // namespace xlstm::bench
