#include "tools/train/checkpoint_staging.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "core/comm/shared_storage.h"
#include "core/error.h"
#include "core/log.h"

namespace xlstm::train {
namespace {

constexpr int64_t kAlignment = 64;  // bytes; of each tensor in the memory

}  // namespace

CheckpointStaging::CheckpointStaging(Device device) {
  if (device != kCpu) copies_ = std::make_unique<cuda::HostCopies>(device);
}

int64_t CheckpointStaging::bytes_of(int64_t n, DType dtype) {
  return (n * size_of(dtype) + kAlignment - 1) / kAlignment * kAlignment;
}

void CheckpointStaging::take(std::shared_ptr<Storage> memory) {
  if (copies_ != nullptr)
    pinned_ = std::make_unique<cuda::PinnedRange>(memory->data, memory->bytes);
  memory_ = std::move(memory);
}

void CheckpointStaging::reserve(int64_t bytes) {
  take(std::make_shared<Storage>(bytes, kCpu));
}

// In front of the places lies a number for each rank: of the last save whose copies it has made.
bool CheckpointStaging::share(int64_t bytes, comm::Communicator& communicator) {
  std::shared_ptr<Storage> memory =
      comm::make_shared_storage(communicator, bytes + kAlignment * communicator.size());
  if (memory == nullptr) return false;
  bool fails = false;
  try {
    take(std::move(memory));
  } catch (const OutOfMemory& error) {
    log_warning("checkpoint.async: ranks share no memory: ", error.what());
    fails = true;
  }
  if (comm::sum(communicator, fails ? 1 : 0, "whether memory is pinned") > 0) {
    pinned_ = nullptr;
    memory_ = nullptr;
    return false;
  }
  world_ = communicator.world();
  limit_ = communicator.watch().limits().call;
  return true;
}

uint64_t& CheckpointStaging::n_copied_by(int rank) const {
  return *reinterpret_cast<uint64_t*>(static_cast<char*>(memory_->data) + kAlignment * rank);
}

void CheckpointStaging::begin() {
  if (copies_ != nullptr) {
    copies_->end();
    wait_here();
  }
  ++n_begun_;
  taken_ = is_shared() ? kAlignment * world_.size : 0;
}

optim::HostMemory CheckpointStaging::memory() {
  optim::HostMemory memory;
  memory.place = [this](const Shape& shape, DType dtype) { return place(shape, dtype); };
  if (is_shared()) memory.copy = [this](const Tensor& to, const Tensor& from) { copy(to, from); };
  return memory;
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
    require<ShapeError>(tensor.is_contiguous(), "checkpoint: ", name, " is not contiguous");
    const Tensor to = place(tensor.shape(), tensor.dtype());
    const int64_t n = tensor.numel();
    const auto cut = [&](int rank) {
      return rank == world_.size ? n : n / world_.size * rank / kAlignment * kAlignment;
    };
    const int64_t begin = cut(world_.rank), length = cut(world_.rank + 1) - begin;
    if (length > 0)
      copy(to.strided_view({length}, {1}, begin), tensor.strided_view({length}, {1}, begin));
    tensor = to;
  }
}

void CheckpointStaging::copy(Tensor to, const Tensor& from) {
  if (from.device() == kCpu) return static_cast<void>(to.copy_from(from));
  copies_->copy(to.raw(), from.raw(), from.numel() * size_of(from.dtype()));
}

void CheckpointStaging::end() {
  if (copies_ != nullptr) copies_->end();
  if (!is_shared()) return;
  uint64_t& n_copied = n_copied_by(world_.rank);
  if (copies_ != nullptr)
    copies_->tell(&n_copied, n_begun_);
  else
    std::atomic_ref(n_copied).store(n_begun_, std::memory_order_release);
}

void CheckpointStaging::wait_here() const {
  if (copies_ != nullptr) copies_->wait();
}

void CheckpointStaging::wait() const {
  wait_here();
  if (!is_shared()) return;
  // In looks, not by the clock: it goes on while a whole job is suspended.
  constexpr auto kPause = std::chrono::milliseconds(1);
  auto left = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(limit_));
  for (int rank = 0; rank < world_.size; ++rank)
    for (; std::atomic_ref(n_copied_by(rank)).load(std::memory_order_acquire) < n_begun_;
         left -= kPause) {
      require<CommError>(left.count() > 0, "checkpoint: copies of rank ", rank,
                         ", got none within ", limit_,
                         " s, expected them before the next step ends");
      std::this_thread::sleep_for(kPause);
    }
}

void CheckpointStaging::hold() const {
  if (copies_ != nullptr) copies_->hold();
}

}  // namespace xlstm::train
