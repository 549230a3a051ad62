#include "tools/train/checkpoint_writer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "core/error.h"
#include "core/log.h"

namespace xlstm::train {
namespace {

// Threads that train on a CPU wait for each other many times a step, so one that shares its
// processor with the writer holds all of them up. The writer takes what they leave; it has all of
// it when somebody waits for the save.
void yield_to_training() {
  static_cast<void>(setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19));
}

}  // namespace

void CheckpointWriter::start(int64_t step, std::function<std::string()> write) {
  require<ConfigError>(!in_flight(), "checkpoint: the save of step ", step_,
                       " is in flight, expected none (wait for it first)");
  step_ = step;
  done_ = false;
  path_.clear();
  error_ = nullptr;
  thread_ = std::thread([this, write = std::move(write)]() mutable {
    yield_to_training();
    std::string path;
    std::exception_ptr error;
    try {
      path = write();
      write = nullptr;  // what it holds is freed here, not by whoever starts the next save
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    path_ = std::move(path);
    error_ = error;
    done_ = true;
  });
}

bool CheckpointWriter::is_done() const {
  const std::lock_guard lock(mutex_);
  return in_flight() && done_;
}

std::string CheckpointWriter::wait() {
  if (!in_flight()) return "";
  thread_.join();
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
  return path_;
}

CheckpointWriter::~CheckpointWriter() {
  try {
    wait();
  } catch (const std::exception& error) {
    log_warning("checkpoint of step ", step_, " not written: ", error.what());
  } catch (...) {
    log_warning("checkpoint of step ", step_, " not written");
  }
}

}  // namespace xlstm::train
