// Signals at random moments: the exit code that docs/errors.md promises, and no step lost.
#include "tests/reliability/proof.h"
#include "tests/reliability/small_run.h"

namespace xlstm::proof {
namespace {

struct Case {
  int signal, code;
};
constexpr Case kCases[] = {{SIGTERM, 3}, {SIGUSR1, 3}, {SIGINT, 130}};

TEST_CASE("a signal at any moment ends a run with its code and a checkpoint of the last step") {
  const SmallRuns runs;
  std::mt19937_64 random = random_source();
  Promise promise(7, "SIGTERM, SIGUSR1 or SIGINT at a random moment");
  double longest = 0;
  int64_t n_before = 0, n_saving = 0, most_lost = 0;
  const int n = n_points(9, 150);
  for (int i = 0; i < n; ++i) {
    const Case c = kCases[i % 3];
    const std::string name = "s" + std::to_string(i);
    Process run(runs.fit(name, "--trainer.max_steps 1000000 --checkpoint.every_n_train_steps 1"),
                runs.dir.path(), runs.dir.path("log"));
    sleep_ms(static_cast<double>(random() % 600));
    const double begin = now_s();
    const bool saving = runs.disturb(name, run, c.signal);
    const std::optional<int> code = run.wait(20);
    const double took = now_s() - begin;
    longest = std::max(longest, took);
    const int64_t logged = runs.last_logged_step(name);
    const std::string text = name + " by signal " + std::to_string(c.signal) + ", logged step " +
                             std::to_string(logged) + ", code " +
                             std::to_string(code.value_or(-1)) + "\n" + run.output();
    if (code == 128 + c.signal && c.code != 128 + c.signal && logged == 0) {
      // The system's own way: training had not begun.
      ++n_before;
      promise.point(!runs.last(name), text);
    } else if (code == 130 && logged == 0) {
      ++n_before;
      promise.point(true, text);
    } else {
      n_saving += saving;
      const std::optional<std::string> last = runs.last(name);
      const int64_t step = last ? Checkpoint::open(*last).step() : -1;
      const int64_t lost = logged - step;
      most_lost = std::max(most_lost, lost);
      promise.point(code == c.code && last && verify_checkpoint(*last).empty() && lost <= 1 &&
                        !runs.saves_now(name),
                    text + "checkpoint of step " + std::to_string(step));
    }
    runs.forget(name);
  }
  if (is_long()) CHECK(n_saving >= n / 10);
  char text[160];
  std::snprintf(text, sizeof text,
                "%lld during a save, %lld before the first step; at most %lld steps lost, %.2f s",
                static_cast<long long>(n_saving), static_cast<long long>(n_before),
                static_cast<long long>(most_lost), longest);
  promise.figure(text);
}

TEST_CASE("SIGUSR2 never ends a run, also before training begins") {
  const SmallRuns runs;
  std::mt19937_64 random = random_source();
  Promise promise(7, "SIGUSR2 again and again, from the start on");
  const int n = n_points(1, 10);
  for (int i = 0; i < n; ++i) {
    const std::string name = "u" + std::to_string(i);
    Process run(runs.fit(name), runs.dir.path(), runs.dir.path("log"));
    while (!run.code() && !run.minds(SIGUSR2)) sleep_ms(1);
    while (!run.code()) {
      run.kill(SIGUSR2);
      sleep_ms(static_cast<double>(random() % 20));
    }
    const std::optional<std::string> last = runs.last(name);
    promise.point(run.code() == 0 && last && Checkpoint::open(*last).step() == 30, run.output());
  }
}

TEST_CASE("a second signal ends a run at once, and leaves a good checkpoint") {
  const SmallRuns runs;
  Promise promise(7, "a second signal during the last save");
  const int n = n_points(1, 20);
  for (int i = 0; i < n; ++i) {
    const std::string name = "t" + std::to_string(i);
    Process run(runs.fit(name, "--trainer.max_steps 1000000 --checkpoint.every_n_train_steps 1"),
                runs.dir.path(), runs.dir.path("log"));
    while (!runs.last(name) && !run.code()) sleep_ms(1);
    run.kill(SIGTERM);
    run.kill(SIGINT);
    const std::optional<int> code = run.wait(20);
    // Where the first one was served before the second came, its code.
    const std::optional<std::string> last = runs.last(name);
    promise.point((code == 128 + SIGINT || code == 128 + SIGTERM || code == 3) && last &&
                      verify_checkpoint(*last).empty(),
                  run.output() + std::to_string(code.value_or(-1)));
    runs.forget(name);
  }
}

}  // namespace
}  // namespace xlstm::proof
