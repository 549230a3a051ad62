// Time, so that tests can bring their own.
#pragma once

#include <chrono>

namespace xlstm::train {

class Clock {
 public:
  virtual ~Clock() = default;
  // Seconds since some fixed moment; never goes back.
  virtual double seconds() const = 0;
};

class SteadyClock : public Clock {
 public:
  double seconds() const override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace xlstm::train
