// CUDA tensors through NCCL. The library is loaded when it is first needed, so a program that never
// trains on several GPUs starts without it. NCCL finds the other ranks by itself, at the address in
// NCCL_COMM_ID (world.h).
//
// Calls go to a stream of their own: they follow what the device's stream was given before, and
// that stream follows them at join(). Each is enclosed by two stream memory operations that write
// its number to memory of the host, which is what the watch reads; all of it can be recorded in a
// CUDA graph. (One-thread kernels in their place made a step of 48 ms 1 % longer.)
//
// Where all ranks are on one host, NCCL 2.28 can leave copies to the copy engines (its policy "zero
// CTA"), if both ends lie in memory that every rank has mapped: that is what zeros() gives. Blocks
// of its kernels would take multiprocessors from products that are cut for all of them.
#include <cudaTypedefs.h>
#include <nccl.h>

#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "core/checked_size.h"
#include "core/comm/communicator.h"
#include "core/comm/loaded_library.h"
#include "core/cuda/check.h"
#include "core/cuda/stream.h"
#include "core/error.h"
#include "kernels/common/driver_function.h"

// What came with 2.28, at compile time; at run time the library may be another.
#define XLSTM_NCCL_WINDOWS (NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0))

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
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclSend) send = nullptr;
  decltype(&ncclRecv) receive = nullptr;
#if XLSTM_NCCL_WINDOWS
  // Null in an older library.
  decltype(&ncclCommInitRankConfig) init_rank_config = nullptr;
  decltype(&ncclMemAlloc) allocate = nullptr;
  decltype(&ncclMemFree) free = nullptr;
  decltype(&ncclCommWindowRegister) register_window = nullptr;
  decltype(&ncclCommWindowDeregister) deregister_window = nullptr;
  decltype(&ncclAlltoAll) all_to_all = nullptr;
#endif
  std::string missing;  // why it cannot be used; empty: it can
};

bool knows_windows(const Api& api) {
#if XLSTM_NCCL_WINDOWS
  return api.init_rank_config != nullptr && api.allocate != nullptr && api.free != nullptr &&
         api.register_window != nullptr && api.deregister_window != nullptr &&
         api.all_to_all != nullptr;
#else
  static_cast<void>(api);
  return false;
#endif
}

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
  library.find(api.group_start, "ncclGroupStart");
  library.find(api.group_end, "ncclGroupEnd");
  library.find(api.send, "ncclSend");
  library.find(api.receive, "ncclRecv");
#if XLSTM_NCCL_WINDOWS
  library.find_if_there(api.init_rank_config, "ncclCommInitRankConfig");
  library.find_if_there(api.allocate, "ncclMemAlloc");
  library.find_if_there(api.free, "ncclMemFree");
  library.find_if_there(api.register_window, "ncclCommWindowRegister");
  library.find_if_there(api.deregister_window, "ncclCommWindowDeregister");
  library.find_if_there(api.all_to_all, "ncclAlltoAll");
#endif
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

// The driver's calls by which a stream writes numbers.
struct StreamWrites {
  PFN_cuStreamWriteValue32_v11070 low = nullptr;
  PFN_cuStreamWriteValue64_v11070 whole = nullptr;
};

template <class F>
F required_of_driver(const char* name) {
  const auto function = kernels::driver_function<F>(name, 11070);
  require<CommError>(function != nullptr, "nccl: the driver has no ", name,
                     ", expected one of CUDA 12 or newer");
  return function;
}

const StreamWrites& stream_writes() {
  static const StreamWrites writes{
      required_of_driver<PFN_cuStreamWriteValue32_v11070>("cuStreamWriteValue32"),
      required_of_driver<PFN_cuStreamWriteValue64_v11070>("cuStreamWriteValue64")};
  return writes;
}

// In the order of the stream's work; of a call in a graph to the low half alone.
void write_number(std::atomic<uint64_t>& counter, uint64_t number, bool in_graph,
                  cudaStream_t stream) {
  const auto place = reinterpret_cast<CUdeviceptr>(&counter);
  const CUresult status =
      in_graph ? stream_writes().low(stream, place, static_cast<cuuint32_t>(number), 0)
               : stream_writes().whole(stream, place, CollectiveWatch::whole(number), 0);
  require<CommError>(status == CUDA_SUCCESS, "nccl: a number written by the stream, got error ",
                     static_cast<int>(status),
                     " of the driver, expected a device with 64-bit stream memory operations");
}

