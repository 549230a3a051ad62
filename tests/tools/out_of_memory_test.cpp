// Memory that runs out in the middle of training: what is reported, and that nothing is lost.
#include <cmath>
#include <cstdlib>

#include "core/allocator.h"
#include "tests/catch.h"
#include "tests/reliability/proof.h"
#include "tests/tools/run_command.h"
#include "tests/tools/tiny_run.h"
#include "tools/train/config_io.h"
#include "tools/train/memory_limit.h"

namespace xlstm::train {
namespace {

using xlstm::test::contains;

void check_same(const MemoryStats& now, const MemoryStats& before) {
  CHECK(now.in_use_bytes == before.in_use_bytes);
  CHECK(now.in_use_by == before.in_use_by);
}

TEST_CASE("whichever allocation of a step fails, everything is freed and training can go on") {
  const MemoryStats start = memory_stats();
  {
    TinyRun run;
    run.config.data.batch_size = 4;
    run.config.trainer.accumulate_grad_batches = 1;
    run.config.trainer.num_threads = 1;
    run.config.data.prefetch = 0;  // all allocations in one thread, in one order
    Trainer trainer(run.config, run.services());
    const MemoryStats before = memory_stats();
    int64_t n = 1;
    proof::Promise promise(14, "the n-th allocation of a step fails: reported, all memory back");
    for (bool failed = true; failed; ++n) {
      fail_allocation(n);
      failed = false;
      try {
        trainer.step();
      } catch (const OutOfMemory& error) {
        failed = true;
        CHECK_THAT(error.what(), contains("out of memory on cpu"));
        CHECK_THAT(error.what(), contains("Try data.batch_size at most "));
      }
      check_same(memory_stats(), before);
      promise.points(1);
    }
    fail_allocation(0);
    CHECK(n > 100);  // the step allocates; it was no empty loop
    run.config.data.batch_size = 2;
    Trainer smaller(run.config, run.services());
    CHECK(std::isfinite(smaller.step().loss));
  }
  check_same(memory_stats(), start);
}

TEST_CASE("a limit that the batch exceeds is met by following the advice") {
  TinyRun run;
  run.config.data.batch_size = 16;
  run.config.trainer.accumulate_grad_batches = 1;
  Trainer trainer(run.config, run.services());
  release_cached_memory();
  const int64_t in_use = memory_stats().in_use_bytes;
  reset_peak_memory();
  trainer.step();
  const int64_t needed = memory_stats().peak_bytes - in_use;
  release_cached_memory();
  set_memory_limit(in_use + needed / 2);
  std::string text;
  try {
    trainer.step();
  } catch (const OutOfMemory& error) {
    text = error.what();
  }
  set_memory_limit(0);
  CHECK_THAT(text, contains("activations "));
  CHECK_THAT(text, contains("(now 16; more trainer.accumulate_grad_batches than 1 make up for it), "
                            "or trainer.activation_checkpointing true."));
  CHECK_NOTHROW(trainer.step());
}

TEST_CASE("advice looks at the configuration and at what took the memory") {
  RunConfig config;
  config.data.batch_size = 16;
  MemoryReport report;
  report.tried = 20;
  report.in_use_by[static_cast<size_t>(MemoryCategory::activations)] = 60;
  report.asking.category = MemoryCategory::activations;
  const auto advice = [&](Device device = kCpu) {
    return memory_advice(config, ModelUse::training, device, report);
  };
  CHECK_THAT(advice(), contains("data.batch_size at most 12 (now 16"));
  CHECK_THAT(advice(), !contains("bf16-mixed"));
  CHECK_THAT(advice({DeviceType::cuda, 0}), contains("trainer.precision bf16-mixed"));
  config.trainer.activation_checkpointing = true;
  CHECK_THAT(advice(), !contains("activation_checkpointing"));
  config.data.batch_size = 1;
  CHECK_THAT(advice(), contains("data.max_length (now 256)"));
  CHECK_THAT(advice(), !contains("batch_size"));
  report.asking.category = MemoryCategory::optimizer;
  CHECK_THAT(advice(), contains("fewer blocks"));
}

TEST_CASE("the command ends with exit code 5 and the report") {
  TinyRun run;
  run.config.trainer.max_steps = 1;
  run.config.data.batch_size = 256;
  run.config.data.root = run.dir.path("text");
  real_file_system().write_file(run.dir.path("run.yaml"), run_config_to_yaml(run.config));
  ::setenv("XLSTM_MEMORY_LIMIT", "2M", 1);
  const auto result =
      testing::Command({"fit", "--config", "run.yaml", "--trainer.accelerator", "cpu"},
                       run.dir.path(""))
          .wait();
  ::unsetenv("XLSTM_MEMORY_LIMIT");
  CHECK(result.code == 5);
  CHECK_THAT(result.err, contains("xlstm: error: out of memory on cpu in "));
  CHECK_THAT(result.err, contains(" of 2.00 MiB, in use "));
  CHECK_THAT(result.err, contains("Try data.batch_size at most "));
}

}  // namespace
}  // namespace xlstm::train
