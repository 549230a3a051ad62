#include "tools/train/checkpoint_staging.h"

namespace xlstm::train {
namespace {

constexpr int64_t kAlignment = 64;  // bytes; of each tensor in the memory

int64_t bytes_of(const Tensor& tensor) {
  return tensor.numel() * size_of(tensor.dtype());
}

int64_t place_after(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

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
  if (device != kCpu) copied_ = std::make_unique<cuda::Event>(device);
}

int64_t CheckpointStaging::bytes_of(const NamedTensors& tensors) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += place_after(train::bytes_of(tensor));
  return bytes;
}

void CheckpointStaging::reserve(const NamedTensors& tensors) {
  const int64_t bytes = bytes_of(tensors);
  if (memory_ != nullptr && memory_->bytes >= bytes) return;
  memory_ = nullptr;  // the old one is of no use beside the new one
  memory_ = device_ == kCpu ? std::make_shared<Storage>(bytes, kCpu) : pinned_storage(bytes);
}

NamedTensors CheckpointStaging::copy(const NamedTensors& tensors) {
  reserve(tensors);
  NamedTensors copies;
  int64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    Tensor copy = tensor_in(memory_, offset, tensor.shape(), tensor.dtype());
    if (tensor.device() == kCpu) {
      copy.copy_from(tensor);
    } else {
      // What a layout has turned is laid out on the device first; its memory is reused in order.
      const Tensor whole = tensor.is_contiguous() ? tensor : tensor.clone();
      cuda::copy_to_host(copy.raw(), whole.raw(), train::bytes_of(whole), device_);
    }
    copies.emplace_back(name, std::move(copy));
    offset += place_after(train::bytes_of(tensor));
  }
  if (copied_ != nullptr) copied_->record();
  return copies;
}

void CheckpointStaging::wait() const {
  if (copied_ != nullptr) copied_->wait();
}

}  // namespace xlstm::train
