// Times of calls on a device, and what the device can do at most.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/tensor.h"
#include "tools/bench/result.h"

namespace xlstm::cuda {
class Stopwatch;
}

namespace xlstm::bench {

// On CUDA the device's own clock between two events; the L2 cache is overwritten before each call,
// and while it is, the host queues the call, so launches are not what is timed. On the CPU the
// steady clock, with caches as they are.
class Meter {
 public:
  explicit Meter(Device device);
  ~Meter();

  // Milliseconds of one call. `prepare`, which may be empty, runs before it, untimed.
  double once(const std::function<void()>& prepare, const std::function<void()>& call);
  // Warms up with 3 calls or more, then repeats for about `seconds`, at least 3 and at most
  // `max_repeats` times.
  Spread measure(const std::function<void()>& prepare, const std::function<void()>& call,
                 double seconds, int64_t max_repeats = 60);
  Device device() const { return device_; }

 private:
  Device device_;
  std::unique_ptr<cuda::Stopwatch> stopwatch_;
  Tensor flush_;
};

// Copies of a large block, and products of large square matrices.
Ceilings measure_ceilings(Meter& meter, DType dtype);
std::string describe_machine(Device device);

}  // namespace xlstm::bench
