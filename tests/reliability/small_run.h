// A run of the command that takes a second, and processes that are disturbed while they run.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "core/checkpoint.h"
#include "core/device.h"
#include "core/json.h"
#include "data/stories/stories.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tests/ranks.h"
#include "tests/reliability/proof.h"
#include "tests/test_data.h"
#include "tools/train/metrics_log.h"
#include "tools/train/run_folder.h"

namespace xlstm::proof {

inline void sleep_ms(double milliseconds) {
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
}

inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A shell command in the background, its output in a file.
class Process {
 public:
  Process(const std::string& command, const std::string& dir, const std::string& output)
      : output_(output) {
    const std::string line = "exec " + command;
    child_ = ::fork();
    if (child_ != 0) return;
    if (::chdir(dir.c_str()) != 0) ::_exit(126);
    const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    ::_exit(127);
  }
  ~Process() {
    if (!code_) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void kill(int signal) const {
    if (!code_) ::kill(child_, signal);
  }
  // Whether it has said yet what happens at a signal: ignores or catches it.
  bool minds(int signal) const {
    std::ifstream status("/proc/" + std::to_string(child_) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.rfind("SigIgn:", 0) == 0 || line.rfind("SigCgt:", 0) == 0)
        if ((std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0) return true;
    return false;
  }
  // The exit code, or 128 + the signal that ended it; none while it runs.
  std::optional<int> code() {
    int status = 0;
    if (!code_ && ::waitpid(child_, &status, WNOHANG) == child_)
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
  }
  std::optional<int> wait(double seconds) {
    for (const double end = now_s() + seconds; !code() && now_s() < end;) sleep_ms(2);
    return code();
  }
  std::string output() const { return real_file_system().read_file(output_); }

 private:
  std::string output_;
  pid_t child_ = -1;
  std::optional<int> code_;
};

constexpr const char* kSmallConfig = R"(
trainer: {max_steps: 30, val_check_interval: 10, limit_val_batches: 2, log_every_n_steps: 1,
          enable_progress_bar: false, logger: [], num_threads: 1, accelerator: cpu,
          num_sanity_val_steps: 1}
checkpoint: {every_n_train_steps: 3, keep_last: 2, save_top_k: 0}
lr_scheduler: {total_steps: 100}
data: {root: text, vocab_size: 300, max_length: 24, batch_size: 4, cache_dir: cache}
model: {arch: xlstm, embedding_dim: 16, num_blocks: 2, signature: [1, 1], dropout: 0.1,
        mlstm_block: {mlstm: {num_heads: 2}}, slstm_block: {slstm: {num_heads: 2}}}
sample: {prompts: []}
)";

// What all runs of a proof have besides the configuration: the device.
inline std::vector<std::pair<std::string, std::string>> device_options() {
  if (!on_cuda()) return {};
  return {{"trainer.accelerator", "gpu"}, {"trainer.precision", "bf16-mixed"}};
}

inline void require_device() {
  INFO("XLSTM_PROOF_DEVICE: got " << asked_device() << " and " << cuda_device_count()
                                  << " CUDA devices, expected cpu, or cuda where there is one");
  const bool is_there = asked_device() == "cpu" || (on_cuda() && cuda_device_count() > 0);
  REQUIRE(is_there);
}

// For a case to go home if not: whether so many ranks can be started, on a GPU each if runs train
// there. That it was skipped is said here.
inline bool has_ranks(int n) {
  require_device();
  if (!test::has_mpirun()) return false;
  if (!on_cuda()) return true;
  if (comm::has_nccl() && cuda_device_count() >= n) return true;
  test::skipped(comm::has_nccl() ? std::to_string(n) + " ranks need as many GPUs, here are " +
                                       std::to_string(cuda_device_count())
                                 : "no NCCL here");
  return false;
}

// The start of a command line for so many ranks. On GPUs they meet at a port, which a job that has
// just been killed may still have.
inline std::string start_ranks(int n) {
  static int n_jobs = 0;
  const int port = 20000 + (::getpid() % 500 * 20 + 2 * n_jobs++) % 12000;
  return (on_cuda() ? "MASTER_PORT=" + std::to_string(port) + " " : "") + test::mpirun(n);
}

// trial(i) for i < n. Where a run begins with seconds of waiting for a GPU, some at a time, so they
// check nothing themselves.
template <class Result, class Trial>
std::vector<Result> each_trial(int n, Trial trial) {
  std::vector<Result> results(static_cast<size_t>(n));
  std::atomic<int> next{0};
  std::exception_ptr error;
  std::atomic<bool> failed{false};
  const auto work = [&] {
    for (int i = next++; i < n && !failed; i = next++) {
      try {
        results[static_cast<size_t>(i)] = trial(i);
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < (on_cuda() ? 4 : 1); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  if (error) std::rethrow_exception(error);
  return results;
}

// A moment of a run: after a part (0 to 1) of its start, or of a span of time that begins with its
// first new checkpoint.
struct Moment {
  bool in_start = false;
  double part = 0;
};

inline Moment random_moment(std::mt19937_64& random, bool in_start) {
  return {in_start, 1e-3 * static_cast<double>(random() % 1000)};
}

// How long a run takes until its first checkpoint, and from there to its end.
struct Pace {
  double start_s = 0, train_s = 0;
};

// A folder with a corpus, a configuration and cached tokens, where many runs are made.
class SmallRuns {
 public:
  SmallRuns() {
    require_device();
    data::write_story_corpus(dir.path("text"), 3, 80);
    dir.file("c.yaml", kSmallConfig);
    Process warm(fit("warm", "--trainer.max_steps 1"), dir.path(), dir.path("warm.log"));
    const auto code = warm.wait(60);
    INFO(warm.output());
    REQUIRE(code == 0);
  }

  std::string fit(const std::string& name, const std::string& options = "") const {
    std::string device;
    for (const auto& [key, value] : device_options()) device += "--" + key + " " + value + " ";
    return "'" + testing::command_path() + "' fit -c c.yaml --trainer.name " + name + " " + device +
           options;
  }
  std::string checkpoints(const std::string& name) const {
    return dir.path("runs/" + name + "/version_0/checkpoints");
  }
  // The newest good checkpoint of the newest run of this name.
  std::optional<std::string> last(const std::string& name) const {
    try {
      return train::resolve_checkpoint("last", dir.path("runs"), name, real_file_system());
    } catch (const FileError&) {
      return std::nullopt;
    }
  }
  // What a job script does: goes on where there is something to go on from.
  std::string fit_or_go_on(const std::string& name, const std::string& options = "") const {
    return fit(name, (last(name) ? "--ckpt_path last " : "") + options);
  }
  // Of the newest checkpoint: weights, moments and random numbers.
  std::string bytes(const std::string& name) const {
    const std::string path = last(name).value();
    std::string all;
    for (const char* file : {"model.safetensors", "optimizer.safetensors"})
      all += real_file_system().read_file(join_path(path, file));
    const std::string state = join_path(path, "train_state.json");
    const Json json = parse_json(real_file_system().read_file(state), state);
    for (const char* key : {"step", "tokens_seen", "generator_seed", "generator_offset"})
      if (const Json* value = json.find(key)) all += to_text(*value);
    return all;
  }
  // The last step of the log, 0 if there is none.
  int64_t last_logged_step(const std::string& name) const {
    int64_t step = 0;
    for (const Json& row : train::MetricsLog::read(
             dir.path("runs/" + name + "/version_0/metrics.jsonl"), real_file_system()))
      if (row.find("split")->as_string() != "sample")
        step = std::max(step, row.find("step")->as_int());
    return step;
  }
  // Of its newest checkpoint, damaged or not; 0 if there is none.
  int64_t last_saved_step(const std::string& name) const {
    const FileSystem& files = real_file_system();
    const std::string folder = dir.path("runs/" + name);
    int64_t step = 0;
    if (!files.is_dir(folder)) return step;
    for (const std::string& version : files.list(folder))
      for (const std::string& path :
           list_checkpoints(join_path(join_path(folder, version), "checkpoints"), files))
        step = std::max<int64_t>(step, std::atoll(path.c_str() + path.rfind("step-") + 5));
    return step;
  }
  // Waits for a moment of a run that has just been started, or for its end.
  void await(const std::string& name, Process& run, const Moment& moment, double start_s,
             double span_s) const {
    const int64_t before = last_saved_step(name);
    if (moment.in_start) {
      run.wait(moment.part * start_s);
      return;
    }
    for (const double end = now_s() + 120;
         !run.code() && last_saved_step(name) <= before && now_s() < end;)
      sleep_ms(1);
    run.wait(moment.part * span_s);
  }
  // Makes a run that is left alone.
  Pace make_whole(const std::string& name, const std::string& options, double limit_s) const {
    const double begin = now_s();
    Process run(fit(name, options), dir.path(), dir.path(name + ".log"));
    await(name, run, {}, 0, 0);
    const double saved = now_s();
    const std::optional<int> code = run.wait(limit_s);
    INFO(run.output());
    REQUIRE(code == 0);
    return {saved - begin, now_s() - saved};
  }
  bool saves_now(const std::string& name) const {
    const std::string root = checkpoints(name);
    if (!real_file_system().exists(root)) return false;
    for (const std::string& entry : real_file_system().list(root))
      if (entry.find(".tmp-") != std::string::npos) return true;
    return false;
  }
  // Sends the signal, and says whether it came while a checkpoint was written: the run is halted
  // meanwhile.
  bool disturb(const std::string& name, const Process& run, int signal) const {
    run.kill(SIGSTOP);
    sleep_ms(1);
    const bool saves = saves_now(name);
    run.kill(signal);
    run.kill(SIGCONT);
    return saves;
  }
  void forget(const std::string& name) const {
    real_file_system().remove_all(dir.path("runs/" + name));
  }

  TemporaryDir dir;
};

}  // namespace xlstm::proof
