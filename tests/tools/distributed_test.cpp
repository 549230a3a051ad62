// Training by several processes: the same numbers as by one, and an end when one is lost.
#include <csignal>
#include <thread>
#include <tuple>

#include "tests/tools/distributed_job.h"

namespace xlstm {
namespace {

using test::contains;
using test::mpirun;
using test::Outcome;
using testing::Job;
using testing::largest_difference;
using testing::largest_weight_difference;

TEST_CASE("1, 2 and 4 processes: equal losses and weights at an equal global batch") {
  if (!test::has_mpirun()) return;
  const Job job;
  REQUIRE(job.run_on(1, "one").code == 0);
  for (const int n : {2, 4}) {
    for (const char* strategy : {"ddp", "zero1"}) {
      CAPTURE(n, strategy);
      const std::string name = strategy + std::to_string(n);
      const Outcome outcome =
          job.run_on(n, name, std::string("--trainer.bucket_mb 1 --trainer.strategy ") + strategy);
      INFO(outcome.output);
      REQUIRE(outcome.code == 0);
      CHECK_THAT(outcome.output, contains(std::to_string(n) + " processes (" + strategy + ")"));
      const double train =
          largest_difference(job.losses("one", "train"), job.losses(name, "train"));
      const double valid =
          largest_difference(job.losses("one", "valid"), job.losses(name, "valid"));
      const double weights = largest_weight_difference(job, "one", name);
      std::printf(
          "%d processes, %s: losses differ by at most %.1e, validation %.1e, weights %.1e\n", n,
          strategy, train, valid, weights);
      CHECK(train <= 1e-6);
      CHECK(valid <= 1e-6);
      CHECK(weights <= 1e-5);
    }
    // Moments, too, from parts.
    CHECK(job.weights("zero1" + std::to_string(n)) == job.weights("ddp" + std::to_string(n)));
    CHECK(job.moments("zero1" + std::to_string(n)) == job.moments("ddp" + std::to_string(n)));
  }
}

TEST_CASE("several processes: every run has the same bits, accumulation and dropout included") {
  if (!test::has_mpirun()) return;
  const Job job;
  const std::string options =
      "--trainer.max_steps 10 --trainer.accumulate_grad_batches 2 --model.dropout 0.1 ";
  REQUIRE(job.run_on(2, "first", options).code == 0);
  REQUIRE(job.run_on(2, "second", options).code == 0);
  REQUIRE(job.run_on(2, "zero1", options + "--trainer.strategy zero1").code == 0);
  CHECK(job.weights("second", 10) == job.weights("first", 10));
  CHECK(job.moments("second", 10) == job.moments("first", 10));
  CHECK(job.weights("zero1", 10) == job.weights("first", 10));
  // Other processes draw other numbers: with the same ones two halves would be one.
  REQUIRE(job.run_on(1, "alone", options).code == 0);
  CHECK(job.weights("alone", 10) != job.weights("first", 10));
}

TEST_CASE("a run goes on with any number of processes") {
  if (!test::has_mpirun()) return;
  const Job job;
  const std::string base =
      "--checkpoint.every_n_train_steps 25 --lr_scheduler.total_steps 100 --trainer.max_steps ";
  REQUIRE(job.run_on(2, "reference", base + "100").code == 0);
  REQUIRE(job.run_on(2, "parts", base + "25 --trainer.strategy zero1").code == 0);
  const auto go_on = [&](int n, int64_t steps, const std::string& options = "") {
    return job.run_on(n, "parts", base + std::to_string(steps) + " --ckpt_path last " + options);
  };
  // The same number: the same bits, in the other strategy.
  REQUIRE(go_on(2, 50, "--trainer.strategy ddp").code == 0);
  CHECK(job.weights("parts", 50) == job.weights("reference", 50));
  CHECK(job.moments("parts", 50) == job.moments("reference", 50));
  // 2, 4, 1.
  const Outcome four = go_on(4, 75, "--trainer.strategy zero1");
  INFO(four.output);
  REQUIRE(four.code == 0);
  REQUIRE(go_on(1, 100).code == 0);
  const double difference =
      largest_difference(job.losses("reference", "train"), job.losses("parts", "train"));
  std::printf("2, 2, 4 and 1 processes: losses differ by at most %.1e\n", difference);
  CHECK(difference <= 1e-5);
  // Another number of sequences a step is another run.
  const Outcome more =
      job.run(mpirun(2) + job.fit("parts", base + "120 --ckpt_path last --data.batch_size 8"));
  CHECK(more.code == 2);
  CHECK_THAT(more.output, contains("sequences of a step, got 16"));
}

TEST_CASE("checkpoints beside steps: copied by all ranks into memory that they share, or by one") {
  if (!test::has_mpirun()) return;
  const Job job;
  for (const auto& [n, strategy, apart] :
       {std::tuple(2, "zero1", false), {4, "zero1", false}, {4, "ddp", false}, {2, "zero1", true}})
    testing::check_checkpoints_beside_steps(
        job, n, std::string("--trainer.bucket_mb 1 --trainer.strategy ") + strategy, apart);
}

// The limit is above what training takes and below what copies would take besides.
TEST_CASE("without memory for copies on the first rank, all wait for each checkpoint") {
  if (!test::has_mpirun()) return;
  const Job job;
  const Outcome outcome =
      job.run("export XLSTM_MEMORY_LIMIT=62000000 && " + mpirun(2) +
              job.fit("tight",
                      "--model.embedding_dim 256 --model.num_blocks 6 --data.batch_size 1 "
                      "--trainer.max_steps 6 --trainer.limit_val_batches 0 "
                      "--checkpoint.every_n_train_steps 2 --trainer.collective_timeout 20"));
  INFO(outcome.output);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output, contains("checkpoint.async: no host memory"));
  for (const int64_t step : {2, 4, 6})
    CHECK(verify_checkpoint(job.checkpoint("tight", step)).empty());
}

TEST_CASE("states that go from step to step do so on any number of processes") {
  if (!test::has_mpirun()) return;
  const Job job;
  const std::string options =
      "--data.stateful true --trainer.max_steps 12 --checkpoint.every_n_train_steps 6 ";
  REQUIRE(job.run_on(1, "one", options).code == 0);
  REQUIRE(job.run_on(2, "two", options).code == 0);
  CHECK(largest_difference(job.losses("one", "train"), job.losses("two", "train")) <= 1e-6);
  const std::string then = "--ckpt_path " + job.checkpoint("one", 6) + " " + options;
  const Outcome outcome = job.run_on(4, "four", then);
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
}

TEST_CASE("trainer.devices starts the processes itself") {
  if (!test::has_mpirun()) return;
  const Job job;
  const std::string options = "--trainer.max_steps 3 --data.batch_size 4 ";
  const Outcome outcome = job.run(job.fit("two", options + "--trainer.devices 2"));
  INFO(outcome.output);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output, contains("2 processes (ddp)"));
  const Outcome absent =
      job.run("PATH=/nowhere " + job.fit("none", options + "--trainer.devices 2"));
  CHECK(absent.code == 2);
  CHECK_THAT(absent.output, contains("mpirun"));
  const Outcome other = job.run(mpirun(3) + job.fit("other", options + "--trainer.devices 2"));
  CHECK(other.code == 2);
  CHECK_THAT(other.output, contains("trainer.devices: got 2, but mpirun started 3"));
  const Outcome narrow =
      job.run(mpirun(2) + job.fit("narrow", options + "--trainer.reduce_dtype bfloat16"));
  CHECK(narrow.code == 2);
  CHECK_THAT(narrow.output, contains("trainer.reduce_dtype: got bfloat16"));
  const Outcome nodes = job.run(job.fit("nodes", options + "--trainer.num_nodes 2"));
  CHECK(nodes.code == 2);
  CHECK_THAT(nodes.output, contains("trainer.num_nodes"));
}

