#include "tools/train/tensorboard_log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "core/log.h"
#include "tools/train/event_encoding.h"

namespace xlstm::train {
namespace {

constexpr double kFlushSeconds = 5;
constexpr std::string_view kPrefix = "events.out.tfevents.";

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
  std::string host = name;
  std::replace(host.begin(), host.end(), '/', '_');
  return host;
}

// Readers go through the files of a folder in the order of their names. So the seconds in the name
// are those of now, or one more than the latest that is there.
std::string new_file_name(const std::string& folder, const FileSystem& files) {
  static std::atomic<int> count = 0;
  auto seconds = static_cast<int64_t>(wall_time());
  for (const std::string& name : files.list(folder)) {
    if (!name.starts_with(kPrefix)) continue;
    int64_t then = 0;
    const auto parsed =
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), then);
    // A name that is no time of this century is not ours to go by.
    if (parsed.ec == std::errc() && then < 9'999'999'999) seconds = std::max(seconds, then + 1);
  }
  return detail::concat(kPrefix, seconds, '.', host_name(), '.', ::getpid(), '.', count++);
}

const std::string& text_of(const Json& row, std::string_view key) {
  static const std::string kNone;
  const Json* value = row.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : kNone;
}

}  // namespace

TensorBoardLog::TensorBoardLog(std::string folder, int64_t last_step, const Json& config,
                               FileSystem& files, const Clock& clock)
    : folder_(std::move(folder)), files_(files), clock_(clock), last_flush_(clock.seconds()) {
  const double now = wall_time();
  const Json hparams = flatten(config);
  for (const std::string& event :
       {session_start_event({now, last_step + 1}),
        hparams_columns_event(now, hparams, {"hp_metric", "val_loss", "train_loss"}),
        hparams_start_event(now, hparams, is_utf8(folder_) ? folder_ : "")})
    beginning_ += frame_record(event);
  flush();
}

TensorBoardLog::~TensorBoardLog() {
  try {
    flush();
  } catch (...) {
    // Whatever it is, a log is no reason to end the process.
  }
}

void TensorBoardLog::append(const Json& row) {
  const Json* step = row.find("step");
  if (step == nullptr || !step->is_integer()) return;
  const EventTime time{wall_time(), step->as_int()};
  const std::string& split = text_of(row, "split");
  if (split == "sample") {
    n_samples_ = time.step == last_sample_step_ ? n_samples_ + 1 : 0;
    last_sample_step_ = time.step;
    add(text_event(time, "sample_" + std::to_string(n_samples_), text_of(row, "text")));
  } else if (split == "skipped") {
    add(text_event(time, "skipped_step", text_of(row, "reason")));
  } else {
    std::vector<std::pair<std::string, double>> scalars;
    for (const auto& [key, value] : row.as_object()) {
      if (key == "step" || !value.is_number()) continue;
      std::string tag = key;
      if (split == "valid" && key != "epoch") tag = "val_" + key;
      if (split == "train" && key == "loss") tag = "train_loss";
      if (split == "spike") tag = "spike_" + key;
      // One curve for the epoch: that of the training rows.
      if (split != "train" && key == "epoch") continue;
      scalars.emplace_back(std::move(tag), value.as_double());
    }
    if (!scalars.empty()) add(scalar_event(time, scalars));
  }
  if (clock_.seconds() - last_flush_ >= kFlushSeconds) flush();
}

void TensorBoardLog::finish(int64_t step, double validation_loss, const std::string& state) {
  const double now = wall_time();
  if (std::isfinite(validation_loss))
    add(scalar_event({now, step}, {{"hp_metric", validation_loss}}));
  // A run that was stopped is one to be continued: it has no end yet.
  if (state != "stopped") add(hparams_end_event(now, state == "finished"));
  flush();
}

void TensorBoardLog::add(const std::string& event) {
  pending_ += frame_record(event);
}

void TensorBoardLog::open() {
  if (file_ != nullptr) return;
  path_ = join_path(folder_, new_file_name(folder_, files_));
  file_ = files_.create(path_);
  const std::string start = frame_record(version_event(wall_time())) + beginning_;
  try {
    file_->write(std::as_bytes(std::span(start)));
  } catch (const FileError&) {
    // Nothing worth keeping is in it, and on a full disk there would soon be many.
    file_.reset();
    try {
      files_.remove_file(path_);
    } catch (const FileError&) {
      // Then it stays; readers go on with the next.
    }
    throw;
  }
  beginning_.clear();
}

void TensorBoardLog::flush() {
  last_flush_ = clock_.seconds();
  if (beginning_.empty() && pending_.empty()) return;
  try {
    open();
    file_->write(std::as_bytes(std::span(pending_)));
  } catch (const FileError& error) {
    file_.reset();
    if (!warned_) log_warning("TensorBoard log: rows are lost, training goes on: ", error.what());
    warned_ = true;
  }
  pending_.clear();
}

}  // namespace xlstm::train
