// A run of the command that takes a second, and processes that are disturbed while they run.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include "core/checkpoint.h"
#include "core/json.h"
#include "data/stories/stories.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
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
    child_ = ::fork();
    if (child_ != 0) return;
    if (::chdir(dir.c_str()) != 0) ::_exit(126);
    const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    const std::string line = "exec " + command;
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

  void kill(int signal) const { ::kill(child_, signal); }
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

// A folder with a corpus, a configuration and cached tokens, where many runs are made.
class SmallRuns {
 public:
  SmallRuns() {
    data::write_story_corpus(dir.path("text"), 3, 80);
    dir.file("c.yaml", kSmallConfig);
    Process warm(fit("warm", "--trainer.max_steps 1"), dir.path(), dir.path("warm.log"));
    const auto code = warm.wait(60);
    INFO(warm.output());
    REQUIRE(code == 0);
  }

  std::string fit(const std::string& name, const std::string& options = "") const {
    return "'" + testing::command_path() + "' fit -c c.yaml --trainer.name " + name + " " + options;
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
