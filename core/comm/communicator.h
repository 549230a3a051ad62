// Sums and copies across the processes of a job. Every rank makes the same calls in the same order
// with the same sizes. CUDA tensors go through NCCL, CPU tensors through MPI; a world of one needs
// neither.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/comm/collective_watch.h"
#include "core/comm/world.h"
#include "core/tensor.h"

namespace xlstm::comm {

// On a CUDA device a call only starts: it follows the work that the device was given before, runs
// beside what comes after, and its result may be used by work that is given after join(). So calls
// can stand inside the recording of a CUDA graph. On the CPU a call is done when it returns.
//
// Sums are taken in an order that depends on the number of ranks alone: every run with as many
// ranks has the same bits, and all ranks have the same. Tensors are contiguous, of float32,
// float64, bfloat16, float16 or int64, and on device(); else ShapeError or DeviceError. CommError
// if another rank is lost or makes another call; a rank that waits too long ends its process
// (collective_watch.h).
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  const World& world() const { return world_; }
  int rank() const { return world_.rank; }
  int size() const { return world_.size; }
  Device device() const { return device_; }

  // x becomes the sum of all ranks' x.
  void all_reduce(const Tensor& x, const char* name);
  // x has size() equal parts. Part rank() becomes the sum of all ranks' part rank(); the others are
  // left in any state.
  void reduce_scatter(const Tensor& x, const char* name);
  // x has size() equal parts. Part r becomes what rank r has there. is_noted: whether autograd is
  // told that x was written; if not, nothing may have read these elements for a gradient.
  void all_gather(const Tensor& x, const char* name, bool is_noted = true);
  // x becomes what it is on rank 0.
  void broadcast(const Tensor& x, const char* name);
  // Both have size() equal parts, and share no memory. Part r of `to` becomes part rank() of what
  // rank r has in `from`.
  void all_to_all(const Tensor& from, const Tensor& to, const char* name);

  // Whether copies between ranks (all_gather, all_to_all) of memory from zeros() are made by the
  // devices' copy engines, which take no multiprocessor from the work beside them.
  virtual bool has_copy_engines() const { return false; }
  // [n] of zeros, which calls move fastest. A call of its own: every rank makes it, in the same
  // order. The memory is freed after close() at the earliest.
  virtual Tensor zeros(int64_t n, DType dtype) { return Tensor::zeros({n}, dtype, device_); }

  // Work given to the device from here on sees the results of all calls so far.
  virtual void join() {}
  // The same for the calls before a point: mark(slot) sets it, wait(slot) is as join() for them.
  virtual void mark(size_t /*slot*/) {}
  virtual void wait(size_t /*slot*/) {}
  // The end of a job that went well: every rank calls it, last of all, when no CUDA graph with
  // calls is left. Without it, a process that ends leaves the others to find out.
  virtual void close() {}

  CollectiveWatch& watch() { return watch_; }
  // The launch of a CUDA graph follows, which has these calls: what watch().end_recording() gave
  // when it was recorded. All calls before it have been joined.
  virtual void replays(const std::vector<CollectiveCall>& calls) { watch_.replays(calls); }

 protected:
  Communicator(const World& world, Device device, const WatchLimits& limits)
      : world_(world), device_(device), watch_(world, limits) {}
  enum class Call : int32_t { all_reduce, reduce_scatter, all_gather, broadcast, all_to_all };
  static const char* kind_of(Call call);
  // Checked, and of at least one element. from is to, but in all_to_all.
  virtual void run(Call call, const Tensor& from, const Tensor& to, const char* name) = 0;

 private:
  void require_sendable(Call call, const Tensor& x, const char* name) const;
  void start(Call call, const Tensor& from, const Tensor& to, const char* name,
             bool is_noted = true);
  World world_;
  Device device_;
  CollectiveWatch watch_;
};

// A world of one: every call leaves x as it is.
std::unique_ptr<Communicator> make_single_communicator(Device device);
// CommError in a build without NCCL (no_nccl.cpp) or MPI (no_mpi.cpp), if the library is not there,
// or if the other ranks do not come within limits.start seconds. copy_engines: whether they may be
// used, where all ranks are on one host whose GPUs reach each other and NCCL is 2.28 or newer.
std::unique_ptr<Communicator> make_nccl_communicator(const World& world, Device device,
                                                     const WatchLimits& limits,
                                                     bool copy_engines = true);
std::unique_ptr<Communicator> make_mpi_communicator(const World& world, const WatchLimits& limits);
bool has_nccl();  // compiled in, and the library can be loaded
bool has_mpi();

// The one for this world and device.
std::unique_ptr<Communicator> make_communicator(const World& world, Device device,
                                                const WatchLimits& limits = {},
                                                bool copy_engines = true);

// Small things of the host. Each waits.
std::vector<double> gather(Communicator& communicator, double value, const char* name);
double sum(Communicator& communicator, double value, const char* name);  // in the order of ranks
std::string broadcast_text(Communicator& communicator, const std::string& text);  // of rank 0
void barrier(Communicator& communicator, const char* name);
// CommError that names the ranks whose value is not rank 0's. what: "the configuration".
void require_same(Communicator& communicator, uint64_t value, const std::string& what,
                  const char* hint = "start every rank with the same program, arguments and files");

}  // namespace xlstm::comm
