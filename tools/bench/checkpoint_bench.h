// How long training stands still for a checkpoint, by itself and with a thread that writes it.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/result.h"
#include "tools/train/config.h"

namespace xlstm::bench {

// Rows, each in milliseconds: `step`, an optimizer step; `save`, what Trainer::save takes; `call`,
// what Trainer::async_save does (on a GPU it only launches copies); `stall`, by how much a step is
// longer with Trainer::async_save before it; `write`, by how much that one and all further steps
// until the checkpoint is there are. The checkpoints are verified and removed. They lie below
// trainer.default_root_dir: that disk is measured. Of several processes all call it, and the first
// has the rows.
std::vector<Row> bench_checkpoint(const std::string& name, const train::RunConfig& config,
                                  int64_t saves);

// "A save stalls training for 0.6 steps with checkpoint.async, ..."
std::string stall_text(const std::vector<Row>& rows);

}  // namespace xlstm::bench
