// Work of a device recorded once and replayed: a replay costs one launch instead of thousands, and
// the host is free meanwhile. And the means to feed it: pinned memory, events.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/allocator.h"

namespace xlstm::cuda {

// A CUDA graph of what a function launches. Every replay runs the same kernels on the same
// addresses, so what the work reads and writes must stay where it is; temporary blocks come from
// the caching pool, which keeps them from the system until the graph is gone.
class Graph {
 public:
  // Who may use the temporary blocks between replays. Shared: anyone, for what is not needed after
  // the next replay. Own: nobody.
  enum class Memory { shared, own };

  // Runs `work` with its launches recorded and not executed. The function must not wait for the
  // device, nor copy between host and device. CudaError if it does.
  Graph(Device device, const std::function<void()>& work, Memory memory = Memory::shared);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch();  // in the device's order of work
  int64_t n_nodes() const { return n_nodes_; }

 private:
  Device device_;
  void* executable_ = nullptr;  // cudaGraphExec_t
  int64_t n_nodes_ = 0;
  std::vector<FreeBlock> own_;
};

// Host memory that the device can reach while the host goes on. OutOfMemory.
class PinnedMemory {
 public:
  explicit PinnedMemory(int64_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Host memory that is there already, pinned while this lives. OutOfMemory, whatever the reason.
class PinnedRange {
 public:
  PinnedRange(void* data, int64_t bytes);
  ~PinnedRange();
  PinnedRange(const PinnedRange&) = delete;
  PinnedRange& operator=(const PinnedRange&) = delete;

 private:
  void* data_;
};

// A point in a device's order of work.
class Event {
 public:
  explicit Event(Device device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record();      // after all work given to the device so far
  void wait() const;  // until that work is done; at once if nothing was recorded

 private:
  Device device_;
  void* event_ = nullptr;  // cudaEvent_t
};

// Copies in the device's order of work, without waiting. The host side must be pinned memory that
// stays untouched until an event recorded afterwards has passed.
void copy_to_device(void* to, const void* pinned, int64_t bytes, Device device);
void copy_to_host(void* pinned, const void* from, int64_t bytes, Device device);

}  // namespace xlstm::cuda
