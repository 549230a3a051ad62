#include "core/cuda/host_copies.h"

#include <atomic>
#include <memory>

#include "core/cuda/check.h"
#include "core/cuda/stream.h"

namespace xlstm::cuda {
namespace {

cudaEvent_t make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return event;
}

}  // namespace

HostCopies::HostCopies(Device device) : device_(device) {
  const DeviceGuard guard(device);
  cudaStream_t own = nullptr;
  check(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking), "cudaStreamCreate");
  stream_ = own;
  before_ = make_event();
  done_ = make_event();
  // A recorded graph shall find it in a known state.
  check(cudaEventRecord(static_cast<cudaEvent_t>(done_), own), "cudaEventRecord");
}

HostCopies::~HostCopies() {
  static_cast<void>(cudaStreamSynchronize(static_cast<cudaStream_t>(stream_)));
  static_cast<void>(cudaStreamDestroy(static_cast<cudaStream_t>(stream_)));
  static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(before_)));
  static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(done_)));
}

void HostCopies::follow() {
  const DeviceGuard guard(device_);
  const auto before = static_cast<cudaEvent_t>(before_);
  check(cudaEventRecord(before, stream_of(device_)), "cudaEventRecord");
  check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream_), before, 0), "cudaStreamWaitEvent");
}

void HostCopies::copy(void* pinned, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  const DeviceGuard guard(device_);
  check(cudaMemcpyAsync(pinned, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                        static_cast<cudaStream_t>(stream_)),
        "copy from the device");
}

void HostCopies::end() {
  follow();
  const DeviceGuard guard(device_);
  check(cudaEventRecord(static_cast<cudaEvent_t>(done_), static_cast<cudaStream_t>(stream_)),
        "cudaEventRecord");
}

void HostCopies::tell(uint64_t* flag, uint64_t value) {
  struct Message {
    uint64_t* flag;
    uint64_t value;
  };
  const DeviceGuard guard(device_);
  auto message = std::make_unique<Message>(flag, value);
  check(cudaLaunchHostFunc(
            static_cast<cudaStream_t>(stream_),
            [](void* data) {
              const std::unique_ptr<Message> sent(static_cast<Message*>(data));
              std::atomic_ref(*sent->flag).store(sent->value, std::memory_order_release);
            },
            message.get()),
        "cudaLaunchHostFunc");
  message.release();  // the function's now
}

void HostCopies::wait() const {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(done_)), "waiting for the device");
}

void HostCopies::hold() const {
  const DeviceGuard guard(device_);
  const cudaStream_t main = stream_of(device_);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(main, &status), "cudaStreamIsCapturing");
  const bool in_graph = status != cudaStreamCaptureStatusNone;
  check(cudaStreamWaitEvent(main, static_cast<cudaEvent_t>(done_),
                            in_graph ? cudaEventWaitExternal : cudaEventWaitDefault),
        "cudaStreamWaitEvent");
}

}  // namespace xlstm::cuda
