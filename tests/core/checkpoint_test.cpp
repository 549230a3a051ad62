#include "core/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "core/fault.h"
#include "core/log.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tests/reliability/proof.h"

namespace xlstm {
namespace {

FileSystem& files() {
  return real_file_system();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Catches what is logged while it lives.
class CaughtLog {
 public:
  CaughtLog() {
    before_ = set_log_sink([this](LogLevel, const std::string& line) { text_ += line + "\n"; });
  }
  ~CaughtLog() { set_log_sink(before_); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  LogSink before_;
};

// Everything in a checkpoint follows from its step, so a mixture of two can be recognised.
CheckpointContents contents_of(int64_t step) {
  const auto x = static_cast<float>(step);
  CheckpointContents contents;
  contents.step = step;
  contents.tensor_files = {
      {"model.safetensors",
       {{"weight", Tensor::from<float>({x, x + 1, x + 2, x + 3}, {2, 2})},
        {"bias", Tensor::from<float>({x}, {1})}},
       {{"format", "pt"}}},
      {"optimizer.safetensors", {{"m", Tensor::from<double>({x, -x}, {2})}}, {}}};
  contents.text_files = {{"train_state.json", "{\"step\":" + std::to_string(step) + "}"},
                         {"config.json", "{}"}};
  return contents;
}

// Loads everything; throws if anything is not that step's.
void check_contents(const std::string& path, int64_t step) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  const CheckpointContents expected = contents_of(step);
  REQUIRE(checkpoint.step() == step);
  REQUIRE(checkpoint.verify().empty());
  for (const auto& file : expected.text_files)
    REQUIRE(checkpoint.read_text(file.name) == file.text);
  for (const auto& file : expected.tensor_files) {
    const NamedTensors tensors = checkpoint.load_tensors(file.name);
    REQUIRE(checkpoint.tensor_metadata(file.name) == file.metadata);
    REQUIRE(tensors.size() == file.tensors.size());
    for (const auto& [name, tensor] : tensors) {
      const auto at = std::find_if(file.tensors.begin(), file.tensors.end(),
                                   [&, wanted = name](const auto& t) { return t.first == wanted; });
      REQUIRE(at != file.tensors.end());
      REQUIRE(tensor.to_vector<double>() == at->second.to_vector<double>());
    }
  }
}

TEST_CASE("a checkpoint comes back as it was saved, and the newest is found") {
  const TemporaryDir dir;
  CHECK_FALSE(find_latest_checkpoint(dir.path("none")).has_value());
  const std::string root = dir.path("run/checkpoints");
  CHECK(save_checkpoint(root, contents_of(5)) == root + "/step-000000005");
  CHECK(save_checkpoint(root, contents_of(40)) == root + "/step-000000040");
  CHECK(save_checkpoint(root, contents_of(7)) == root + "/step-000000007");
  check_contents(root + "/step-000000005", 5);
  CHECK(find_latest_checkpoint(root) == root + "/step-000000040");
  CHECK(save_checkpoint(root, contents_of(40)) == root + "/step-000000040-v1");
  CHECK(find_latest_checkpoint(root) == root + "/step-000000040-v1");
  CHECK(save_checkpoint(root, contents_of(12345678901)) == root + "/step-12345678901");
  CHECK(find_latest_checkpoint(root) == root + "/step-12345678901");
  CHECK(files().list(root + "/step-000000005").size() == 5);
}

TEST_CASE("names that would leave the folder or clash are refused") {
  const TemporaryDir dir;
  for (const char* name : {"", "..", "a/b", "/etc/x", "manifest.json", "config.json"}) {
    CheckpointContents contents = contents_of(1);
    contents.text_files.push_back({name, "x"});
    CHECK_THROWS_AS(save_checkpoint(dir.path(), contents), ConfigError);
    CHECK(list_checkpoints(dir.path()).empty());
  }
}

// Runs `call` with the n-th file-system call failing, for n = 0, 1, ... until none fails.
template <class Body>
int64_t for_every_call(Fault fault, const Body& body) {
  for (int64_t n = 0;; ++n) {
    FaultyFileSystem faulty(files());
    faulty.fail_at(n, fault);
    if (!body(faulty)) return n;
    REQUIRE(n < 10000);
  }
}

TEST_CASE("dying in any call of a save leaves the old state or the new one") {
  const TemporaryDir dir;
  std::mt19937_64 random(1);
  int64_t n_old = 0, n_new = 0;
  proof::Promise died(1, "dying in the n-th call of a save"), cut(2, "losing what was not synced");
  for (const bool power_cut : {false, true}) {
    for (int repeat = 0; repeat < (power_cut ? proof::n_points(4, 25) : 1); ++repeat) {
      const int64_t n_calls = for_every_call(Fault::crash, [&](FaultyFileSystem& faulty) {
        files().remove_all(dir.path("c"));
        save_checkpoint(dir.path("c"), contents_of(1));
        try {
          save_checkpoint(dir.path("c"), contents_of(2), faulty);
        } catch (const SimulatedCrash&) {
        }
        const bool fired = faulty.fired();
        if (power_cut && fired) faulty.lose_unsynced(random);
        // The next start.
        remove_unfinished_checkpoints(dir.path("c"));
        const CaughtLog log;
        const std::optional<std::string> latest = find_latest_checkpoint(dir.path("c"));
        REQUIRE(latest.has_value());
        const int64_t step = Checkpoint::open(*latest).step();
        (power_cut ? cut : died).point(step == 1 || step == 2, "step " + std::to_string(step));
        (step == 1 ? n_old : n_new) += 1;
        check_contents(*latest, step);
        if (!fired) REQUIRE(step == 2);
        // Nothing but whole checkpoints remains, and the next save works.
        REQUIRE(files().list(dir.path("c")).size() == static_cast<size_t>(step));
        check_contents(save_checkpoint(dir.path("c"), contents_of(3)), 3);
        return fired;
      });
      CHECK(n_calls > 30);
    }
  }
  CHECK(n_old > 100);
  CHECK(n_new > 0);
}

TEST_CASE("the first save into a new folder survives a power cut once it has returned") {
  const TemporaryDir dir;
  std::mt19937_64 random(2);
  for (int i = 0; i < 20; ++i) {
    files().remove_all(dir.path("c"));
    FaultyFileSystem faulty(files());
    save_checkpoint(dir.path("c"), contents_of(1), faulty);
    faulty.lose_unsynced(random);
    const std::optional<std::string> latest = find_latest_checkpoint(dir.path("c"));
    REQUIRE(latest.has_value());
    check_contents(*latest, 1);
  }
}

TEST_CASE("files are synced before the folder, the folder before the rename, the root after it") {
  const TemporaryDir dir;
  FaultyFileSystem faulty(files());
  const std::string path = save_checkpoint(dir.path(), contents_of(1), faulty);
  const std::string temporary = FileSystem::unfinished_name(path);
  const auto& trace = faulty.trace();
  const auto at = [&](const std::string& call) {
    const auto found = std::find(trace.begin(), trace.end(), call);
    REQUIRE(found != trace.end());
    return found - trace.begin();
  };
  for (const std::string& name : files().list(path))
    CHECK(at("sync " + temporary + "/" + name) < at("sync_dir " + temporary));
  CHECK(at("create " + temporary + "/manifest.json") > at("sync " + temporary + "/config.json"));
  CHECK(at("sync_dir " + temporary) < at("rename " + temporary + " -> " + path));
  CHECK(at("rename " + temporary + " -> " + path) < at("sync_dir " + dir.path()));
}

TEST_CASE("a full disk or a failing one costs the new checkpoint only, and says how much is free") {
  const TemporaryDir dir;
  proof::Promise promise(18, "ENOSPC or EIO in the n-th call of a save");
  for (const Fault fault : {Fault::no_space, Fault::io_error}) {
    const int64_t n_calls = for_every_call(fault, [&](FaultyFileSystem& faulty) {
      files().remove_all(dir.path("c"));
      save_checkpoint(dir.path("c"), contents_of(1));
      std::string error;
      try {
        save_checkpoint(dir.path("c"), contents_of(2), faulty);
      } catch (const FileError& e) {
        error = e.what();
      }
      REQUIRE(faulty.fired() == !error.empty());
      if (!faulty.fired()) return false;
      REQUIRE(contains(error, "checkpoint of step 2 was not saved"));
      REQUIRE(contains(error, "bytes free"));
      check_contents(dir.path("c/step-000000001"), 1);
      for (const std::string& name : files().list(dir.path("c")))
        REQUIRE_FALSE(contains(name, ".tmp-"));
      check_contents(save_checkpoint(dir.path("c"), contents_of(3), faulty), 3);
      promise.points(1);
      return true;
    });
    CHECK(n_calls > 30);
  }
}

std::string raw_bytes(const std::string& path) {
  return files().read_file(path);
}
void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST_CASE("every flipped bit and every cut is noticed and named, and the older one is used") {
  const TemporaryDir dir;
  save_checkpoint(dir.path(), contents_of(1));
  const std::string path = save_checkpoint(dir.path(), contents_of(2));
  int64_t n_checked = 0;
  proof::Promise promise(3, "one bit flipped, or the file cut: noticed and named");
  for (const std::string& name : files().list(path)) {
    const std::string file = join_path(path, name);
    const std::string bytes = raw_bytes(file);
    // All bits of the small files; of the long ones every byte with a changing bit.
    for (size_t bit = 0; bit < bytes.size() * 8;
         bit += name == "manifest.json" && !proof::is_long() ? 9 : 1) {
      std::string damaged = bytes;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      overwrite(file, damaged);
      const std::vector<std::string> damage = verify_checkpoint(path);
      REQUIRE_FALSE(damage.empty());
      REQUIRE(contains(damage.front(), name));
      ++n_checked;
      promise.points(1);
    }
    for (size_t n = 0; n < bytes.size(); n += 3) {
      overwrite(file, bytes.substr(0, n));
      REQUIRE_FALSE(verify_checkpoint(path).empty());
      promise.points(1);
    }
    const CaughtLog log;
    CHECK(find_latest_checkpoint(dir.path()) == dir.path("step-000000001"));
    CHECK(contains(log.text(), "skipping damaged checkpoint " + path));
    CHECK(contains(log.text(), name));
    files().remove_file(file);
    REQUIRE_FALSE(verify_checkpoint(path).empty());
    overwrite(file, bytes);
    REQUIRE(verify_checkpoint(path).empty());
  }
  CHECK(n_checked > 3000);
}

TEST_CASE("damage is named down to the tensor, also when loading") {
  const TemporaryDir dir;
  const std::string path = save_checkpoint(dir.path(), contents_of(2));
  const std::string file = path + "/model.safetensors";
  std::string bytes = raw_bytes(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);  // "weight" lies last
  overwrite(file, bytes);
  const std::vector<std::string> damage = verify_checkpoint(path);
  REQUIRE(damage.size() == 2);
  CHECK(contains(damage[1], "model.safetensors: tensor \"weight\" is damaged"));
  try {
    Checkpoint::open(path).load_tensors("model.safetensors");
    FAIL("damage went unnoticed");
  } catch (const FormatError& error) {
    CHECK(contains(error.what(), "model.safetensors: tensor \"weight\""));
  }
  CHECK_THROWS_AS(Checkpoint::open(path).read_text("absent.json"), FormatError);
}

TEST_CASE("a manifest of a newer format is refused by name") {
  const TemporaryDir dir;
  const std::string path = save_checkpoint(dir.path(), contents_of(2));
  std::string manifest = raw_bytes(path + "/manifest.json");
  const std::string key = "\"format_version\": 1";
  manifest.replace(manifest.find(key), key.size(), "\"format_version\": 2");
  overwrite(path + "/manifest.json", manifest);
  CHECK(contains(verify_checkpoint(path).at(0), "written by a newer program"));
}

TEST_CASE("leftovers of dead processes go, those of living ones stay") {
  const TemporaryDir dir;
  const std::string mine = "step-000000001.tmp-" + std::to_string(::getpid());
  const std::string parents = "step-000000002.tmp-" + std::to_string(::getppid());
  const std::vector<std::string> kept = {"notes.tmp-1", "step-000000003.tmp-", "step-1.tmp-99",
                                         parents};
  for (const std::string& name : kept) files().make_dirs(dir.path(name));
  files().make_dirs(dir.path(mine));
  files().write_file(dir.path(mine + "/model.safetensors"), "half");
  files().make_dirs(dir.path("step-000000004.tmp-4194305"));  // above the largest process number
  remove_unfinished_checkpoints(dir.path());
  std::vector<std::string> expected = kept;
  std::sort(expected.begin(), expected.end());
  CHECK(files().list(dir.path()) == expected);
  CHECK(list_checkpoints(dir.path()).empty());
}

std::vector<std::string> names_in(const std::string& root) {
  return files().list(root);
}

TEST_CASE("pruning keeps the newest good ones, the protected and the damaged") {
  const TemporaryDir dir;
  const std::string root = dir.path("c");
  for (int64_t step = 1; step <= 6; ++step) save_checkpoint(root, contents_of(step));
  overwrite(root + "/step-000000005/config.json", "[]");
  prune_checkpoints(root, 2, {root + "/step-000000002"});
  CHECK(names_in(root) == std::vector<std::string>{"step-000000002", "step-000000004",
                                                   "step-000000005", "step-000000006"});
  overwrite(root + "/step-000000006/config.json", "[]");
  const CaughtLog log;
  prune_checkpoints(root, 1);
  CHECK(names_in(root).size() == 4);
  CHECK(contains(log.text(), "old checkpoints are kept"));
}

TEST_CASE("after any sequence of saves, crashes and pruning a good checkpoint remains") {
  const TemporaryDir dir;
  std::mt19937_64 random(7);
  const CaughtLog log;
  proof::Promise promise(20, "a good checkpoint remains after saves, crashes and pruning");
  for (int round = 0; round < proof::n_points(8, 100); ++round) {
    const std::string root = dir.path("r" + std::to_string(round));
    save_checkpoint(root, contents_of(0));
    for (int64_t step = 1; step <= 12; ++step) {
      FaultyFileSystem faulty(files());
      if (random() % 2 == 0)
        faulty.fail_at(static_cast<int64_t>(random() % 150),
                       std::array{Fault::crash, Fault::no_space, Fault::io_error}[random() % 3]);
      try {
        save_checkpoint(root, contents_of(step), faulty);
        prune_checkpoints(root, 1 + static_cast<int64_t>(random() % 2), {}, faulty);
      } catch (const SimulatedCrash&) {
        faulty.lose_unsynced(random);
        remove_unfinished_checkpoints(root);
      } catch (const FileError&) {
      }
      const std::optional<std::string> latest = find_latest_checkpoint(root);
      REQUIRE(latest.has_value());
      check_contents(*latest, Checkpoint::open(*latest).step());
      promise.points(1);
    }
  }
}

}  // namespace
}  // namespace xlstm
