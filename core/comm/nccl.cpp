// CUDA tensors through NCCL. The library is loaded when it is first needed, so a program that never
// trains on several GPUs starts without it. NCCL finds the other ranks by itself, at the address in
// NCCL_COMM_ID (world.h).
//
// Calls go to a stream of their own: they follow what the device's stream was given before, and
// that stream follows them at join(). Each is enclosed by two one-thread kernels that count it in
// memory of the host (kernels/progress), which is what the watch reads; all of it can be recorded
// in a CUDA graph.
#include <nccl.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>

#include "core/comm/communicator.h"
#include "core/comm/loaded_library.h"
#include "core/cuda/check.h"
#include "core/cuda/runtime.h"
#include "core/error.h"
#include "kernels/progress/progress.h"

namespace xlstm::comm {
namespace {

// What is used of the library.
struct Api {
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclCommInitRank) init_rank = nullptr;
  decltype(&ncclCommDestroy) destroy = nullptr;
  decltype(&ncclCommGetAsyncError) async_error = nullptr;
  decltype(&ncclGetErrorString) error_string = nullptr;
  decltype(&ncclGetLastError) last_error = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclReduceScatter) reduce_scatter = nullptr;
  decltype(&ncclAllGather) all_gather = nullptr;
  decltype(&ncclBroadcast) broadcast = nullptr;
  std::string missing;  // why it cannot be used; empty: it can
};

Api load() {
  LoadedLibrary library("XLSTM_NCCL_LIBRARY",
                        {"libnccl.so.2", "/usr/local/cuda/lib64/libnccl.so.2"},
                        RTLD_NOW | RTLD_LOCAL);
  Api api;
  library.find(api.get_unique_id, "ncclGetUniqueId");
  library.find(api.init_rank, "ncclCommInitRank");
  library.find(api.destroy, "ncclCommDestroy");
  library.find(api.async_error, "ncclCommGetAsyncError");
  library.find(api.error_string, "ncclGetErrorString");
  library.find(api.last_error, "ncclGetLastError");
  library.find(api.all_reduce, "ncclAllReduce");
  library.find(api.reduce_scatter, "ncclReduceScatter");
  library.find(api.all_gather, "ncclAllGather");
  library.find(api.broadcast, "ncclBroadcast");
  api.missing = library.missing();
  return api;
}

const Api& api() {
  static const Api loaded = load();
  return loaded;
}

void check(ncclResult_t status, const char* what) {
  if (status == ncclSuccess || status == ncclInProgress) return;
  throw_error<CommError>("nccl: ", what, " failed, got ", api().error_string(status), " (",
                         api().last_error(nullptr), "; NCCL_DEBUG=INFO tells more)");
}

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return ncclFloat64;
    case DType::bf16:
      return ncclBfloat16;
    case DType::f16:
      return ncclFloat16;
    case DType::i64:
      return ncclInt64;
    default:
      return ncclFloat32;
  }
}

// The initialisation has no limit of time of its own and cannot be interrupted. So it runs in a
// thread that is given up, and with it the process, when the others do not come.
ncclComm_t meet(const World& world, Device device, CollectiveWatch& watch) {
  if (world.size > 1) setenv("NCCL_COMM_ID", rendezvous_of(world).c_str(), 0);
  struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
    ncclComm_t comm = nullptr;
    std::string error;
  };
  const auto meeting = std::make_shared<Meeting>();
  std::thread([meeting, world, device] {
    ncclComm_t comm = nullptr;
    std::string error;
    try {
      cuda::make_current(device);
      ncclUniqueId id;
      check(api().get_unique_id(&id), "ncclGetUniqueId");
      check(api().init_rank(&comm, world.size, id, world.rank), "ncclCommInitRank");
    } catch (const std::exception& e) {
      error = e.what();
    }
    const std::lock_guard lock(meeting->mutex);
    meeting->comm = comm;
    meeting->error = error;
    meeting->over = true;
    meeting->changed.notify_all();
  }).detach();
  std::unique_lock lock(meeting->mutex);
  const auto limit = std::chrono::duration<double>(watch.limits().start);
  if (!meeting->changed.wait_for(lock, limit, [&] { return meeting->over; }))
    watch.give_up("the ranks did not all meet within " +
                  std::to_string(static_cast<int64_t>(watch.limits().start)) + " s");
  require<CommError>(meeting->error.empty(), meeting->error);
  return meeting->comm;
}