ncclComm_t init(const World& world, const ncclUniqueId& id, bool copy_engines) {
  ncclComm_t comm = nullptr;
#if XLSTM_NCCL_WINDOWS
  if (copy_engines) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.CTAPolicy = NCCL_CTA_POLICY_ZERO;
    check(api().init_rank_config(&comm, world.size, id, world.rank, &config),
          "ncclCommInitRankConfig");
    return comm;
  }
#endif
  static_cast<void>(copy_engines);
  check(api().init_rank(&comm, world.size, id, world.rank), "ncclCommInitRank");
  return comm;
}

ncclComm_t meet(const World& world, Device device, CollectiveWatch& watch, bool copy_engines) {
  if (world.size > 1) setenv("NCCL_COMM_ID", rendezvous_of(world).c_str(), 0);
  // The initialisation has no limit of time of its own and cannot be interrupted.
  const CollectiveWatch::Start start(watch);
  cuda::make_current(device);
  ncclUniqueId id;
  check(api().get_unique_id(&id), "ncclGetUniqueId");
  return init(world, id, copy_engines);
}

#if XLSTM_NCCL_WINDOWS
// Memory that every rank maps. While the communicator lives it is not given back, for the others
// may still know it.
class SharedMemory : public MemorySource {
 public:
  explicit SharedMemory(Device device) : device_(device) {}

  void* take(int64_t bytes) override {
    const cuda::DeviceGuard guard(device_);
    void* memory = nullptr;
    if (api().allocate(&memory, static_cast<size_t>(bytes)) == ncclSuccess) return memory;
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  void give_back(void* memory) noexcept override {
    if (closed_) return free(memory);
    try {
      kept_.push_back(memory);
    } catch (...) {  // lost until the process ends
    }
  }

  void add_window(ncclWindow_t window) { windows_.push_back(window); }
  void close(ncclComm_t comm) {
    for (ncclWindow_t window : windows_)
      check(api().deregister_window(comm, window), "ncclCommWindowDeregister");
    closed_ = true;
    for (void* memory : kept_) free(memory);
  }

 private:
  void free(void* memory) const noexcept {
    static_cast<void>(cudaDeviceSynchronize());
    static_cast<void>(api().free(memory));
  }
  Device device_;
  std::vector<ncclWindow_t> windows_;
  std::vector<void*> kept_;
  bool closed_ = false;
};
#endif

class Nccl : public Communicator {
 public:
  Nccl(const World& world, Device device, const WatchLimits& limits, bool copy_engines)
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
    void* shown = nullptr;
    cuda::check(cudaHostAlloc(&shown, sizeof(CollectiveWatch::Counters),
                              cudaHostAllocPortable | cudaHostAllocMapped),
                "cudaHostAlloc");
    watch().use_counters(new (shown) CollectiveWatch::Counters);
    copy_engines =
        copy_engines && world.size > 1 && world.local_size == world.size && knows_windows(api());
    comm_ = meet(world, device, watch(), copy_engines);
    watch().set_probe([comm = comm_]() -> std::string {
      ncclResult_t status = ncclSuccess;
      if (api().async_error(comm, &status) != ncclSuccess) return "";
      if (status == ncclSuccess || status == ncclInProgress) return "";
      return std::string("NCCL reports ") + api().error_string(status);
    });
    watch().run();
    if (copy_engines) try_windows();
  }

  bool has_copy_engines() const override { return has_windows_; }

