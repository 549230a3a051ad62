// A run as TensorBoard shows it: an event file in the run folder with scalars, sample texts and
// the configuration as hparams.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/file_system.h"
#include "core/json.h"
#include "tools/train/clock.h"

namespace xlstm::train {

class TensorBoardLog {
 public:
  // A new file `events.out.tfevents.<seconds>.<host>.<pid>.<n>` that readers take after those in
  // the folder, whose steps after `last_step` they drop. `config` becomes the hparams.
  TensorBoardLog(std::string folder, int64_t last_step, const Json& config, FileSystem& files,
                 const Clock& clock);
  ~TensorBoardLog();
  TensorBoardLog(const TensorBoardLog&) = delete;
  TensorBoardLog& operator=(const TensorBoardLog&) = delete;

  // A row of metrics.jsonl: numbers become scalars (docs/logging.md has the tags), texts texts. It
  // reaches the file within a few seconds, if more rows follow, or with flush(). What cannot be
  // written is lost and reported once; the next rows go to a new file, for a record that was cut
  // short would hide what follows it.
  void append(const Json& row);
  void flush();
  // The end of the session, for the hparams table; `state` is that of RunProgress. A validation
  // loss that is not finite is left out.
  void finish(int64_t step, double validation_loss, const std::string& state);

 private:
  void add(const std::string& event);
  void open();

  std::string folder_;
  FileSystem& files_;
  const Clock& clock_;
  std::unique_ptr<WriteFile> file_;
  std::string path_;
  std::string beginning_, pending_;  // records: of the session, until one file has them; of rows
  double last_flush_ = 0;
  int64_t last_sample_step_ = -1, n_samples_ = 0;  // of one validation
  bool warned_ = false;
};

}  // namespace xlstm::train
