#include "tools/train/signals.h"

#include <unistd.h>

#include <atomic>

namespace xlstm::train {
namespace {

std::atomic<int> stop_signal{0};
std::atomic<bool> save_wanted{false};
static_assert(std::atomic<int>::is_always_lock_free);

// Only atomics and _exit are allowed here.
void on_signal(int number) {
  if (number == SIGUSR2) {
    save_wanted.store(true);
    return;
  }
  if (stop_signal.exchange(number) != 0) _exit(128 + number);
}

}  // namespace

SignalGuard::SignalGuard() {
  stop_signal.store(0);
  save_wanted.store(false);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &action, &previous_[i]);
}

SignalGuard::~SignalGuard() {
  for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &previous_[i], nullptr);
}

StopRequest SignalGuard::poll() {
  const int number = stop_signal.load();
  if (number == SIGINT) return StopRequest::interrupt;
  if (number != 0) return StopRequest::terminate;
  return save_wanted.exchange(false) ? StopRequest::save_and_go_on : StopRequest::none;
}

}  // namespace xlstm::train
