// CPU tensors through Open MPI, which is loaded when it is first needed. MPI only moves bytes; sums
// are taken here, in the order of ranks, so that they depend neither on MPI's choice of algorithm
// nor on timing.
//
// Each call begins by comparing its number, name and size over all ranks: a rank that makes another
// call is named at once, instead of a wrong sum or a wait without end.
// The interface for C alone.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstring>

#include "core/comm/communicator.h"
#include "core/comm/loaded_library.h"
#include "core/error.h"
#include "core/hash.h"

namespace xlstm::comm {
namespace {

constexpr int64_t kPieceBytes = 8 << 20;  // of a part, that travel at a time

// What is used of the library. Its constants are addresses of its objects.
struct Api {
  decltype(&MPI_Initialized) initialized = nullptr;
  decltype(&MPI_Finalized) finalized = nullptr;
  decltype(&MPI_Init_thread) init = nullptr;
  decltype(&MPI_Finalize) finalize = nullptr;
  decltype(&MPI_Comm_rank) rank = nullptr;
  decltype(&MPI_Comm_size) size = nullptr;
  decltype(&MPI_Comm_set_errhandler) set_errhandler = nullptr;
  decltype(&MPI_Error_string) error_string = nullptr;
  decltype(&MPI_Bcast) broadcast = nullptr;
  decltype(&MPI_Alltoall) all_to_all = nullptr;
  decltype(&MPI_Allgather) all_gather = nullptr;
  MPI_Comm world = nullptr;
  MPI_Datatype byte = nullptr;
  MPI_Errhandler errors_return = nullptr;
  std::string missing;  // why it cannot be used; empty: it can
};

Api load() {
  // Its plugins look for its symbols: global.
  LoadedLibrary library("XLSTM_MPI_LIBRARY", {"libmpi.so.40", "libmpi.so"}, RTLD_NOW | RTLD_GLOBAL);
  Api api;
  library.find(api.initialized, "MPI_Initialized");
  library.find(api.finalized, "MPI_Finalized");
  library.find(api.init, "MPI_Init_thread");
  library.find(api.finalize, "MPI_Finalize");
  library.find(api.rank, "MPI_Comm_rank");
  library.find(api.size, "MPI_Comm_size");
  library.find(api.set_errhandler, "MPI_Comm_set_errhandler");
  library.find(api.error_string, "MPI_Error_string");
  library.find(api.broadcast, "MPI_Bcast");
  library.find(api.all_to_all, "MPI_Alltoall");
  library.find(api.all_gather, "MPI_Allgather");
  library.find(api.world, "ompi_mpi_comm_world");
  library.find(api.byte, "ompi_mpi_byte");
  library.find(api.errors_return, "ompi_mpi_errors_return");
  api.missing = library.missing();
  return api;
}

const Api& api() {
  static const Api loaded = load();
  return loaded;
}

void check(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  api().error_string(status, text, &length);
  throw_error<CommError>("mpi: ", what, " failed, got ", text);
}

template <class T>
void add_rows(const T* rows, int64_t n_rows, int64_t n, T* sum) {
#pragma omp parallel for schedule(static) if (n > 65536)
  for (int64_t i = 0; i < n; ++i) {
    T total = rows[i];
    for (int64_t r = 1; r < n_rows; ++r) total += rows[r * n + i];
    sum[i] = total;
  }
}

class Mpi : public Communicator {
 public:
  Mpi(const World& world, const WatchLimits& limits) : Communicator(world, kCpu, limits) {
    require<CommError>(api().missing.empty(), "mpi: the library cannot be loaded, got ",
                       api().missing,
                       ", expected Open MPI's libmpi.so.40 in the library path (or its path in "
                       "XLSTM_MPI_LIBRARY)");
    int there = 0, given = 0;
    api().initialized(&there);
    if (there == 0) {
      // It waits for the other ranks, without an end.
      const CollectiveWatch::Start start(watch());
      check(api().init(nullptr, nullptr, MPI_THREAD_FUNNELED, &given), "start");
    }
    api().set_errhandler(api().world, api().errors_return);
    int rank = 0, size = 1;
    api().rank(api().world, &rank);
    api().size(api().world, &size);
    require<CommError>(rank == world.rank && size == world.size, "mpi: got rank ", rank, " of ",
                       size, ", expected rank ", world.rank, " of ", world.size, " as ",
                       world.launcher, " says (start processes on CPUs with mpirun)");
    watch().run();
  }

  void close() override {
    int done = 0;
    api().finalized(&done);
    if (done == 0) api().finalize();
  }

 private:
  void run(Call call, const Tensor& from, const Tensor& to, const char* name) override {
    const int64_t bytes = to.numel() * size_of(to.dtype());
    const char* kind = kind_of(call);
    const uint64_t number = CollectiveWatch::whole(watch().starts({name, kind, bytes, to.dtype()}));
    watch().counters().begun = number;
    compare(name, kind, bytes);
    auto* data = static_cast<char*>(to.raw());
    switch (call) {
      case Call::broadcast:
        broadcast_bytes(data, bytes);
        break;
      case Call::all_gather:
        gather_parts(data, bytes / size());
        break;
      case Call::all_to_all:
        exchange_parts(static_cast<const char*>(from.raw()), data, bytes / size());
        break;
      default:
        add(call, to, name);
    }
    watch().counters().ended = number;
  }