TEST_CASE("processes that would train something else are named") {
  if (!test::has_mpirun()) return;
  const Job job;
  REQUIRE(job.run(job.fit("warm", "--trainer.max_steps 1")).code == 0);
  const std::string one = job.fit("x", "--data.batch_size 4");
  const Outcome outcome = job.run(mpirun(1) + one + " --optimizer.lr 0.5 : -np 1 " + one);
  INFO(outcome.output);
  CHECK(outcome.code == 6);
  CHECK_THAT(outcome.output, contains("the configuration differs from rank 0's on rank 1"));
}

// The processes of a job that goes on until it is stopped: mpirun's and the ranks', by rank.
struct Running {
  FILE* pipe = nullptr;
  std::vector<pid_t> ranks;
};

// Waits for so many lines of the run's log.
bool has_rows(const Job& job, const std::string& name, size_t n) {
  for (int i = 0; i < 600; ++i) {
    const std::string path = job.dir.path("runs/" + name + "/version_0/metrics.jsonl");
    if (real_file_system().exists(path)) {
      const std::string text = real_file_system().read_file(path);
      if (static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) >= n) return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

// `action` is a shell command that finds its rank's process in $RANK0 or $RANK1; the job runs in
// the background meanwhile. Its exit code and output, and how long it took from the action on.
struct Ended {
  Outcome outcome;
  double seconds = 0;
};
Ended disturb(const Job& job, const std::string& name, const std::string& options,
              const std::string& action, int n = 2) {
  const std::string log = job.dir.path(name + ".log");
  const std::string command =
      job.fit(name, "--trainer.max_steps 1000000 --data.batch_size 2 " + options);
  // Every rank writes its process number and becomes the command.
  const std::string rank = "sh -c 'echo $$ >" + name + ".pid$OMPI_COMM_WORLD_RANK; exec " +
                           std::string("\"$@\"' x ") + command;
  const std::string job_line =
      "( " + mpirun(n) + rank + " >'" + log + "' 2>&1; echo $? >" + name + ".code ) &";
  REQUIRE(std::system(("cd '" + job.dir.path() + "' && " + job_line).c_str()) == 0);
  const bool runs = has_rows(job, name, 5);
  if (!runs) INFO(real_file_system().read_file(log));
  REQUIRE(runs);
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(
      job.run("RANK0=$(cat " + name + ".pid0); RANK1=$(cat " + name + ".pid1); " + action).code ==
      0);
  Ended ended;
  const std::string code = job.dir.path(name + ".code");
  for (int i = 0; i < 900 && !real_file_system().exists(code); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ended.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  ended.outcome.output = real_file_system().read_file(log);
  INFO(ended.outcome.output);
  REQUIRE(real_file_system().exists(code));
  ended.outcome.code = std::atoi(real_file_system().read_file(code).c_str());
  // Nothing is left over, but for what nobody has collected yet. A process that was killed just now
  // may still be giving back its memory.
  for (int r = 0; r < n; ++r)
    CHECK(job.run("for i in $(seq 50); do grep -qs '^State:.*[^Z] (' /proc/$(cat " + name + ".pid" +
                  std::to_string(r) + ")/status || exit 0; sleep 0.1; done; exit 1")
              .code == 0);
  return ended;
}

TEST_CASE("a signal to one rank stops all after the same step, with a checkpoint") {
  if (!test::has_mpirun()) return;
  const Job job;
  const Ended ended = disturb(job, "signal", "", "kill -TERM $RANK1");
  INFO(ended.outcome.output);
  CHECK(ended.outcome.code == 3);
  CHECK_THAT(ended.outcome.output, contains("stopping on a signal"));
  const auto latest = find_latest_checkpoint(job.dir.path("runs/signal/version_0/checkpoints"));
  REQUIRE(latest.has_value());
  const std::string rows =
      real_file_system().read_file(job.dir.path("runs/signal/version_0/metrics.jsonl"));
  const int64_t step = Checkpoint::open(*latest).step();
  CHECK_THAT(rows, contains("\"step\":" + std::to_string(step) + ","));
  CHECK_THAT(rows, !contains("\"step\":" + std::to_string(step + 1) + ","));
}

TEST_CASE("a rank that was killed ends the job") {
  if (!test::has_mpirun()) return;
  const Job job;
  const Ended ended = disturb(job, "killed", "--trainer.collective_timeout 2", "kill -KILL $RANK1");
  CHECK(ended.outcome.code != 0);
  CHECK(ended.seconds < 2 + 5);
}

TEST_CASE("a rank that was stopped ends the job, and the record says whom it was waited for") {
  if (!test::has_mpirun()) return;
  const Job job;
  const Ended ended =
      disturb(job, "stopped", "--trainer.collective_timeout 2", "kill -STOP $RANK1", 3);
  INFO(ended.outcome.output);
  CHECK(ended.outcome.code == 6);
  CHECK(ended.seconds < 2 + 5);
  CHECK_THAT(ended.outcome.output, contains("waited 2 s in"));
  const Outcome report =
      job.run("'" + testing::command_path() + "' inspect hang runs/stopped/version_0");
  INFO(report.output);
  CHECK(report.code == 0);
  CHECK_THAT(report.output, contains("rank 1 left no record"));
}

}  // namespace
}  // namespace xlstm
