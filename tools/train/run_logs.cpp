#include "tools/train/run_logs.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/log.h"
#include "tools/train/build_info.h"
#include "tools/train/run_report.h"

namespace xlstm::train {
namespace {

bool asks_for(const std::vector<std::string>& loggers, const char* name) {
  return std::find(loggers.begin(), loggers.end(), name) != loggers.end();
}

// The sessions that run.json tells of.
Json::Array former_sessions(const std::string& path, const FileSystem& files) {
  if (!files.exists(path)) return {};
  const Json record = parse_json(files.read_file(path), path);
  const Json* sessions = record.find("sessions");
  Json::Array found;
  if (sessions != nullptr && sessions->is_array()) found = sessions->as_array();
  for (Json& session : found) {
    const Json* state = session.find("state");
    if (state != nullptr && *state == Json("running")) session.set("state", "ended without a word");
  }
  return found;
}

}  // namespace

template <class F>
bool RunLogs::attempt(const char* what, F&& work) {
  std::string why;
  try {
    work();
    return true;
  } catch (const FileError& error) {
    why = error.what();
  } catch (const FormatError& error) {
    why = error.what();
  }
  if (std::find(warned_.begin(), warned_.end(), what) == warned_.end()) {
    warned_.emplace_back(what);
    log_warning(what, ": not up to date, training goes on: ", why);
  }
  return false;
}

RunLogs::RunLogs(std::string folder, int64_t last_step, const std::vector<std::string>& loggers,
                 Json description, FileSystem& files, const Clock& clock)
    : folder_(std::move(folder)),
      files_(files),
      clock_(clock),
      description_(std::move(description)),
      report_written_(clock.seconds()) {
  if (!attempt("metrics.jsonl",
               [&] { metrics_.emplace(path("metrics.jsonl"), last_step, files_); }))
    metrics_.emplace(MetricsLog::open_as_it_is(path("metrics.jsonl")));
  if (asks_for(loggers, "csv"))
    attempt("metrics.csv",
            [&] { csv_ = std::make_unique<CsvLog>(path("metrics.csv"), rows_so_far(), files_); });
  if (asks_for(loggers, "tensorboard")) {
    const Json* config = description_.find("config");
    attempt("TensorBoard log", [&] {
      tensorboard_ = std::make_unique<TensorBoardLog>(
          folder_, last_step, config != nullptr ? *config : Json::object(), files_, clock_);
    });
  }
  attempt("run.json", [&] { sessions_ = former_sessions(path("run.json"), files_); });
  Json session = Json::object();
  session.set("started", utc_now());
  session.set("from_step", last_step);
  sessions_.push_back(std::move(session));
}

std::vector<Json> RunLogs::rows_so_far() const {
  return MetricsLog::read(path("metrics.jsonl"), files_);
}

void RunLogs::append(Json row) {
  for (auto& [key, value] : row.as_object())
    if (value.is_number() && !std::isfinite(value.as_double())) value = Json();
  metrics_->append(row);
  if (csv_ != nullptr)
    attempt("metrics.csv", [&] { csv_->append(row, [&] { return rows_so_far(); }); });
  if (tensorboard_ != nullptr) attempt("TensorBoard log", [&] { tensorboard_->append(row); });
}

void RunLogs::update(const RunProgress& progress) {
  if (tensorboard_ != nullptr) tensorboard_->flush();
  write_record(progress);
  if (clock_.seconds() - report_written_ >= 20 * report_seconds_) write_report();
}

bool RunLogs::finish(const RunProgress& progress) {
  if (tensorboard_ != nullptr)
    tensorboard_->finish(progress.step, progress.validation_loss.value_or(NAN), progress.state);
  write_record(progress);
  return write_report();
}

void RunLogs::write_record(const RunProgress& progress) {
  Json& session = sessions_.back();
  session.set("to_step", progress.step);
  session.set("state", progress.state);
  Json record = Json::object();
  record.set("format", 1);
  record.set("state", progress.state);
  record.set("detail", progress.detail);
  record.set("step", progress.step);
  record.set("total_steps", progress.total_steps);
  record.set("tokens_seen", progress.tokens_seen);
  record.set("seconds", progress.seconds);
  record.set("updated", utc_now());
  record.set("memory", progress.memory);
  for (const auto& [key, value] : description_.as_object()) record.set(key, value);
  record.set("sessions", Json(sessions_));
  attempt("run.json", [&] { files_.write_file(path("run.json"), to_text(record, 2) + "\n"); });
}

bool RunLogs::write_report() {
  const double start = clock_.seconds();
  const bool written = attempt("report.html", [&] { write_run_report(folder_, files_); });
  report_written_ = clock_.seconds();
  report_seconds_ = report_written_ - start;
  return written;
}

}  // namespace xlstm::train