  void compare(const char* name, const char* kind, int64_t bytes) {
    struct Header {
      uint64_t number, call, bytes;
      bool operator==(const Header&) const = default;
    };
    const std::string text = std::string(kind) + " " + name;
    const Header mine{++n_calls_, hash_number(text), static_cast<uint64_t>(bytes)};
    std::vector<Header> all(static_cast<size_t>(size()));
    check(api().all_gather(&mine, sizeof mine, api().byte, all.data(), sizeof mine, api().byte,
                           api().world),
          name);
    for (size_t r = 0; r < all.size(); ++r)
      require<CommError>(all[r] == mine, "ranks: rank ", r, " makes another call than rank ",
                         rank(), ", got one of ", all[r].bytes, " bytes, expected ", text, " of ",
                         bytes, " bytes (call number ", n_calls_, ")");
  }

  void add(Call call, const Tensor& x, const char* name) {
    switch (x.dtype()) {
      case DType::f32:
        return add_typed(call, x.data<float>(), x.numel());
      case DType::f64:
        return add_typed(call, x.data<double>(), x.numel());
      case DType::i64:
        return add_typed(call, x.data<int64_t>(), x.numel());
      default:
        throw_error<ShapeError>(name, ": element type of a sum on the CPU, got ",
                                name_of(x.dtype()), ", expected float32, float64 or int64");
    }
  }

  template <class T>
  void add_typed(Call call, T* data, int64_t n) {
    if (call == Call::reduce_scatter) return scatter_sums(data, n / size());
    // In equal parts, the last one filled up.
    const int64_t part = (n + size() - 1) / size();
    std::vector<T> padded(static_cast<size_t>(part * size()));
    std::memcpy(padded.data(), data, static_cast<size_t>(n) * sizeof(T));
    scatter_sums(padded.data(), part);
    gather_parts(reinterpret_cast<char*>(padded.data()), part * int64_t{sizeof(T)});
    std::memcpy(data, padded.data(), static_cast<size_t>(n) * sizeof(T));
  }

  void broadcast_bytes(void* data, int64_t bytes) {
    constexpr int64_t kMost = 1 << 30;
    for (int64_t at = 0; at < bytes; at += kMost)
      check(api().broadcast(static_cast<char*>(data) + at,
                            static_cast<int>(std::min(kMost, bytes - at)), api().byte, 0,
                            api().world),
            "broadcast");
  }

  // Sends each rank its row of a matrix [size(), part]; use(at, n, rows) is given what comes: from
  // place `at` on n elements of each row, side by side in the order of the ranks.
  template <class T, class Use>
  void exchange(const T* data, int64_t part, const char* name, Use use) {
    const auto W = static_cast<int64_t>(size());
    std::vector<T> out, in;
    constexpr int64_t kPiece = kPieceBytes / int64_t{sizeof(T)};
    for (int64_t at = 0; at < part; at += kPiece) {
      const int64_t n = std::min(kPiece, part - at);
      out.resize(static_cast<size_t>(n * W));
      in.resize(static_cast<size_t>(n * W));
      for (int64_t r = 0; r < W; ++r)
        std::memcpy(out.data() + r * n, data + r * part + at, static_cast<size_t>(n) * sizeof(T));
      const int bytes = static_cast<int>(n * int64_t{sizeof(T)});
      check(api().all_to_all(out.data(), bytes, api().byte, in.data(), bytes, api().byte,
                             api().world),
            name);
      use(at, n, in.data());
    }
  }

  template <class T>
  void scatter_sums(T* data, int64_t part) {
    exchange(data, part, "reduce_scatter", [&](int64_t at, int64_t n, const T* rows) {
      add_rows(rows, size(), n, data + rank() * part + at);
    });
  }

  // From here on a part is so many bytes.
  void exchange_parts(const char* from, char* to, int64_t part) {
    exchange(from, part, "all_to_all", [&](int64_t at, int64_t n, const char* rows) {
      for (int64_t r = 0; r < size(); ++r)
        std::memcpy(to + r * part + at, rows + r * n, static_cast<size_t>(n));
    });
  }

  void gather_parts(char* data, int64_t part) {
    std::vector<char> in;
    for (int64_t at = 0; at < part; at += kPieceBytes) {
      const int64_t n = std::min(kPieceBytes, part - at);
      in.resize(static_cast<size_t>(n * size()));
      const int bytes = static_cast<int>(n);
      check(api().all_gather(data + rank() * part + at, bytes, api().byte, in.data(), bytes,
                             api().byte, api().world),
            "all_gather");
      for (int64_t r = 0; r < size(); ++r)
        if (r != rank())
          std::memcpy(data + r * part + at, in.data() + r * n, static_cast<size_t>(n));
    }
  }

  uint64_t n_calls_ = 0;
};

}  // namespace

bool has_mpi() {
  return api().missing.empty();
}

std::unique_ptr<Communicator> make_mpi_communicator(const World& world, const WatchLimits& limits) {
  return std::make_unique<Mpi>(world, limits);
}

}  // namespace xlstm::comm
