#include "core/cuda/graph.h"

#include <utility>

#include "core/cuda/check.h"
#include "core/cuda/runtime.h"
#include "kernels/common/memset_nodes.h"

namespace xlstm::cuda {
namespace {

cudaStream_t stream_of(Device device) {
  return static_cast<cudaStream_t>(stream(device));
}

// Bytes. Longer ones the memset's own engine may do faster.
constexpr int64_t kSmallMemset = 1024;

thread_local Graph* recorded = nullptr;  // in progress

}  // namespace

Graph::Graph(Device device, const std::function<void()>& work, Memory memory) : device_(device) {
  make_current(device);
  begin_part();
  // From the first launch on: blocks that the work has used and returned are the graph's already.
  hold_cached_memory(device_);
  if (memory == Memory::own) note_blocks(device_);
  Graph* const outer = std::exchange(recorded, this);
  try {
    work();
    recorded = outer;
    if (memory == Memory::own) own_ = take_noted_blocks(device_);
    end_part();
  } catch (...) {
    if (std::exchange(recorded, outer) == this && memory == Memory::own)
      own_ = take_noted_blocks(device_);
    give_up();
    throw;
  }
}

// Relaxed: the pool may still ask the driver for memory, which is no part of the graph.
void Graph::begin_part() const {
  check(cudaStreamBeginCapture(stream_of(device_), cudaStreamCaptureModeRelaxed), "graph capture");
}

void Graph::end_part() {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream_of(device_), &graph),
        "graph capture (did the work wait for the device?)");
  size_t n = 0;
  cudaGraphExec_t executable = nullptr;
  int64_t n_replaced = 0;
  const xlstm_status replaced = xlstm_replace_memsets(graph, kSmallMemset, &n_replaced);
  cudaError_t status = cudaGraphGetNodes(graph, nullptr, &n);
  if (status == cudaSuccess && replaced == XLSTM_OK)
    status = cudaGraphInstantiate(&executable, graph, 0);
  static_cast<void>(cudaGraphDestroy(graph));
  check_status(replaced, "graph capture", device_);
  check(status, "graph instantiation");
  n_nodes_ += static_cast<int64_t>(n);
  parts_.push_back(executable);
}

void Graph::cut(Device device) {
  if (recorded == nullptr || recorded->device_ != device) return;
  recorded->end_part();
  recorded->begin_part();
}

// What was recorded is of no use.
void Graph::give_up() noexcept {
  cudaGraph_t graph = nullptr;
  static_cast<void>(cudaStreamEndCapture(stream_of(device_), &graph));
  if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
  static_cast<void>(cudaGetLastError());
  for (void* part : parts_)
    static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(part)));
  put_back_blocks(own_, device_);
  unhold_cached_memory(device_);
}

Graph::~Graph() {
  // A replay may still be running.
  static_cast<void>(cudaStreamSynchronize(stream_of(device_)));
  for (void* part : parts_)
    static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(part)));
  put_back_blocks(own_, device_);
  unhold_cached_memory(device_);
}

void Graph::launch() {
  const DeviceGuard guard(device_);
  for (void* part : parts_)
    check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(part), stream_of(device_)), "graph launch");
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
