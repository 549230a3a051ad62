#include "tools/train/step_prefetch.h"

#include <dirent.h>

#include <atomic>
#include <chrono>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/tools/tiny_run.h"

namespace xlstm::train {
namespace {

int64_t n_threads() {
  int64_t n = 0;
  DIR* tasks = ::opendir("/proc/self/task");
  REQUIRE(tasks != nullptr);
  while (const dirent* entry = ::readdir(tasks)) n += entry->d_name[0] != '.';
  ::closedir(tasks);
  return n;
}

// Places that hold the number of their step.
struct Numbers {
  std::vector<int64_t> places;
  std::atomic<int64_t> n_filled = 0, failing_step = -1;
  StepPrefetch prefetch;
  Numbers(int64_t depth, int64_t n_leases)
      : prefetch(depth, n_leases, [this](int64_t step, size_t place) {
          if (step == failing_step)
            throw_error<FormatError>("tokens of step ", step, " are damaged");
          places[place] = step;
          ++n_filled;
        }) {
    places.resize(prefetch.n_places());
  }
  int64_t take(int64_t step) { return places[prefetch.take(step).place()]; }
  void wait_for(int64_t n) const {
    for (int i = 0; i < 2000 && n_filled < n; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

TEST_CASE("steps come in order at every depth, also out of sequence") {
  for (const int64_t depth : {0, 1, 2, 5}) {
    CAPTURE(depth);
    Numbers numbers(depth, 1);
    for (int round = 0; round < 200; ++round)
      for (const int64_t step : {0, 1, 2, 3, 1, 2, 2, 9, 10, 12, 13, 4, 7, 8, 6, 0})
        REQUIRE(numbers.take(step) == step);
  }
}

TEST_CASE("a thread prepares so many steps ahead and no more, and leaves places in use alone") {
  Numbers numbers(3, 2);
  CHECK(numbers.n_filled == 0);  // nothing before the first step
  const StepPrefetch::Lease first = numbers.prefetch.take(10);
  const StepPrefetch::Lease second = numbers.prefetch.take(11);
  numbers.wait_for(5);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(numbers.n_filled == 5);
  CHECK(numbers.places[first.place()] == 10);
  CHECK(numbers.places[second.place()] == 11);
}

TEST_CASE("an error of the thread arrives with the step it belongs to, once") {
  for (const int64_t depth : {0, 1, 3}) {
    CAPTURE(depth);
    Numbers numbers(depth, 1);
    numbers.failing_step = 2;
    CHECK(numbers.take(0) == 0);
    CHECK(numbers.take(1) == 1);
    CHECK_THROWS_WITH(numbers.take(2), "tokens of step 2 are damaged");
    CHECK_THROWS_AS(numbers.take(2), FormatError);
    numbers.failing_step = -1;
    CHECK(numbers.take(2) == 2);
    CHECK(numbers.take(3) == 3);
  }
}

TEST_CASE("no thread outlives its owner, whether it waits, has failed or is ahead") {
  const int64_t before = n_threads();
  for (int i = 0; i < 20; ++i) {
    Numbers unused(2, 1), failed(2, 1), ahead(8, 1);
    failed.failing_step = 0;
    CHECK_THROWS_AS(failed.take(0), FormatError);
    ahead.take(0);
    CHECK(n_threads() == before + 2);
  }
  CHECK(n_threads() == before);
}

TEST_CASE("the depth changes no bit of a run, and may change when it goes on") {
  std::string first;
  for (const int64_t depth : {0, 1, 5}) {
    TinyRun run;
    run.config.data.prefetch = depth;
    run.config.trainer.max_steps = 4;
    {
      Trainer trainer(run.config, run.services());
      trainer.fit();
    }
    run.config.trainer.max_steps = 12;
    run.config.data.prefetch = 5 - depth;
    Trainer trainer(run.config, run.services());
    trainer.resume("last");
    trainer.fit();
    if (first.empty()) first = weight_bytes(trainer.model());
    CHECK(weight_bytes(trainer.model()) == first);
  }
}

}  // namespace
}  // namespace xlstm::train
