// Where runs live: <default_root_dir>/<name>/version_N/ with config.yaml, tokenizer.json, the logs
// (metrics.jsonl, metrics.csv, events.out.tfevents.*, run.json, report.html, loss.svg) and
// checkpoints/step-NNNNNNNNN/.
#pragma once

#include <string>
#include <vector>

#include "core/file_system.h"

namespace xlstm::train {

// Creates and returns the folder of a new run: version_N with N one above the largest there.
std::string make_run_folder(const std::string& root, const std::string& name, FileSystem& files);

// The checkpoint that `ckpt_path` means: "last" is the newest verified one of the newest run that
// has one, "best" the one with the best monitored value (training_state.h) of the newest run that
// has such a one; otherwise a checkpoint folder, or a run folder or its checkpoints folder (the
// newest verified one there). FileError says where it looked.
std::string resolve_checkpoint(const std::string& ckpt_path, const std::string& root,
                               const std::string& name, const FileSystem& files);

// The checkpoints of a run whose monitored value is known, the best first; equals: the newer first.
// Those that cannot be read are left out.
std::vector<std::string> ranked_checkpoints(const std::string& folder, const FileSystem& files);

// The run folder that a checkpoint folder belongs to.
std::string run_folder_of(const std::string& checkpoint);

}  // namespace xlstm::train
