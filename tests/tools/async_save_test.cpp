// Checkpoints that a thread writes while training goes on.
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "core/allocator.h"
#include "core/checkpoint.h"
#include "core/fault.h"
#include "core/json.h"
#include "core/log.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/checkpoint_writer.h"

namespace xlstm::train {
namespace {

using test::contains;

// Time that does not pass: runs write the same seconds.
struct StoppedClock : Clock {
  double seconds() const override { return 0; }
};

std::vector<std::string> checkpoints_of(const Trainer& trainer) {
  return list_checkpoints(join_path(trainer.run_folder(), "checkpoints"));
}

// Warnings while it lives.
struct CaughtLog {
  std::mutex mutex;
  std::string text;
  LogSink before;
  CaughtLog() {
    before = set_log_sink([this](LogLevel, const std::string& message) {
      const std::lock_guard lock(mutex);
      text += message + "\n";
    });
  }
  ~CaughtLog() { set_log_sink(before); }
};

// Real files whose checkpoints are not finished before somebody says so.
class HeldFiles : public FaultyFileSystem {
 public:
  HeldFiles() : FaultyFileSystem(real_file_system()) {}
  void rename(const std::string& from, const std::string& to) override {
    if (from.find("step-") != std::string::npos) {
      std::unique_lock lock(mutex_);
      ++n_waiting_;
      changed_.wait(lock, [this] { return open_; });
    }
    FaultyFileSystem::rename(from, to);
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  int n_waiting() {
    const std::lock_guard lock(mutex_);
    return n_waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int n_waiting_ = 0;
};

TEST_CASE("checkpoints have the same bytes whoever writes them") {
  TinyRun run;
  auto& model = std::get<layers::XlstmModelConfig>(run.config.model);
  model.slstm_block.slstm.backend = "vanilla";  // turns weights on their way to the file
  run.config.checkpoint.every_n_train_steps = 3;
  run.config.data.stateful = GENERATE(false, true);
  const StoppedClock clock;
  TrainerServices services = run.services();
  services.clock = &clock;
  std::vector<std::string> folders[2];
  for (const bool async : {false, true}) {
    run.config.checkpoint.async = async;
    Trainer trainer(run.config, services);
    trainer.fit();
    folders[async] = checkpoints_of(trainer);
  }
  REQUIRE(folders[0].size() == 4);
  REQUIRE(folders[1].size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    FileSystem& files = real_file_system();
    REQUIRE(files.list(folders[0][i]) == files.list(folders[1][i]));
    CHECK(verify_checkpoint(folders[1][i]).empty());
    for (const std::string& name : files.list(folders[0][i])) {
      std::string texts[2];
      for (const int way : {0, 1}) texts[way] = files.read_file(join_path(folders[way][i], name));
      if (name == "config.json") {  // says which way it was, and nothing else differs
        const size_t at = texts[0].find("\"async\": false");
        REQUIRE(at != std::string::npos);
        texts[0].replace(at, 14, "\"async\": true");
      }
      if (name == "manifest.json") {  // holds the hash of that file
        const Json manifests[2] = {parse_json(texts[0], name), parse_json(texts[1], name)};
        CHECK(*manifests[0].find("tensors") == *manifests[1].find("tensors"));
        continue;
      }
      CAPTURE(folders[1][i], name);
      CHECK((texts[0] == texts[1]));
    }
  }
}

TEST_CASE("training goes on while a checkpoint is written, which keeps its own step's weights") {
  TinyRun run;
  HeldFiles files;
  TrainerServices services = run.services();
  services.files = &files;
  files.let_go();
  Trainer trainer(run.config, services);
  trainer.step();
  trainer.save();  // makes the run folder
  HeldFiles held;
  services.files = &held;
  Trainer second(run.config, services);
  second.step();
  second.step();
  const std::string weights = weight_bytes(second.model());
  second.async_save();
  while (held.n_waiting() == 0) std::this_thread::yield();
  second.step();
  second.step();
  CHECK(second.steps_done() == 4);
  CHECK((weight_bytes(second.model()) != weights));
  held.let_go();
  const std::string path = second.wait_for_save();
  CHECK(Checkpoint::open(path).step() == 2);
  CHECK(verify_checkpoint(path).empty());
  CHECK(second.wait_for_save().empty());
  Trainer third(run.config, run.services());
  third.resume(path);
  CHECK((weight_bytes(third.model()) == weights));
  third.step();
  third.step();
  CHECK((weight_bytes(third.model()) == weight_bytes(second.model())));
}

TEST_CASE("the next save, and the end of a trainer, wait for the save in flight") {
  TinyRun run;
  std::string folder;
  {
    Trainer trainer(run.config, run.services());
    trainer.step();
    trainer.async_save();
    trainer.step();
    trainer.async_save();
    trainer.step();
    const std::string path = trainer.save();
    CHECK(Checkpoint::open(path).step() == 3);
    CHECK(checkpoints_of(trainer).size() == 3);
    trainer.step();
    trainer.async_save();
    folder = join_path(trainer.run_folder(), "checkpoints");
  }
  const auto latest = find_latest_checkpoint(folder);
  REQUIRE(latest.has_value());
  CHECK(Checkpoint::open(*latest).step() == 4);
}

TEST_CASE("whichever call of an asynchronous save fails, training goes on and a warning says so") {
  TinyRun run;
  run.config.trainer.limit_val_batches = 0;
  run.config.trainer.num_sanity_val_steps = 0;
  run.config.lr_scheduler.total_steps = 10000;  // every step changes the weights
  FaultyFileSystem files(real_file_system());
  TrainerServices services = run.services();
  services.files = &files;
  Trainer trainer(run.config, services);
  trainer.step();
  trainer.save();
  int64_t n_failed = 0;
  bool fired = true;
  for (int64_t n = 0; fired; ++n) {
    const CaughtLog log;
    trainer.save();
    trainer.step();
    files.fail_at(n, Fault::no_space);
    trainer.async_save();
    const std::string before = weight_bytes(trainer.model());
    trainer.step();
    CHECK((weight_bytes(trainer.model()) != before));
    bool failed = false;
    try {
      trainer.wait_for_save();
    } catch (const FileError& error) {
      failed = true;
      CHECK_THAT(error.what(), contains("No space left on device"));
    }
    fired = files.fired();
    n_failed += failed ? 1 : 0;
    CHECK((fired || !failed));
    files.fail_at(-1, Fault::none);
    // Only the newest may be missing, and only with an error. (Not every failure is one: an old
    // checkpoint that cannot be read is left alone.)
    const auto latest = find_latest_checkpoint(join_path(trainer.run_folder(), "checkpoints"));
    REQUIRE(latest.has_value());
    const int64_t behind = trainer.steps_done() - 1 - Checkpoint::open(*latest).step();
    CHECK(behind <= (failed ? 1 : 0));
    if (trainer.steps_done() > 4)  // the same few folders again and again
      for (const std::string& path : checkpoints_of(trainer))
        if (path != *latest) real_file_system().remove_all(path);
  }
  CHECK(n_failed > 20);  // a save makes many calls
}

TEST_CASE("a process that dies in an asynchronous save leaves what a run can continue from") {
  TinyRun whole, run;
  whole.config.trainer.max_steps = run.config.trainer.max_steps = 4;
  run.config.trainer.limit_val_batches = whole.config.trainer.limit_val_batches = 0;
  run.config.checkpoint.every_n_train_steps = whole.config.checkpoint.every_n_train_steps = 1;
  Trainer unbroken(whole.config, whole.services());
  unbroken.fit();
  std::mt19937_64 random(7);
  int64_t n_crashes = 0;
  for (int64_t n = 40; n < 400; n += 23) {
    FaultyFileSystem files(real_file_system());
    TrainerServices services = run.services();
    services.files = &files;
    run.config.trainer.name = "crash" + std::to_string(n);
    bool crashed = false;
    try {
      Trainer trainer(run.config, services);
      trainer.step();
      trainer.save();
      files.fail_at(n, Fault::crash);
      trainer.fit();
    } catch (const SimulatedCrash&) {
      crashed = true;
    }
    if (!crashed) break;
    ++n_crashes;
    files.lose_unsynced(random);
    Trainer again(run.config, run.services());
    again.resume("last");
    again.fit();
    CHECK((weight_bytes(again.model()) == weight_bytes(unbroken.model())));
  }
  CHECK(n_crashes > 3);
}

TEST_CASE(
    "a failed save in the middle of fit is a warning that names the step, the last an error") {
  TinyRun run;
  // Every call that touches a checkpoint of a chosen step fails.
  class StepFails : public FaultyFileSystem {
   public:
    std::string step;
    StepFails() : FaultyFileSystem(real_file_system()) {}
    std::unique_ptr<WriteFile> create(const std::string& path) override {
      if (path.find(step) != std::string::npos)
        throw_error<FileError>("cannot create ", path, ": No space left on device");
      return FaultyFileSystem::create(path);
    }
  } files;
  TrainerServices services = run.services();
  services.files = &files;
  run.config.checkpoint.every_n_train_steps = 4;
  CaughtLog log;
  files.step = "step-000000004";
  {
    Trainer trainer(run.config, services);
    CHECK(trainer.fit().steps == 12);
    CHECK_THAT(log.text, contains("checkpoint of step 4 not written, training goes on: "));
    CHECK(checkpoints_of(trainer).size() == 2);
  }
  files.step = "step-000000012";
  Trainer trainer(run.config, services);
  CHECK_THROWS_AS(trainer.fit(), FileError);
  CHECK(checkpoints_of(trainer).size() == 2);
}

TEST_CASE("without memory for copies, training waits for the checkpoint") {
  TinyRun run;
  CaughtLog log;
  Trainer trainer(run.config, run.services());
  trainer.step();
  release_cached_memory();
  set_memory_limit(memory_stats().in_use_bytes + 1000);
  trainer.async_save();
  set_memory_limit(0);
  CHECK_THAT(log.text, contains("checkpoint.async: no host memory"));
  CHECK(checkpoints_of(trainer).size() == 1);
  CHECK(trainer.wait_for_save().empty());
}

TEST_CASE("the writer keeps whatever a save throws for the one who waits") {
  CheckpointWriter writer;
  CHECK(writer.wait().empty());
  writer.start(3, [] { return std::string("there"); });
  CHECK(writer.in_flight());
  CHECK_THROWS_WITH(writer.start(4, [] { return std::string(); }), contains("save of step 3"));
  CHECK(writer.wait() == "there");
  writer.start(5, []() -> std::string { throw 7; });
  CHECK_THROWS_AS(writer.wait(), int);
  CHECK_FALSE(writer.in_flight());
  CaughtLog log;
  {
    CheckpointWriter lost;
    lost.start(6, []() -> std::string { throw_error<FileError>("full"); });
  }
  CHECK_THAT(log.text, contains("checkpoint of step 6 not written: full"));
}

}  // namespace
}  // namespace xlstm::train
