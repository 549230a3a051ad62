#include "core/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace xlstm {
namespace {

int64_t free_bytes_near(const std::string& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return -1;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

const char* hint_for(int code) {
  switch (code) {
    case ENOENT:
      return " (check the path)";
    case EACCES:
    case EPERM:
      return " (check owner and permissions)";
    case EROFS:
      return " (choose a folder on a writable disk)";
    case EISDIR:
      return " (a folder stands where a file was expected)";
    case ENOTDIR:
      return " (a file stands where a folder was expected)";
    case EMFILE:
      return " (raise the limit of open files, ulimit -n)";
    default:
      return "";
  }
}

[[noreturn]] void fail(const char* action, const std::string& path, int code = errno) {
  if (code == ENOSPC || code == EDQUOT) {
    const int64_t free = std::max<int64_t>(free_bytes_near(FileSystem::parent_dir(path)), 0);
    throw_error<FileError>("cannot ", action, " ", path, ": ", std::strerror(code), ", ", free,
                           " bytes free (free some space or choose another disk)");
  }
  throw_error<FileError>("cannot ", action, " ", path, ": ", std::strerror(code), hint_for(code));
}

// Repeats a system call while signals interrupt it.
template <class Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  Descriptor(const char* action, const std::string& path, int flags)
      : fd_(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); })) {
    if (fd_ < 0) fail(action, path);
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int64_t size_of_regular_file(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail("examine", path);
  if (S_ISDIR(info.st_mode)) fail("read", path, EISDIR);
  require<FileError>(S_ISREG(info.st_mode), "cannot read ", path,
                     ": not a regular file (copy pipes and devices into a file first)");
  return static_cast<int64_t>(info.st_size);
}

class RealReadFile : public ReadFile {
 public:
  explicit RealReadFile(const std::string& path)
      : path_(path),
        // Opening a pipe must not wait for a writer: what it is gets checked afterwards.
        file_("open", path, O_RDONLY | O_NONBLOCK),
        size_(size_of_regular_file(file_.get(), path)) {}
  int64_t size() const override { return size_; }
  void read_at(int64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t n = uninterrupted(
          [&] { return ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset)); });
      if (n < 0) fail("read", path_);
      require<FileError>(n > 0, "cannot read ", path_, ": it ended at byte ", offset, ", expected ",
                         out.size(), " more (was it cut while being read?)");
      offset += n;
      out = out.subspan(static_cast<size_t>(n));
    }
  }

 private:
  std::string path_;
  Descriptor file_;
  int64_t size_;
};

class RealWriteFile : public WriteFile {
 public:
  explicit RealWriteFile(const std::string& path)
      : path_(path), file_("create", path, O_WRONLY | O_CREAT | O_TRUNC) {}
  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n =
          uninterrupted([&] { return ::write(file_.get(), bytes.data(), bytes.size()); });
      if (n < 0) fail("write", path_);
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
  }
  void sync() override {
    if (uninterrupted([&] { return ::fsync(file_.get()); }) != 0) fail("sync", path_);
  }
  void close() override {
    const int fd = file_.release();
    // After EINTR the descriptor is closed on Linux; closing again could hit another file.
    if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) fail("close", path_);
  }

 private:
  std::string path_;
  Descriptor file_;
};

class RealFileSystem : public FileSystem {
 public:
  std::unique_ptr<ReadFile> open(const std::string& path) const override {
    return std::make_unique<RealReadFile>(path);
  }
  std::unique_ptr<WriteFile> create(const std::string& path) override {
    return std::make_unique<RealWriteFile>(path);
  }
  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) fail("rename to", to);
  }
  void sync_dir(const std::string& path) override {
    const Descriptor dir("open", path, O_RDONLY | O_DIRECTORY);
    // Some network file systems refuse to sync folders; there is nothing better to be had there.
    if (uninterrupted([&] { return ::fsync(dir.get()); }) != 0 && errno != EINVAL)
      fail("sync", path);
  }
  void make_dirs(const std::string& path) override {
    for (size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end + 1);
      const std::string part = path.substr(0, end);
      if (part.empty() || ::mkdir(part.c_str(), 0777) == 0) continue;
      const int code = errno;
      if (!is_dir(part)) fail("create folder", part, code);
    }
  }
  void remove_file(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) fail("remove", path);
  }
  void remove_all(const std::string& path) override {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      if (errno == ENOENT) return;
      fail("examine", path);
    }
    if (!S_ISDIR(info.st_mode)) return remove_file(path);
    for (const std::string& name : list(path)) remove_all(join_path(path, name));
    if (::rmdir(path.c_str()) != 0) fail("remove", path);
  }
  std::vector<std::string> list(const std::string& path) const override {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (!dir) fail("list", path);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    if (errno != 0) fail("list", path);
    std::sort(names.begin(), names.end());
    return names;
  }
  bool exists(const std::string& path) const override {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0;
  }
  bool is_dir(const std::string& path) const override {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }
  int64_t free_bytes(const std::string& path) const override {
    const int64_t free = free_bytes_near(path);
    if (free < 0) fail("examine the disk of", path);
    return free;
  }
};

}  // namespace

std::string FileSystem::read_file(const std::string& path, int64_t max_bytes) const {
  const std::unique_ptr<ReadFile> file = open(path);
  require<FormatError>(file->size() <= max_bytes, path, ": too large, got ", file->size(),
                       " bytes, expected at most ", max_bytes);
  std::string text(static_cast<size_t>(file->size()), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void FileSystem::write_file(const std::string& path, std::string_view bytes) {
  write_atomically(path, [&](WriteFile& file) { file.write(std::as_bytes(std::span(bytes))); });
}

std::string FileSystem::parent_dir(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string FileSystem::temporary_name(const std::string& path) {
  static std::atomic<int64_t> n_names{0};
  return path + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(n_names++);
}

std::string FileSystem::unfinished_name(const std::string& path) {
  return path + ".tmp-" + std::to_string(::getpid());
}

bool FileSystem::other_process_runs(int64_t process) {
  const auto number = static_cast<pid_t>(process);
  return number == process && number != ::getpid() && (::kill(number, 0) == 0 || errno == EPERM);
}

void FileSystem::discard(const std::string& temporary) noexcept {
  try {
    if (exists(temporary)) remove_file(temporary);
  } catch (...) {
    // The error that led here matters more than a leftover file.
  }
}

FileSystem& real_file_system() {
  static RealFileSystem files;
  return files;
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  Descriptor file("open", path, O_RDONLY | O_NONBLOCK);
  const auto size = static_cast<size_t>(size_of_regular_file(file.get(), path));
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (data == MAP_FAILED) fail("map", path);
    bytes_ = {static_cast<const std::byte*>(data), size};
  }
  descriptor_ = file.release();
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (descriptor_ >= 0) ::close(descriptor_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void MappedFile::check_unchanged() const {
  const int64_t size = size_of_regular_file(descriptor_, path_);
  require<FileError>(size == static_cast<int64_t>(bytes_.size()), "cannot read ", path_,
                     ": its size changed while in use, got ", size, ", expected ", bytes_.size(),
                     " bytes");
}

}  // namespace xlstm
