// Copies of tensors in host memory, from which a thread writes them while the originals change.
#pragma once

#include <memory>

#include "core/cuda/host_copies.h"
#include "core/tensor.h"

namespace xlstm::train {

// The memory is kept from save to save: as much as the tensors take, pinned for those of a CUDA
// device.
class CheckpointStaging {
 public:
  explicit CheckpointStaging(Device device);

  // What a place for a tensor of n elements takes.
  static int64_t bytes_of(int64_t n, DType dtype);
  // Takes the memory for places of so many bytes. OutOfMemory.
  void reserve(int64_t bytes);
  // From here on all of it is free again: nothing of the save before may be in use. Waits for what
  // a save that failed had launched.
  void begin();
  // A place for a tensor on the CPU; ShapeError if there is none left.
  Tensor place(const Shape& shape, DType dtype);
  // Copies of them in their stead, but of those that lie in places already. Tensors on a CUDA
  // device are contiguous; their copies are only launched, and run beside the work that follows.
  void copy(NamedTensors& tensors);
  // The end of a save: what it has is there when wait() has returned, which may be called by
  // another thread.
  void end();
  void wait() const;
  // To be called before the device is given work that changes what is copied, and in the recording
  // of a step before its update.
  void hold() const;

 private:
  Device device_;
  int64_t taken_ = 0;  // bytes
  std::shared_ptr<Storage> memory_;
  std::unique_ptr<cuda::HostCopies> copies_;  // null for the CPU
};

}  // namespace xlstm::train
