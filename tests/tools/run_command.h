// Runs the real `xlstm` command as a child process.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "core/file_system.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"
#include "tests/test_data.h"

namespace xlstm::testing {

struct CommandResult {
  int code = -1;   // exit code, or -1 if a signal ended it
  int signal = 0;  // that signal
  std::string out, err;
};

class Command {
 public:
  // `file_limit` > 0: no file may become larger, as on a full disk.
  Command(std::vector<std::string> arguments, const std::string& dir, int64_t file_limit = 0)
      : dir_(dir) {
    const std::string program = command_path();
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string out = output_.path("out"), err = output_.path("err");
    child_ = ::fork();
    if (child_ != 0) return;
    if (::chdir(dir.c_str()) != 0) ::_exit(126);
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    if (file_limit > 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit = {static_cast<rlim_t>(file_limit), static_cast<rlim_t>(file_limit)};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }

  void kill(int signal) const { ::kill(child_, signal); }
  std::string out_so_far() const {
    const FileSystem& files = real_file_system();
    return files.exists(output_.path("out")) ? files.read_file(output_.path("out")) : "";
  }

  CommandResult wait() {
    int status = 0;
    ::waitpid(child_, &status, 0);
    CommandResult result;
    if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    result.out = real_file_system().read_file(output_.path("out"));
    result.err = real_file_system().read_file(output_.path("err"));
    return result;
  }

 private:
  TemporaryDir output_;
  std::string dir_;
  pid_t child_ = -1;
};

inline CommandResult run_command(const std::vector<std::string>& arguments, const std::string& dir,
                                 int64_t file_limit = 0) {
  return Command(arguments, dir, file_limit).wait();
}

// It ended with this code and one line that has all of the words.
inline void check_refused(const CommandResult& result, int code,
                          const std::vector<std::string>& words) {
  INFO(result.err);
  CHECK(result.signal == 0);
  CHECK(result.code == code);
  CHECK(result.err.starts_with("xlstm: error: "));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  for (const std::string& word : words) CHECK_THAT(result.err, test::contains(word));
}

}  // namespace xlstm::testing
