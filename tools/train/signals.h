// Signals that end or interrupt a run. The handler only counts; the trainer looks between steps.
#pragma once

#include <csignal>

namespace xlstm::train {

enum class StopRequest {
  none,
  terminate,      // SIGTERM or SIGUSR1: save, exit 3
  interrupt,      // SIGINT: save, exit 130
  save_and_go_on  // SIGUSR2
};

// Installs handlers for SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 while alive and restores the previous
// ones afterwards. A second SIGINT or SIGTERM ends the process at once with 128 + its number.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  // The pending request; save_and_go_on is cleared by being read.
  StopRequest poll();

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
  struct sigaction previous_[4];
};

}  // namespace xlstm::train
