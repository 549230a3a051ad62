// kill -9 at random moments: a run that goes on from its last checkpoint ends with the bits of one
// that was left alone.
#include "tests/reliability/proof.h"
#include "tests/reliability/small_run.h"

namespace xlstm::proof {
namespace {

// Of the calls that a run makes of its file system, which do not depend on the device.
bool is_left_to_cpu() {
  if (on_cuda()) test::skipped("shown on the CPU: it does not concern the device");
  return on_cuda();
}

TEST_CASE("a run killed at a random moment and continued has the bits of the undisturbed one") {
  const SmallRuns runs;
  std::mt19937_64 random = random_source();
  const std::string options = "--trainer.max_steps 100 --checkpoint.every_n_train_steps 1";
  const Pace pace = runs.make_whole("whole", options, 60);
  const std::string want = runs.bytes("whole");
  Promise promise(4, "kill -9 at a random moment, then --ckpt_path last");
  const int n = n_points(4, 120, 20);
  std::vector<Moment> moments;
  for (int i = 0; i < n; ++i) moments.push_back(random_moment(random, i % 4 == 3));
  struct Result {
    bool saving = false, goes_on = false, equal = false;
    std::string why;
  };
  const auto results = each_trial<Result>(n, [&](int i) {
    const std::string name = "k" + std::to_string(i), log = runs.dir.path(name + ".log");
    Result result;
    {
      Process run(runs.fit(name, options), runs.dir.path(), log);
      runs.await(name, run, moments[static_cast<size_t>(i)], pace.start_s, pace.train_s);
      result.saving = runs.disturb(name, run, SIGKILL);
      run.wait(10);
    }
    result.goes_on = runs.last(name).has_value();
    Process rest(runs.fit_or_go_on(name, options), runs.dir.path(), log);
    const std::optional<int> code = rest.wait(60);
    result.equal = code == 0 && runs.bytes(name) == want;
    result.why = name + " differs or failed\n" + rest.output();
    runs.forget(name);
    return result;
  });
  int64_t n_continued = 0, n_saving = 0;
  for (const Result& result : results) {
    promise.point(result.equal, result.why);
    n_continued += result.goes_on;
    n_saving += result.saving;
  }
  CHECK(n_continued >= n / 3);
  promise.figure(std::to_string(n_saving) + " during a save, " + std::to_string(n_continued) +
                 " with something to go on from; weights, moments and random numbers equal");
}

TEST_CASE("a long run under a random killer, started again and again, has the same bits") {
  const SmallRuns runs;
  std::mt19937_64 random = random_source();
  const char* given = std::getenv("XLSTM_SOAK_STEPS");
  const int steps = given != nullptr ? std::max(1, std::atoi(given)) : n_points(60, 1000);
  const std::string options =
      "--trainer.max_steps " + std::to_string(steps) + " --lr_scheduler.total_steps " +
      std::to_string(std::max(steps, 1000)) +
      " --checkpoint.every_n_train_steps 5 "
      "--trainer.val_check_interval 50 --model.embedding_dim 64 --data.batch_size 16";
  const Pace pace = runs.make_whole("whole", options, 300.0 * std::max(1, steps / 1000));
  Promise promise(9, "soak of " + std::to_string(steps) + " steps under a random killer");
  // Long enough to get somewhere, short enough for many starts.
  const double span_s = 2 * pace.train_s * n_points(12, 56, 72) / steps;
  const int limit = std::max(steps / 10, n_points(40, 1000, 60));
  const double begin = now_s();
  int n_killed = 0;
  std::optional<int> code;
  for (; n_killed < limit; ++n_killed) {
    Process run(runs.fit_or_go_on("soak", options), runs.dir.path(), runs.dir.path("log"));
    runs.await("soak", run, random_moment(random, n_killed % 4 == 3), pace.start_s, span_s);
    code = run.code();
    if (code) break;
    run.kill(random() % 4 == 0 ? SIGTERM : SIGKILL);
    run.wait(10);
  }
  INFO(real_file_system().read_file(runs.dir.path("log")));
  promise.point(code == 0 && runs.bytes("soak") == runs.bytes("whole"),
                "the end differs from the undisturbed run's");
  CHECK(n_killed >= n_points(1, 10));
  char text[120];
  std::snprintf(text, sizeof text, "%d kills, undisturbed %.1f s, disturbed %.1f s; equal bits",
                n_killed, pace.start_s + pace.train_s, now_s() - begin);
  promise.figure(text);
}

// How many calls of its file system a run makes: the first that is one too many does no harm.
int64_t n_calls_of(const SmallRuns& runs, const std::string& options) {
  static int64_t made = 0;
  if (made > 0) return made;
  int64_t too_many = 4096;
  while (too_many - made > n_points(64, 1)) {
    const int64_t n = (made + too_many) / 2;
    Process run("env XLSTM_FAULT=file@call=" + std::to_string(n) + ",error=kill " +
                    runs.fit("count", options),
                runs.dir.path(), runs.dir.path("log"));
    (run.wait(60) == 0 ? too_many : made) = n;
    runs.forget("count");
  }
  return made;
}

TEST_CASE("a run whose n-th file-system call kills it goes on to the same bits") {
  if (is_left_to_cpu()) return;
  const SmallRuns runs;
  Process whole(runs.fit("whole", "--trainer.max_steps 6"), runs.dir.path(), runs.dir.path("log"));
  REQUIRE(whole.wait(60) == 0);
  const std::string want = runs.bytes("whole");
  Promise promise(1, "SIGKILL in the n-th file-system call of a whole fit, then --ckpt_path last");
  const int stride = n_points(120, 1);
  const int64_t n_calls = n_calls_of(runs, "--trainer.max_steps 6");
  for (int64_t n = 1; n <= n_calls; n += stride) {
    const std::string name = "f" + std::to_string(n);
    Process run("env XLSTM_FAULT=file@call=" + std::to_string(n) + ",error=kill " +
                    runs.fit(name, "--trainer.max_steps 6"),
                runs.dir.path(), runs.dir.path("log"));
    const std::optional<int> code = run.wait(60);
    const bool killed = code == 128 + SIGKILL;
    Process rest(runs.fit_or_go_on(name, "--trainer.max_steps 6"), runs.dir.path(),
                 runs.dir.path("log2"));
    const bool ended = rest.wait(60) == 0;
    promise.point(killed && ended && runs.bytes(name) == want,
                  name + "\n" + run.output() + rest.output());
    runs.forget(name);
  }
  CHECK(n_calls > 150);
  promise.figure("of " + std::to_string(n_calls) + " calls; equal bits");
}

TEST_CASE("a disk that is full or fails in the n-th call costs no run that has begun") {
  if (is_left_to_cpu()) return;
  const SmallRuns runs;
  Promise promise(18, "ENOSPC or EIO in the n-th file-system call of a whole fit");
  int64_t n_ended = 0;
  const int stride = n_points(150, 1);
  const int64_t n_calls = n_calls_of(runs, "--trainer.max_steps 6");
  for (int64_t n = 1; n <= n_calls; n += stride) {
    for (const std::string error : {"full", "io"}) {
      const std::string name = error + std::to_string(n);
      Process run("env XLSTM_FAULT=file@call=" + std::to_string(n) + ",error=" + error + " " +
                      runs.fit(name, "--trainer.max_steps 6"),
                  runs.dir.path(), runs.dir.path("log"));
      const std::optional<int> code = run.wait(60);
      const int64_t logged = runs.last_logged_step(name);
      const std::optional<std::string> last = runs.last(name);
      const bool is_error = run.output().find("xlstm: error: ") != std::string::npos;
      // Before the first step and in the very last save there is nothing to go on with.
      const bool may_end = logged == 0 || logged == 6;
      promise.point(code == 0 ? last && Checkpoint::open(*last).step() == 6
                              : code == 7 && is_error && may_end,
                    name + ", logged step " + std::to_string(logged) + "\n" + run.output());
      n_ended += code != 0;
      runs.forget(name);
    }
  }
  promise.figure(std::to_string(n_ended) + " before the first step or in the last save: code 7");
}

}  // namespace
}  // namespace xlstm::proof
