// Everything that a run writes for people to look at, behind one object: metrics.jsonl always, what
// `trainer.logger` asks for, run.json and report.html. Nothing here ends a run: what cannot be
// written is reported once through the log and is lost.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/train/csv_log.h"
#include "tools/train/metrics_log.h"
#include "tools/train/run_record.h"
#include "tools/train/tensorboard_log.h"

namespace xlstm::train {

class RunLogs {
 public:
  // Begins a session in the folder, after `last_step`: what it holds of later steps is dropped.
  // `loggers` are names of `trainer.logger`, `description` is that of describe_run.
  RunLogs(std::string folder, int64_t last_step, const std::vector<std::string>& loggers,
          Json description, FileSystem& files, const Clock& clock);

  // A row of metrics.jsonl. A number that is not finite stands as null.
  void append(Json row);
  // Brings everything up to date, as at a checkpoint. A report that takes long is left out when the
  // last one is young, so that reports never take more than a twentieth of the time.
  void update(const RunProgress& progress);
  // The same at the end of the session, in any case. Whether there is a report.
  bool finish(const RunProgress& progress);

 private:
  // Calls `work`; an error that a disk or a file can cause becomes a warning, once for `what`.
  template <class F>
  bool attempt(const char* what, F&& work);
  std::string path(const char* name) const { return join_path(folder_, name); }
  std::vector<Json> rows_so_far() const;
  void write_record(const RunProgress& progress);
  bool write_report();

  std::string folder_;
  FileSystem& files_;
  const Clock& clock_;
  Json description_;
  Json::Array sessions_;  // the last one is this
  std::optional<MetricsLog> metrics_;
  std::unique_ptr<TensorBoardLog> tensorboard_;
  std::unique_ptr<CsvLog> csv_;
  std::vector<std::string> warned_;
  double report_written_ = 0, report_seconds_ = 0;
};

}  // namespace xlstm::train
