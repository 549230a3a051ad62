#include "core/cuda/graph.h"

#include "core/cuda/check.h"
#include "core/cuda/stream.h"
#include "kernels/common/memset_nodes.h"

namespace xlstm::cuda {
namespace {

// Bytes. Longer ones the memset's own engine may do faster.
constexpr int64_t kSmallMemset = 1024;

}  // namespace

Graph::Graph(Device device, const std::function<void()>& work, Memory memory) : device_(device) {
  make_current(device);
  const cudaStream_t s = stream_of(device);
  // Relaxed: the pool may still ask the driver for memory, which is no part of the graph.
  check(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed), "graph capture");
  cudaGraph_t graph = nullptr;
  // From the first launch on: blocks that the work has used and returned are the graph's already.
  hold_cached_memory(device_);
  if (memory == Memory::own) note_blocks(device_);
  const auto let_go = [&] {
    put_back_blocks(own_, device_);
    unhold_cached_memory(device_);
  };
  try {
    work();
    if (memory == Memory::own) own_ = take_noted_blocks(device_);
  } catch (...) {
    if (memory == Memory::own) own_ = take_noted_blocks(device_);
    let_go();
    static_cast<void>(cudaStreamEndCapture(s, &graph));
    if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
    static_cast<void>(cudaGetLastError());
    throw;
  }
  const cudaError_t captured = cudaStreamEndCapture(s, &graph);
  size_t n = 0;
  cudaGraphExec_t executable = nullptr;
  int64_t n_replaced = 0;
  cudaError_t status = captured;
  if (status == cudaSuccess && xlstm_replace_memsets(graph, kSmallMemset, &n_replaced) != XLSTM_OK)
    status = cudaErrorUnknown;
  if (status == cudaSuccess) status = cudaGraphGetNodes(graph, nullptr, &n);
  if (status == cudaSuccess) status = cudaGraphInstantiate(&executable, graph, 0);
  if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
  if (status != cudaSuccess) let_go();
  check(captured, "graph capture (did the work wait for the device?)");
  check(status, "graph instantiation");
  n_nodes_ = static_cast<int64_t>(n);
  executable_ = executable;
}

Graph::~Graph() {
  // A replay may still be running.
  static_cast<void>(cudaStreamSynchronize(stream_of(device_)));
  static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_)));
  put_back_blocks(own_, device_);
  unhold_cached_memory(device_);
}

void Graph::launch() {
  const DeviceGuard guard(device_);
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_), stream_of(device_)),
        "graph launch");
  check_status(settled(XLSTM_OK, device_), "graph launch", device_);
}

PinnedMemory::PinnedMemory(int64_t bytes) : bytes_(bytes) {
  const cudaError_t status =
      cudaHostAlloc(&data_, static_cast<size_t>(bytes > 0 ? bytes : 1), cudaHostAllocPortable);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw_error<OutOfMemory>("out of memory on the host: tried ", bytes, " bytes of pinned memory");
  }
  check(status, "cudaHostAlloc");
}

PinnedMemory::~PinnedMemory() {
  static_cast<void>(cudaFreeHost(data_));
}

PinnedRange::PinnedRange(void* data, int64_t bytes) : data_(data) {
  const cudaError_t status =
      cudaHostRegister(data, static_cast<size_t>(bytes), cudaHostRegisterPortable);
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw_error<OutOfMemory>("out of memory on the host: ", bytes, " bytes cannot be pinned",
                           text_of(status));
}

PinnedRange::~PinnedRange() {
  static_cast<void>(cudaHostUnregister(data_));
}

Event::Event(Device device) : device_(device) {
  const DeviceGuard guard(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  event_ = event;
}

Event::~Event() {
  static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(event_)));
}

void Event::record() {
  const DeviceGuard guard(device_);
  check(cudaEventRecord(static_cast<cudaEvent_t>(event_), stream_of(device_)), "cudaEventRecord");
}

void Event::wait() const {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(event_)), "waiting for the device");
}

void copy_to_device(void* to, const void* pinned, int64_t bytes, Device device) {
  if (bytes == 0) return;
  const DeviceGuard guard(device);
  check(cudaMemcpyAsync(to, pinned, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                        stream_of(device)),
        "copy to the device");
}

void copy_to_host(void* pinned, const void* from, int64_t bytes, Device device) {
  if (bytes == 0) return;
  const DeviceGuard guard(device);
  check(cudaMemcpyAsync(pinned, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                        stream_of(device)),
        "copy from the device");
}

}  // namespace xlstm::cuda
