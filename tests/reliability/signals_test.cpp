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
  const std::string options = "--trainer.max_steps 1000000 --checkpoint.every_n_train_steps 1";
  // On a CPU at any time within 0.6 s, the start included, which takes less than a tenth of that.
  Pace pace{0.6, 0};
  if (on_cuda()) pace = runs.make_whole("pace", "--checkpoint.every_n_train_steps 1", 60);
  const int n = n_points(9, 150, 24);
  std::vector<Moment> moments;
  for (int i = 0; i < n; ++i) moments.push_back(random_moment(random, !on_cuda() || i % 8 == 7));
  struct Result {
    bool holds = false, before = false, saving = false;
    double took = 0;
    int64_t lost = 0;
    std::string text;
  };
  const auto results = each_trial<Result>(n, [&](int i) {
    const Case c = kCases[i % 3];
    const std::string name = "s" + std::to_string(i);
    Process run(runs.fit(name, options), runs.dir.path(), runs.dir.path(name + ".log"));
    runs.await(name, run, moments[static_cast<size_t>(i)], pace.start_s, 0.6);
    // Where the disk is fast, few moments would lie in a save.
    if (i % 4 == 1)
      while (!runs.saves_now(name) && !run.code()) sleep_ms(0.2);
    Result result;
    const double begin = now_s();
    result.saving = runs.disturb(name, run, c.signal);
    const std::optional<int> code = run.wait(20);
    result.took = now_s() - begin;
    const int64_t logged = runs.last_logged_step(name);
    result.text = name + " by signal " + std::to_string(c.signal) + ", logged step " +
                  std::to_string(logged) + ", code " + std::to_string(code.value_or(-1)) + "\n" +
                  run.output();
    const std::optional<std::string> last = runs.last(name);
    if (code == 128 + c.signal && c.code != 128 + c.signal && logged == 0) {
      // The system's own way: training had not begun.
      result.before = true;
      result.holds = !last;
    } else if (code == 130 && logged == 0) {
      result.before = result.holds = true;
    } else {
      const int64_t step = last ? Checkpoint::open(*last).step() : -1;
      result.lost = logged - step;
      result.holds = code == c.code && last && verify_checkpoint(*last).empty() &&
                     result.lost <= 1 && !runs.saves_now(name);
      result.text += "checkpoint of step " + std::to_string(step);
    }
    runs.forget(name);
    return result;
  });
  double longest = 0;
  int64_t n_before = 0, n_saving = 0, most_lost = 0;
  for (const Result& result : results) {
    promise.point(result.holds, result.text);
    longest = std::max(longest, result.took);
    n_before += result.before;
    n_saving += result.saving && !result.before;
    most_lost = std::max(most_lost, result.lost);
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
  const int n = n_points(1, 10, 4);
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
  const int n = n_points(1, 20, 6);
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
