// Copies of tensors in host memory, from which a thread writes them while the originals change.
#pragma once

#include <memory>

#include "core/comm/communicator.h"
#include "core/cuda/graph.h"
#include "core/cuda/host_copies.h"
#include "core/tensor.h"
#include "optim/data_parallel.h"

namespace xlstm::train {

// The memory is kept from save to save: as much as the tensors take, pinned for those of a CUDA
// device.
class CheckpointStaging {
 public:
  explicit CheckpointStaging(Device device);

  // What a place for a tensor of n elements takes.
  static int64_t bytes_of(int64_t n, DType dtype);
  // Takes the memory for places of so many bytes, once. OutOfMemory.
  void reserve(int64_t bytes);
  // Instead, by all ranks: memory that all of them see, into which each copies its share. They then
  // make the same saves, of the same tensors. False on all of them if there is none such.
  bool share(int64_t bytes, comm::Communicator& communicator);
  bool is_shared() const { return world_.size > 1; }
  // From here on all of it is free again: nothing of the save before may be in use on any rank.
  // Waits for all work that the device was given.
  void begin();
  // For what is gathered, as work given to the device before begin() has left it.
  optim::HostMemory memory();
  // A place for a tensor on the CPU; ShapeError if there is none left.
  Tensor place(const Shape& shape, DType dtype);
  // Copies of them, which are contiguous, in their stead, but of those that lie in places already.
  // Of tensors on a CUDA device they are only launched, and run beside the work that follows.
  void copy(NamedTensors& tensors);
  // The end of a save: what it has, on all ranks, is there when wait() has returned, which may be
  // called by another thread. CommError if another rank's copies do not come within the limit of a
  // call.
  void end();
  void wait() const;
  void wait_here() const;  // for this rank's own
  // To be called before the device is given work that changes what is copied, and in the recording
  // of a step before its update.
  void hold() const;

 private:
  void take(std::shared_ptr<Storage> memory);
  void copy(Tensor to, const Tensor& from);
  uint64_t& n_copied_by(int rank) const;

  int64_t taken_ = 0;     // bytes
  uint64_t n_begun_ = 0;  // saves
  comm::World world_;     // whose ranks share memory_
  double limit_ = 0;      // seconds; for the others' copies
  std::shared_ptr<Storage> memory_;
  std::unique_ptr<cuda::PinnedRange> pinned_;
  std::unique_ptr<cuda::HostCopies> copies_;  // null for the CPU
};

}  // namespace xlstm::train
