#include "core/comm/shared_storage.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <sstream>

#include "core/error.h"

namespace xlstm::comm {
namespace {

// Of a file without a name, which the kernel frees with its last user, however that one ends.
// Other processes of the same user find it as /proc/PID/fd/NUMBER.
class MappedFile : public MemorySource {
 public:
  MappedFile(int file, bool is_new, int64_t bytes) : file_(file), is_new_(is_new), bytes_(bytes) {}
  ~MappedFile() override { ::close(file_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // What the pool adds to round the number up is not taken.
  void* take(int64_t) override {
    struct stat found {};
    if (is_new_ && !make_pages()) return nullptr;
    if (::fstat(file_, &found) != 0 || found.st_size < bytes_) return nullptr;
    void* memory = ::mmap(nullptr, length(), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    return memory == MAP_FAILED ? nullptr : memory;
  }
  void give_back(void* memory) noexcept override { ::munmap(memory, length()); }

 private:
  size_t length() const { return static_cast<size_t>(bytes_); }
  // All of them: one that cannot be had later would end the process, and so would a file longer
  // than `ulimit -f` allows.
  bool make_pages() const {
    struct rlimit longest {};
    if (::getrlimit(RLIMIT_FSIZE, &longest) != 0 || longest.rlim_cur < length()) return false;
    int status = EINTR;  // a signal takes back what was done
    for (int i = 0; status == EINTR && i < 100; ++i) status = ::posix_fallocate(file_, 0, bytes_);
    return status == 0;
  }

  int file_;
  bool is_new_;
  int64_t bytes_;
};

std::shared_ptr<Storage> storage_in(int file, bool is_new, int64_t bytes) {
  if (file < 0) return nullptr;
  const auto source = std::make_shared<MappedFile>(file, is_new, bytes);
  try {
    return std::make_shared<Storage>(bytes, kCpu, source);
  } catch (const OutOfMemory&) {
    return nullptr;
  }
}

uint64_t& token_in(Storage& storage) {
  return *static_cast<uint64_t*>(storage.data);
}

}  // namespace

std::shared_ptr<Storage> make_shared_storage(Communicator& communicator, int64_t bytes) {
  require<ShapeError>(bytes >= 8, "shared memory: bytes, got ", bytes, ", expected at least 8");
  const World& world = communicator.world();
  if (world.local_size > 0 && world.local_size < world.size) return nullptr;
  std::shared_ptr<Storage> storage;
  // What lies under the same path elsewhere has not the same number in it.
  uint64_t token = 0;
  std::string path = "none";
  if (world.is_first()) {
    const int file = ::memfd_create("xlstm", MFD_CLOEXEC);
    storage = storage_in(file, true, bytes);
    if (storage != nullptr) {
      std::random_device random;
      token = token_in(*storage) = uint64_t{random()} << 32 | random() | 1;
      path = detail::concat("/proc/", ::getpid(), "/fd/", file);
    }
  }
  std::istringstream told(broadcast_text(communicator, detail::concat(path, " ", token)));
  told >> path >> token;
  if (!world.is_first() && token != 0) {
    storage = storage_in(::open(path.c_str(), O_RDWR | O_CLOEXEC), false, bytes);
    if (storage != nullptr && token_in(*storage) != token) storage = nullptr;
  }
  if (sum(communicator, storage == nullptr ? 1 : 0, "whether memory is shared") > 0) return nullptr;
  if (world.is_first()) token_in(*storage) = 0;
  barrier(communicator, "shared memory");
  return storage;
}

}  // namespace xlstm::comm
