#include "tools/train/checkpoint_staging.h"

#include "core/cuda/graph.h"
#include "core/error.h"

namespace xlstm::train {
namespace {

constexpr int64_t kAlignment = 64;  // bytes; of each tensor in the memory

// Memory of the host behind a Storage, which must not give it to the pool in the end.
std::shared_ptr<Storage> pinned_storage(int64_t bytes) {
  auto memory = std::make_shared<cuda::PinnedMemory>(bytes);
  std::shared_ptr<Storage> storage(new Storage(0, kCpu), [memory](Storage* s) {
    s->data = nullptr;
    delete s;
  });
  storage->data = memory->data();
  storage->bytes = bytes;
  return storage;
}

}  // namespace

CheckpointStaging::CheckpointStaging(Device device) : device_(device) {
  if (device != kCpu) copies_ = std::make_unique<cuda::HostCopies>(device);
}

int64_t CheckpointStaging::bytes_of(int64_t n, DType dtype) {
  return (n * size_of(dtype) + kAlignment - 1) / kAlignment * kAlignment;
}

void CheckpointStaging::reserve(int64_t bytes) {
  if (memory_ != nullptr && memory_->bytes >= bytes) return;
  memory_ = nullptr;  // the old one is of no use beside the new one
  memory_ = device_ == kCpu ? std::make_shared<Storage>(bytes, kCpu) : pinned_storage(bytes);
}

void CheckpointStaging::begin() {
  end();
  wait();
  taken_ = 0;
}

Tensor CheckpointStaging::place(const Shape& shape, DType dtype) {
  const int64_t bytes = bytes_of(element_count(shape), dtype), total = memory_ ? memory_->bytes : 0;
  require<ShapeError>(bytes <= total - taken_, "checkpoint: copies, got ", taken_ + bytes,
                      " bytes, expected the ", total, " that were reserved");
  Tensor place = tensor_in(memory_, taken_, shape, dtype);
  taken_ += bytes;
  return place;
}

void CheckpointStaging::copy(NamedTensors& tensors) {
  if (copies_ != nullptr) copies_->follow();
  for (auto& [name, tensor] : tensors) {
    if (tensor.impl()->storage == memory_) continue;
    Tensor copy = place(tensor.shape(), tensor.dtype());
    if (tensor.device() == kCpu) {
      copy.copy_from(tensor);
    } else {
      require<ShapeError>(tensor.is_contiguous(), "checkpoint: ", name, " is not contiguous");
      copies_->copy(copy.raw(), tensor.raw(), tensor.numel() * size_of(tensor.dtype()));
    }
    tensor = copy;
  }
}

void CheckpointStaging::end() {
  if (copies_ != nullptr) copies_->end();
}

void CheckpointStaging::wait() const {
  if (copies_ != nullptr) copies_->wait();
}

void CheckpointStaging::hold() const {
  if (copies_ != nullptr) copies_->hold();
}

}  // namespace xlstm::train