  Tensor zeros(int64_t n, DType dtype) override {
#if XLSTM_NCCL_WINDOWS
    if (has_windows_ && n > 0) {
      const Tensor x = tensor_in(
          std::make_shared<Storage>(checked_mul(n, size_of(dtype), "tensor"), device(), memory_), 0,
          {n}, dtype);
      require<CommError>(share(x), "nccl: memory of ", n * size_of(dtype),
                         " bytes cannot be shared by the ranks (trainer.copy_engines false does "
                         "without)");
      Tensor(x).fill(0);
      return x;
    }
#endif
    return Communicator::zeros(n, dtype);
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

  void replays(const std::vector<CollectiveCall>& calls) override {
    if (calls.empty()) return;
    const cuda::DeviceGuard guard(device());
    const uint64_t before = watch().n_started();
    write_number(watch().counters().begun, before, false, main_stream());
    write_number(watch().counters().ended, before, false, main_stream());
    watch().replays(calls);
  }

  void close() override {
    const cuda::DeviceGuard guard(device());
    cuda::synchronize(device());
    cuda::check(cudaStreamSynchronize(stream_), "waiting for the device");
    watch().set_probe({});
#if XLSTM_NCCL_WINDOWS
    if (memory_ != nullptr) memory_->close(comm_);
#endif
    check(api().destroy(comm_), "ncclCommDestroy");
  }

 private:
  cudaStream_t main_stream() const {
    return cuda::stream_of(device());
  }

  void follow(cudaStream_t later, cudaStream_t earlier) {
    cuda::check(cudaEventRecord(event_, earlier), "cudaEventRecord");
    cuda::check(cudaStreamWaitEvent(later, event_, 0), "cudaStreamWaitEvent");
  }

  // Whether memory can be shared, which all ranks must agree on.
  void try_windows() {
#if XLSTM_NCCL_WINDOWS
    memory_ = std::make_shared<SharedMemory>(device());
    const Tensor x = tensor_in(std::make_shared<Storage>(int64_t{1} << 16, device(), memory_), 0,
                               {1 << 16}, DType::u8);
    const double n_able = sum(*this, share(x) ? 1 : 0, "whether copy engines serve");
    has_windows_ = n_able == static_cast<double>(size());
#endif
  }

#if XLSTM_NCCL_WINDOWS
  // All ranks make it with as many bytes. Work on the memory may only come after it on all.
  bool share(const Tensor& x) {
    const cuda::DeviceGuard guard(device());
    constexpr size_t kUnit = NCCL_WIN_REQUIRED_ALIGNMENT;
    const auto bytes = static_cast<size_t>(x.numel() * size_of(x.dtype()));
    ncclWindow_t window = nullptr;
    const CollectiveWatch::Start start(watch());
    check(api().register_window(comm_, x.raw(), (bytes + kUnit - 1) / kUnit * kUnit, &window,
                                NCCL_WIN_COLL_SYMMETRIC),
          "ncclCommWindowRegister");
    if (window == nullptr) return false;
    memory_->add_window(window);
    return true;
  }
#endif

  void exchange(const char* from, char* to, size_t part, ncclDataType_t type, size_t part_bytes,
                const char* name) {
#if XLSTM_NCCL_WINDOWS
    if (api().all_to_all != nullptr)
      return check(api().all_to_all(from, to, part, type, comm_, stream_), name);
#endif
    check(api().group_start(), name);
    for (int r = 0; r < size(); ++r) {
      const size_t place = static_cast<size_t>(r) * part_bytes;
      check(api().send(from + place, part, type, r, comm_, stream_), name);
      check(api().receive(to + place, part, type, r, comm_, stream_), name);
    }
    check(api().group_end(), name);
  }

  void run(Call call, const Tensor& from, const Tensor& to, const char* name) override {
    const cuda::DeviceGuard guard(device());
    const uint64_t number =
        watch().starts({name, kind_of(call), to.numel() * size_of(to.dtype()), to.dtype()});
    const bool in_graph = watch().is_recording();
    follow(stream_, main_stream());
    write_number(watch().counters().begun, number, in_graph, stream_);
    const auto type = type_of(to.dtype());
    const auto n = static_cast<size_t>(to.numel()), part = n / static_cast<size_t>(size());
    const size_t part_bytes = part * static_cast<size_t>(size_of(to.dtype()));
    char* data = static_cast<char*>(to.raw());
    char* own = data + static_cast<size_t>(rank()) * part_bytes;
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
      case Call::all_to_all:
        exchange(static_cast<const char*>(from.raw()), data, part, type, part_bytes, name);
        break;
    }
    write_number(watch().counters().ended, number, in_graph, stream_);
  }

  // Never freed: the driver may be gone, or stuck, when the process ends.
  cudaStream_t stream_ = nullptr;
  cudaEvent_t event_ = nullptr;
  std::vector<cudaEvent_t> points_;  // by slot
  ncclComm_t comm_ = nullptr;
#if XLSTM_NCCL_WINDOWS
  std::shared_ptr<SharedMemory> memory_;
#endif
  bool has_windows_ = false;
};

}  // namespace

bool has_nccl() {
  return api().missing.empty();
}

std::unique_ptr<Communicator> make_nccl_communicator(const World& world, Device device,
                                                     const WatchLimits& limits, bool copy_engines) {
  return std::make_unique<Nccl>(world, device, limits, copy_engines);
}

}  // namespace xlstm::comm