class Nccl : public Communicator {
 public:
  Nccl(const World& world, Device device, const WatchLimits& limits)
      : Communicator(world, device, limits) {
    require<CommError>(api().missing.empty(), "nccl: the library cannot be loaded, got ",
                       api().missing,
                       ", expected libnccl.so.2 in the library path (or its path in "
                       "XLSTM_NCCL_LIBRARY)");
    const cuda::DeviceGuard guard(device);
    int least = 0, greatest = 0;
    cuda::check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "stream priorities");
    cuda::check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest),
                "cudaStreamCreate");
    cuda::check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
    // Two counters the host reads, and the device's own.
    static_assert(sizeof(CollectiveWatch::Counters) == 16);
    void* shown = nullptr;
    cuda::check(cudaHostAlloc(&shown, sizeof(CollectiveWatch::Counters),
                              cudaHostAllocPortable | cudaHostAllocMapped),
                "cudaHostAlloc");
    watch().use_counters(new (shown) CollectiveWatch::Counters);
    counters_ = Tensor::zeros({2}, DType::i64, device);
    cuda::synchronize(device);
    comm_ = meet(world, device, watch());
    watch().set_probe([comm = comm_]() -> std::string {
      ncclResult_t status = ncclSuccess;
      if (api().async_error(comm, &status) != ncclSuccess) return "";
      if (status == ncclSuccess || status == ncclInProgress) return "";
      return std::string("NCCL reports ") + api().error_string(status);
    });
    watch().run();
  }

  void join() override {
    const cuda::DeviceGuard guard(device());
    follow(main_stream(), stream_);
  }

  void mark(size_t slot) override {
    const cuda::DeviceGuard guard(device());
    while (points_.size() <= slot)
      cuda::check(cudaEventCreateWithFlags(&points_.emplace_back(), cudaEventDisableTiming),
                  "cudaEventCreate");
    cuda::check(cudaEventRecord(points_[slot], stream_), "cudaEventRecord");
  }

  void wait(size_t slot) override {
    const cuda::DeviceGuard guard(device());
    cuda::check(cudaStreamWaitEvent(main_stream(), points_.at(slot), 0), "cudaStreamWaitEvent");
  }

  void close() override {
    const cuda::DeviceGuard guard(device());
    cuda::synchronize(device());
    cuda::check(cudaStreamSynchronize(stream_), "waiting for the device");
    watch().set_probe({});
    check(api().destroy(comm_), "ncclCommDestroy");
  }

 private:
  cudaStream_t main_stream() const { return static_cast<cudaStream_t>(cuda::stream(device())); }

  void follow(cudaStream_t later, cudaStream_t earlier) {
    cuda::check(cudaEventRecord(event_, earlier), "cudaEventRecord");
    cuda::check(cudaStreamWaitEvent(later, event_, 0), "cudaStreamWaitEvent");
  }

  void count(int64_t which, std::atomic<uint64_t>& shown) {
    xlstm_progress_args args{};
    args.counter = static_cast<uint64_t*>(counters_.raw()) + which;
    args.shown = reinterpret_cast<uint64_t*>(&shown);
    xlstm_exec exec{};
    exec.stream = stream_;
    check_status(xlstm_progress_cuda(&args, exec), "collective call", device());
  }

  void run(Call call, const Tensor& x, const char* name) override {
    const cuda::DeviceGuard guard(device());
    watch().starts({name, kind_of(call), x.numel() * size_of(x.dtype()), x.dtype()});
    follow(stream_, main_stream());
    count(0, watch().counters().begun);
    const auto type = type_of(x.dtype());
    const auto n = static_cast<size_t>(x.numel()), part = n / static_cast<size_t>(size());
    char* data = static_cast<char*>(x.raw());
    char* own = data + static_cast<size_t>(rank()) * part * static_cast<size_t>(size_of(x.dtype()));
    switch (call) {
      case Call::all_reduce:
        check(api().all_reduce(data, data, n, type, ncclSum, comm_, stream_), name);
        break;
      case Call::reduce_scatter:
        check(api().reduce_scatter(data, own, part, type, ncclSum, comm_, stream_), name);
        break;
      case Call::all_gather:
        check(api().all_gather(own, data, part, type, comm_, stream_), name);
        break;
      case Call::broadcast:
        check(api().broadcast(data, data, n, type, 0, comm_, stream_), name);
        break;
    }
    count(1, watch().counters().ended);
  }

  // Never freed: the driver may be gone, or stuck, when the process ends.
  cudaStream_t stream_ = nullptr;
  cudaEvent_t event_ = nullptr;
  std::vector<cudaEvent_t> points_;  // by slot
  Tensor counters_;
  ncclComm_t comm_ = nullptr;
};

}  // namespace

bool has_nccl() {
  return api().missing.empty();
}

std::unique_ptr<Communicator> make_nccl_communicator(const World& world, Device device,
                                                     const WatchLimits& limits) {
  return std::make_unique<Nccl>(world, device, limits);
}

}  // namespace xlstm::comm
