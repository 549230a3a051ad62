// Copies of tensors in host memory, from which a thread writes them while the originals change.
#pragma once

#include <memory>

#include "core/cuda/graph.h"
#include "core/tensor.h"

namespace xlstm::train {

// The memory is kept from save to save: as much as the tensors take, pinned for those of a CUDA
// device.
class CheckpointStaging {
 public:
  explicit CheckpointStaging(Device device);

  // What copies of `tensors` take.
  static int64_t bytes_of(const NamedTensors& tensors);
  // Takes the memory that copies of `tensors` need, so that the first save does not wait for it.
  // OutOfMemory.
  void reserve(const NamedTensors& tensors);
  // Contiguous copies on the CPU, which are complete when wait() has returned: on a CUDA device
  // they take their place in its order of work, and this only launches them. They share the
  // memory of this object, so those of the call before must not be in use. OutOfMemory.
  NamedTensors copy(const NamedTensors& tensors);
  // May be called by another thread.
  void wait() const;

 private:
  Device device_;
  std::shared_ptr<Storage> memory_;
  std::unique_ptr<cuda::Event> copied_;
};

}  // namespace xlstm::train
