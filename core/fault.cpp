#include "core/fault.h"

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "core/error.h"

namespace xlstm {

void FaultyFileSystem::enter(const std::string& call, const std::function<void()>& partial) const {
  trace_.push_back(call);
  if (dead_) throw SimulatedCrash{call};
  if (left_ < 0 || left_-- > 0) return;
  fired_ = true;
  switch (fault_) {
    case Fault::none:
      return;
    case Fault::crash:
      partial();
      dead_ = true;
      throw SimulatedCrash{call};
    case Fault::no_space:
      partial();
      throw_error<FileError>("cannot ", call, ": No space left on device");
    case Fault::kill:
      partial();
      std::raise(SIGKILL);
      return;
    case Fault::io_error:
      throw_error<FileError>("cannot ", call, ": Input/output error");
  }
}

class FaultyWriteFile : public WriteFile {
 public:
  FaultyWriteFile(FaultyFileSystem& files, std::unique_ptr<WriteFile> inner, std::string path)
      : files_(files), inner_(std::move(inner)), path_(std::move(path)) {}
  void write(std::span<const std::byte> bytes) override {
    const std::lock_guard lock(files_.mutex_);
    files_.synced_bytes_.emplace(path_, n_synced_);
    files_.enter("write " + path_, [&] { inner_->write(bytes.first(bytes.size() / 2)); });
    inner_->write(bytes);
    n_bytes_ += static_cast<int64_t>(bytes.size());
  }
  void sync() override {
    const std::lock_guard lock(files_.mutex_);
    files_.enter("sync " + path_);
    inner_->sync();
    n_synced_ = n_bytes_;
    files_.synced_bytes_.erase(path_);
  }
  void close() override {
    const std::lock_guard lock(files_.mutex_);
    files_.enter("close " + path_);
    inner_->close();
  }

 private:
  FaultyFileSystem& files_;
  std::unique_ptr<WriteFile> inner_;
  std::string path_;
  int64_t n_bytes_ = 0, n_synced_ = 0;
};

void FaultyFileSystem::fail_at(int64_t n, Fault fault) {
  const std::lock_guard lock(mutex_);
  left_ = n;
  fault_ = fault;
  fired_ = false;
}

std::unique_ptr<ReadFile> FaultyFileSystem::open(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  enter("open " + path);
  return inner_.open(path);
}

std::unique_ptr<WriteFile> FaultyFileSystem::create(const std::string& path) {
  const std::lock_guard lock(mutex_);
  enter("create " + path);
  std::unique_ptr<WriteFile> file = inner_.create(path);
  new_names_.push_back(path);
  synced_bytes_[path] = 0;
  return std::make_unique<FaultyWriteFile>(*this, std::move(file), path);
}

void FaultyFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  enter("rename " + from + " -> " + to);
  const bool replaced = inner_.exists(to) && !inner_.is_dir(to);
  renames_.push_back({from, to, replaced, replaced ? inner_.read_file(to) : std::string()});
  inner_.rename(from, to);
}

void FaultyFileSystem::sync_dir(const std::string& path) {
  const std::lock_guard lock(mutex_);
  enter("sync_dir " + path);
  inner_.sync_dir(path);
  const auto inside = [&](const std::string& name) { return parent_dir(name) == path; };
  std::erase_if(new_names_, inside);
  std::erase_if(renames_, [&](const Rename& r) { return inside(r.to); });
}

void FaultyFileSystem::make_dirs(const std::string& path) {
  const std::lock_guard lock(mutex_);
  enter("make_dirs " + path);
  for (std::string at = path; !inner_.exists(at); at = parent_dir(at)) new_names_.push_back(at);
  inner_.make_dirs(path);
}

void FaultyFileSystem::remove_file(const std::string& path) {
  const std::lock_guard lock(mutex_);
  enter("remove_file " + path);
  inner_.remove_file(path);
}

void FaultyFileSystem::remove_all(const std::string& path) {
  const std::lock_guard lock(mutex_);
  // Dying half-way leaves some of the entries.
  enter("remove_all " + path, [&] {
    if (!inner_.is_dir(path)) return;
    const std::vector<std::string> names = inner_.list(path);
    for (size_t i = 0; i < names.size() / 2; ++i) inner_.remove_all(join_path(path, names[i]));
  });
  inner_.remove_all(path);
}

std::vector<std::string> FaultyFileSystem::list(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  enter("list " + path);
  return inner_.list(path);
}

bool FaultyFileSystem::exists(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  enter("exists " + path);
  return inner_.exists(path);
}

bool FaultyFileSystem::is_dir(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  enter("is_dir " + path);
  return inner_.is_dir(path);
}

int64_t FaultyFileSystem::free_bytes(const std::string& path) const {
  return inner_.free_bytes(path);
}

void FaultyFileSystem::lose_unsynced(std::mt19937_64& random) {
  const std::lock_guard lock(mutex_);
  const auto lost = [&] { return random() % 2 == 0; };
  // A file that was written may since lie in a renamed folder.
  const auto now_at = [&](std::string path) {
    for (const Rename& r : renames_)
      if (path == r.from || path.starts_with(r.from + "/"))
        path = r.to + path.substr(r.from.size());
    return path;
  };
  for (const auto& [path, bytes] : synced_bytes_)
    if (const std::string at = now_at(path); inner_.exists(at) && lost())
      std::filesystem::resize_file(at, static_cast<uintmax_t>(bytes));
  for (const std::string& path : new_names_)
    if (const std::string at = now_at(path); inner_.exists(at) && lost()) inner_.remove_all(at);
  for (auto r = renames_.rbegin(); r != renames_.rend(); ++r) {
    if (!inner_.exists(r->to) || !lost()) continue;
    inner_.rename(r->to, r->from);
    if (r->replaced) inner_.write_file(r->to, r->old_bytes);
  }
  synced_bytes_.clear();
  new_names_.clear();
  renames_.clear();
}

}  // namespace xlstm
