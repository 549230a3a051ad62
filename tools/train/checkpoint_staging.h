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

  // What a place for a tensor of n elements takes.
  static int64_t bytes_of(int64_t n, DType dtype);
  // Takes the memory for places of so many bytes. OutOfMemory.
  void reserve(int64_t bytes);
  // From here on all of it is free again: nothing of the save before may be in use.
  void begin() { taken_ = 0; }
  // A place for a tensor on the CPU; ShapeError if there is none left.
  Tensor place(const Shape& shape, DType dtype);
  bool has(const Tensor& tensor) const;  // it is such a place, or a view of one
  // A place with the elements of `tensor`. On a CUDA device the copy takes its place in the order
  // of work, and this only launches it.
  Tensor copy(const Tensor& tensor);
  // Until wait() has returned, nothing that was launched before end() need be there. May be called
  // by another thread.
  void end();
  void wait() const;

 private:
  Device device_;
  int64_t taken_ = 0;  // bytes
  std::shared_ptr<Storage> memory_;
  std::unique_ptr<cuda::Event> copied_;
};

}  // namespace xlstm::train
