// The thread that writes a checkpoint while training goes on.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace xlstm::train {

// One save at a time. Whatever a save throws, Error or not, is kept for the thread that waits for
// it: nothing ends the process from inside.
class CheckpointWriter {
 public:
  CheckpointWriter() = default;
  ~CheckpointWriter();  // waits; a failure that nobody asked for goes to the log
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Calls `write`, which returns the path of the checkpoint, in a thread. No save may be in flight.
  void start(int64_t step, std::function<std::string()> write);
  bool in_flight() const { return thread_.joinable(); }  // started, and wait() not called since
  bool is_done() const;                                  // in flight, and wait() would not wait
  int64_t step() const { return step_; }                 // of the save in flight, or the last one
  // The path that was written; throws what the save has thrown. Empty if none is in flight.
  std::string wait();

 private:
  std::thread thread_;
  mutable std::mutex mutex_;
  bool done_ = false;
  int64_t step_ = 0;
  std::string path_;
  std::exception_ptr error_;
};

}  // namespace xlstm::train
