// A rank that is killed or stopped at any moment, start included, never leaves the others waiting.
#include "tests/ranks.h"

#include <dirent.h>

#include "tests/reliability/proof.h"
#include "tests/reliability/small_run.h"

namespace xlstm::proof {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Living processes of the run of this name, mpirun included, and the rank of each (-1: none).
std::map<pid_t, int> processes_of(const std::string& name) {
  std::map<pid_t, int> found;
  DIR* all = ::opendir("/proc");
  REQUIRE(all != nullptr);
  while (const dirent* entry = ::readdir(all)) {
    const pid_t process = std::atoi(entry->d_name);
    if (process <= 0) continue;
    const std::string folder = std::string("/proc/") + entry->d_name;
    const std::string words = text_of(folder + "/cmdline");
    if (words.find(std::string("--trainer.name") + '\0' + name + '\0') == std::string::npos)
      continue;
    if (text_of(folder + "/status").find("State:\tZ") != std::string::npos) continue;
    const std::string variables = '\0' + text_of(folder + "/environ");
    const std::string key = std::string(1, '\0') + "OMPI_COMM_WORLD_RANK=";
    const size_t at = variables.find(key);
    found[process] = at == std::string::npos ? -1 : std::atoi(variables.c_str() + at + key.size());
  }
  ::closedir(all);
  return found;
}

pid_t process_of(const std::string& name, int rank) {
  for (const auto& [process, its_rank] : processes_of(name))
    if (its_rank == rank) return process;
  return 0;
}

bool runs_on(pid_t process) {
  const std::string status = text_of("/proc/" + std::to_string(process) + "/status");
  return !status.empty() && status.find("State:\tT") == std::string::npos &&
         status.find("State:\tZ") == std::string::npos;
}

// Seconds. On GPUs ranks take longer to meet, and to leave.
struct Limits {
  int start = on_cuda() ? 10 : 4, call = on_cuda() ? 3 : 2;
  std::string options() const {
    return "--trainer.collective_timeout " + std::to_string(call) + " --trainer.start_timeout " +
           std::to_string(start) + " ";
  }
  // One that may be waited for: six times as long holds for what one rank does alone.
  bool has(double seconds) const {
    return seconds == start || seconds == call || seconds == 6 * call;
  }
};

// Of the whole job; besides, nothing of it is left over, which may take what GPUs take to be freed.
std::optional<int> wait_for_end(const std::string& name, Process& job, double seconds) {
  const std::optional<int> code = job.wait(seconds);
  sleep_ms(50);
  for (const double end = now_s() + 4; on_cuda() && !processes_of(name).empty() && now_s() < end;)
    sleep_ms(20);
  return code;
}

// "waited 2 s in all_reduce ..." gives 2; 0 if nobody has waited.
double limit_of(const std::string& output) {
  const size_t at = output.find(": waited ");
  return at == std::string::npos ? 0 : std::atof(output.c_str() + at + 9);
}

struct Disturbance {
  int n_ranks, rank = 0;
  bool kills;           // else it is stopped
  int64_t call = 0;     // > 0: the rank does it to itself, before this collective call
  double start_ms = 0;  // else from outside, so long after it was started
};

TEST_CASE("a rank that is killed or stopped at any moment ends the job in time") {
  if (!has_ranks(2)) return;
  const SmallRuns runs;
  std::mt19937_64 random = random_source();
  const Limits limits;
  Promise promise(8, on_cuda() ? "a rank of 2 killed or stopped at a random call or moment"
                               : "a rank of 2 or 4 killed or stopped at a random call or moment");
  double latest = 0, longest_kill = 0;
  int64_t n_records = 0, n_start = 0;
  const int n = n_points(2, 60, 10);
  for (int i = 0; i < n; ++i) {
    Disturbance d{.n_ranks = i % 4 == 3 && !on_cuda() ? 4 : 2, .kills = i % 3 == 1};
    d.rank = static_cast<int>(random() % static_cast<uint64_t>(d.n_ranks));
    d.call = i % 3 == 2 ? 0 : 1 + static_cast<int64_t>(random() % (i % 2 == 0 ? 60 : 12));
    if (!is_long()) d.call = 40;  // in training: one rank alone may take six times as long
    d.start_ms = static_cast<double>(random() % 700) * (on_cuda() ? 10 : 1);
    if (i % 6 == 5) d.kills = true;
    const std::string name = "r" + std::to_string(::getpid()) + "x" + std::to_string(i);
    const std::string fault = "XLSTM_FAULT=" + std::string(d.kills ? "kill" : "stop") +
                              "@rank=" + std::to_string(d.rank) +
                              ",call=" + std::to_string(d.call) + " ";
    const std::string options = "--trainer.max_steps 1000000 " + limits.options() +
                                "--data.batch_size " + std::to_string(4 / d.n_ranks);
    Process job("env " + (d.call > 0 ? fault : std::string()) + start_ranks(d.n_ranks) +
                    runs.fit(name, options),
                runs.dir.path(), runs.dir.path("log"));
    pid_t victim = 0;
    for (const double end = now_s() + 30; victim == 0 && now_s() < end; sleep_ms(2))
      victim = process_of(name, d.rank);
    REQUIRE(victim != 0);
    if (d.call == 0) {
      sleep_ms(d.start_ms);
      ::kill(victim, d.kills ? SIGKILL : SIGSTOP);
    }
    while (runs_on(victim) && !job.code()) sleep_ms(2);
    const double begin = now_s();
    const std::optional<int> code = wait_for_end(name, job, 40);
    const double took = now_s() - begin;
    const std::map<pid_t, int> left = processes_of(name);
    const std::string output = job.output();
    const double limit = limit_of(output);
    const bool in_time = took <= limit + 5 && (limit == 0 || limits.has(limit));
    const bool says_where = output.find(": waited ") != std::string::npos &&
                            (output.find("number ") != std::string::npos ||
                             output.find("for all ranks to meet") != std::string::npos) &&
                            output.find("xlstm inspect hang") != std::string::npos;
    // Who was stopped is waited for; of one that died, mpirun tells the others.
    const bool good = code.has_value() && in_time && left.empty() &&
                      (d.kills ? code != 0 : code == 6 && says_where);
    n_records += says_where;
    n_start += output.find(" steps of ") == std::string::npos;
    latest = std::max(latest, took - limit);
    if (d.kills) longest_kill = std::max(longest_kill, took);
    char text[300];
    std::snprintf(
        text, sizeof text,
        "%s of rank %d of %d, call %lld or after %.0f ms: code %d after %.2f s, limit %.0f, "
        "%zu processes left\n",
        d.kills ? "kill" : "stop", d.rank, d.n_ranks, static_cast<long long>(d.call), d.start_ms,
        code.value_or(-1), took, limit, left.size());
    promise.point(good, text + output);
    for (const auto& [process, rank] : left) ::kill(process, SIGKILL);
    runs.forget(name);
  }
  char text[200];
  std::snprintf(text, sizeof text,
                "%lld during start-up, %lld records; at most %.2f s over the limit, kills %.2f s; "
                "nothing left over",
                static_cast<long long>(n_start), static_cast<long long>(n_records), latest,
                longest_kill);
  promise.figure(text);
}

TEST_CASE("a rank that never comes to the start ends the job within start_timeout") {
  if (!has_ranks(2)) return;
  const SmallRuns runs;
  Promise promise(8, "a rank that is stopped before all have met");
  for (const int rank : {0, 1}) {
    if (rank == 0 && !is_long()) continue;
    const std::string name = "n" + std::to_string(::getpid()) + "x" + std::to_string(rank);
    Process job("env " + start_ranks(2) + "sh -c '[ $OMPI_COMM_WORLD_RANK != " +
                    std::to_string(rank) + " ] || kill -STOP $$; exec \"$@\"' x " +
                    runs.fit(name, "--trainer.start_timeout 2 --data.batch_size 2"),
                runs.dir.path(), runs.dir.path("log"));
    // The start of the processes comes on top.
    const std::optional<int> code = wait_for_end(name, job, 2 + 5 + 5);
    const bool alone = processes_of(name).empty();
    const std::string output = job.output();
    promise.point(code == 6 && alone &&
                      output.find("waited 2 s in the start, for all ranks to meet") != output.npos,
                  std::to_string(code.value_or(-1)) + "\n" + output);
    for (const auto& [process, its_rank] : processes_of(name)) ::kill(process, SIGKILL);
  }
}

TEST_CASE("ranks that make other calls, leave, throw or are slow end as they should") {
  if (!has_ranks(2)) return;
  const SmallRuns runs;
  struct Row {
    std::string fault;
    int code;  // -1: any but 0
    const char* words;
  };
  // NCCL does not compare the calls of ranks, MPI does (core/comm/mpi.cpp).
  std::vector<Row> rows;
  if (!on_cuda())
    rows = {{"skip_call@rank=1,call=30", 6, "makes another call"},
            {"other_size@rank=1,call=30", 6, "makes another call"},
            {"skip_call@rank=0,call=25", 6, "another call"},
            {"other_size@rank=0,call=25", 6, "another call"},
            {"throw@rank=0,call=40", -1, "thrown before collective call 40"}};
  const std::vector<Row> on_any = {{"exit@rank=1,step=3,code=9", -1, ""},
                                   {"throw@rank=1,step=3", -1, "thrown before step 3"},
                                   {"slow@rank=1,step=3,seconds=1", 0, "trained 6 steps"},
                                   {"exit@rank=0,step=2,code=0", -1, ""},
                                   {"slow@rank=0,call=12,seconds=1.5", 0, "trained 6 steps"}};
  rows.insert(rows.end(), on_any.begin(), on_any.end());
  if (!is_long()) rows.resize(1);
  Promise promise(
      8, on_cuda() ? "a rank that exits, throws or is slow"
                   : "a rank that skips a call, sends another size, exits, throws or is slow");
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    const std::string name = "o" + std::to_string(::getpid()) + "x" + std::to_string(i);
    Process job("env XLSTM_FAULT=" + row.fault + " " + start_ranks(2) +
                    runs.fit(name, "--trainer.max_steps 6 --trainer.collective_timeout " +
                                       std::to_string(Limits().call) + " --data.batch_size 2"),
                runs.dir.path(), runs.dir.path("log"));
    const std::optional<int> code = wait_for_end(name, job, 40);
    const bool right = row.code < 0 ? code.value_or(0) != 0 : code == row.code;
    const bool alone = processes_of(name).empty();
    promise.point(right && alone && job.output().find(row.words) != std::string::npos,
                  row.fault + ": code " + std::to_string(code.value_or(-1)) + "\n" + job.output());
    runs.forget(name);
  }
}

}  // namespace
}  // namespace xlstm::proof
