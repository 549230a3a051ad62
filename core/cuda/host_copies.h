// Copies from a device to the host that run beside the device's other work.
#pragma once

#include <cstdint>

#include "core/device.h"

namespace xlstm::cuda {

// On a stream of their own. One thread launches; wait() may be another's.
class HostCopies {
 public:
  explicit HostCopies(Device device);
  ~HostCopies();
  HostCopies(const HostCopies&) = delete;
  HostCopies& operator=(const HostCopies&) = delete;

  // Copies from here on come after all work that the device was given so far.
  void follow();
  // `pinned` and what is read stay untouched until wait(), or for the device's own work until
  // hold().
  void copy(void* pinned, const void* from, int64_t bytes);
  // The end of those to wait for, and of what the device was given besides.
  void end();
  // After all copies so far, `flag` becomes `value` (std::atomic_ref, release): also where other
  // processes see it. It stays until then.
  void tell(uint64_t* flag, uint64_t value);
  // Until all before the last end() is done; at once if there was none.
  void wait() const;
  // Work given to the device from here on comes after all before the last end(). In the recording
  // of a CUDA graph: what follows here comes, in each replay, after all before the last end() then.
  void hold() const;

 private:
  Device device_;
  void* stream_ = nullptr;  // cudaStream_t
  void* before_ = nullptr;  // cudaEvent_t
  void* done_ = nullptr;    // cudaEvent_t
};

}  // namespace xlstm::cuda
