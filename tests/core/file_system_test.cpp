#include "core/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

namespace xlstm {
namespace {

FileSystem& files() {
  return real_file_system();
}

template <class Call>
std::string file_error(const Call& call) {
  try {
    call();
  } catch (const FileError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a written file reads back and leaves nothing beside it") {
  const TemporaryDir dir;
  const std::string path = dir.path("a.bin");
  const std::string bytes("a\0b\xff", 4);
  files().write_file(path, "old");
  files().write_file(path, bytes);
  CHECK(files().read_file(path) == bytes);
  CHECK(files().file_size(path) == 4);
  CHECK(files().list(dir.path()) == std::vector<std::string>{"a.bin"});
  files().write_file(path, "");
  CHECK(files().read_file(path).empty());
  CHECK(files().free_bytes(dir.path()) > 0);
}

TEST_CASE("ranges are read, and the end of the file is respected") {
  const TemporaryDir dir;
  files().write_file(dir.path("a"), "0123456789");
  const auto file = files().open(dir.path("a"));
  std::string out(4, ' ');
  file->read_at(3, std::as_writable_bytes(std::span(out)));
  CHECK(out == "3456");
  CHECK(contains(file_error([&] { file->read_at(8, std::as_writable_bytes(std::span(out))); }),
                 "ended at byte 10"));
  CHECK_THROWS_AS(files().read_file(dir.path("a"), 9), FormatError);
}

TEST_CASE("errors name the path and the reason") {
  const TemporaryDir dir;
  const std::string absent = dir.path("absent/file");
  CHECK(contains(file_error([&] { files().open(absent); }), absent + ": No such file"));
  CHECK(contains(file_error([&] { files().write_file(absent, "x"); }), "cannot create"));
  CHECK(contains(file_error([&] { files().read_file(dir.path()); }), "Is a directory"));
  CHECK(contains(file_error([&] { files().list(absent); }), "cannot list"));
  CHECK(contains(file_error([&] { files().remove_file(absent); }), "cannot remove"));
  files().write_file(dir.path("file"), "x");
  CHECK(contains(file_error([&] { files().make_dirs(dir.path("file/sub")); }), "cannot create"));
  // A pipe that nobody writes to must not block the reader.
  REQUIRE(::mkfifo(dir.path("pipe").c_str(), 0600) == 0);
  CHECK(contains(file_error([&] { files().read_file(dir.path("pipe")); }), "not a regular file"));
}

TEST_CASE("a full disk is reported with the bytes that are free") {
  if (!files().exists("/dev/full")) return;
  const auto file = files().create("/dev/full");
  const std::string error = file_error([&] { file->write(std::as_bytes(std::span("text", 4))); });
  CHECK(contains(error, "No space left on device"));
  CHECK(contains(error, "bytes free"));
}

TEST_CASE("folders are made with their parents and removed without following links") {
  const TemporaryDir dir;
  files().make_dirs(dir.path("a/b/c"));
  files().make_dirs(dir.path("a/b/c"));
  files().make_dirs(dir.path("keep"));
  files().write_file(dir.path("keep/file"), "x");
  files().write_file(dir.path("a/b/file"), "x");
  REQUIRE(::symlink(dir.path("keep").c_str(), dir.path("a/link").c_str()) == 0);
  CHECK(files().list(dir.path("a")) == std::vector<std::string>{"b", "link"});
  files().remove_all(dir.path("a"));
  files().remove_all(dir.path("a"));
  CHECK_FALSE(files().exists(dir.path("a")));
  CHECK(files().exists(dir.path("keep/file")));
}

TEST_CASE("signals during a long transfer are harmless") {
  const TemporaryDir dir;
  struct sigaction quiet {};
  struct sigaction before {};
  quiet.sa_handler = [](int) {};  // without SA_RESTART, so that calls return EINTR
  ::sigaction(SIGALRM, &quiet, &before);
  const itimerval often{{0, 200}, {0, 200}};
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  const std::string bytes(size_t{16} << 20, 'x');
  files().write_file(dir.path("a"), bytes);
  const bool same = files().read_file(dir.path("a")) == bytes;
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  CHECK(same);
}

TEST_CASE("a mapped file notices that it was cut") {
  const TemporaryDir dir;
  files().write_file(dir.path("a"), "0123456789");
  files().write_file(dir.path("empty"), "");
  MappedFile map(dir.path("a"));
  CHECK(map.bytes().size() == 10);
  CHECK(static_cast<char>(map.bytes()[9]) == '9');
  map.check_unchanged();
  CHECK(MappedFile(dir.path("empty")).bytes().empty());
  map = MappedFile(dir.path("a"));
  REQUIRE(::truncate(dir.path("a").c_str(), 5) == 0);
  CHECK(contains(file_error([&] { map.check_unchanged(); }), "its size changed while in use"));
  CHECK_THROWS_AS(MappedFile(dir.path("absent")), FileError);
}

TEST_CASE("paths are taken apart and put together") {
  CHECK(FileSystem::parent_dir("a") == ".");
  CHECK(FileSystem::parent_dir("/a") == "/");
  CHECK(FileSystem::parent_dir("a/b/c") == "a/b");
  CHECK(join_path("a", "b") == "a/b");
  CHECK(join_path("a/", "b") == "a/b");
  CHECK(join_path("", "b") == "b");
  CHECK(FileSystem::temporary_name("a") != FileSystem::temporary_name("a"));
}

}  // namespace
}  // namespace xlstm
