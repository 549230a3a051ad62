// run.json: what is known of a run beside its metrics. The report is made from the two.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/device.h"
#include "core/json.h"
#include "layers/language_model.h"
#include "optim/optimizer.h"
#include "tools/train/config.h"

namespace xlstm::train {

// How far a run is.
struct RunProgress {
  std::string state = "running";  // or finished, stopped, failed
  std::string detail;             // what stopped it or went wrong
  int64_t step = 0, total_steps = 0, tokens_seen = 0;
  double seconds = 0;                     // of training, over all sessions
  std::optional<double> validation_loss;  // the last one
  Json memory = Json::array();            // memory_table
};

// What does not change in a session: name, folder, config, model (with its parameters by group),
// environment.
Json describe_run(const RunConfig& config, const std::string& folder,
                  const layers::LanguageModel& model, Device device);

// [{"what", "bytes"}, ...]: what tensors hold now, the most they ever held, and the most of the
// whole process.
Json memory_table(const layers::LanguageModel& model, const optim::Optimizer& optimizer,
                  Device device);

// The most memory that this process ever had.
int64_t peak_process_bytes();

}  // namespace xlstm::train
