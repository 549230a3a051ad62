// Runs cases of this test program as several processes: `mpirun -np N <this program> "<case>"`.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/comm/communicator.h"
#include "tests/catch.h"
#include "tests/skip.h"

namespace xlstm::test {

struct Outcome {
  int code = 0;  // of the program
  std::string output;
};

// What a shell makes of `command`, both streams together.
inline Outcome shell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> buffer;
  while (const size_t n = fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), n);
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

inline std::string this_program() {
  std::array<char, 4096> path{};
  const ssize_t n = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return {path.data(), n > 0 ? static_cast<size_t>(n) : 0};
}

// What Open MPI has not freed at its end is not ours: for `make asan`.
inline constexpr const char* kLeaksOfMpi = "ASAN_OPTIONS=detect_leaks=0 ";

// The start of a command line for `n` processes on this machine, whoever runs it and however few
// processors it has.
inline std::string mpirun(int n) {
  return std::string(kLeaksOfMpi) +
         "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 "
         "mpirun --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none -np " +
         std::to_string(n) + " ";
}

// For a case to go home if not: that it was skipped is said here.
inline bool has_mpirun() {
  if (comm::has_mpi() && std::system("command -v mpirun >/dev/null 2>&1") == 0) return true;
  skipped("no mpirun here, or a build without Open MPI");
  return false;
}

// A hidden case of this program on `n` ranks.
inline Outcome run_ranks(int n, const std::string& name, const std::string& variables = "") {
  return shell(variables + " " + mpirun(n) + "'" + this_program() + "' '" + name + "'");
}

}  // namespace xlstm::test
