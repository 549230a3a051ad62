#include "core/comm/world.h"

#include <charconv>
#include <cstdlib>
#include <optional>

#include "core/error.h"
#include "core/excerpt.h"

namespace xlstm::comm {
namespace {

class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  bool has(const char* name) const { return text(name) != nullptr; }

  const char* text(const char* name) const {
    const char* value = environment_(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
  }

  int number(const char* name, int least, int most) const {
    const char* value = text(name);
    const std::string_view digits = value == nullptr ? "" : value;
    int result = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), result);
    require<ConfigError>(parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() &&
                             result >= least && result <= most,
                         "environment: ", name, ", got ",
                         value == nullptr ? "nothing" : excerpt(digits),
                         ", expected a number from ", least, " to ", most,
                         " (set by the launcher of the processes)");
    return result;
  }

  int number_or(const char* name, int least, int most, int otherwise) const {
    return has(name) ? number(name, least, most) : otherwise;
  }

 private:
  const Environment& environment_;
};

constexpr int kMostRanks = 1 << 20;

// The variables of a launcher; local ones may be missing.
struct Names {
  const char *launcher, *rank, *size, *local_rank, *local_size;
};
constexpr Names kLaunchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"mpich", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    // A batch script has SLURM_PROCID too; only the processes of a step have the number of tasks.
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr},
};

// "4(x2),3": what Slurm says of the tasks on each node of a step; of the first, if all are equal.
int tasks_per_node(const Variables& variables) {
  const char* text = variables.text("SLURM_STEP_TASKS_PER_NODE");
  if (text == nullptr) return 0;
  const std::string_view all = text;
  int tasks = 0;
  const auto parsed = std::from_chars(all.data(), all.data() + all.size(), tasks);
  return parsed.ec == std::errc() && all.find(',') == std::string_view::npos ? tasks : 0;
}

int slurm_port(const Variables& variables) {
  const char* text = variables.text("SLURM_JOB_ID");
  if (text == nullptr) return 29500;
  const std::string id = text;
  const std::string last = id.size() > 4 ? id.substr(id.size() - 4) : id;
  int digits = 0;
  std::from_chars(last.data(), last.data() + last.size(), digits);
  return 15000 + digits;
}

}  // namespace

std::string first_host(const std::string& node_list) {
  const size_t bracket = node_list.find_first_of("[,");
  if (bracket == std::string::npos || node_list[bracket] == ',')
    return node_list.substr(0, bracket);
  const size_t end = node_list.find_first_of("-,]", bracket + 1);
  if (end == std::string::npos) return node_list.substr(0, bracket);
  const std::string number = node_list.substr(bracket + 1, end - bracket - 1);
  const size_t close = node_list.find(']', bracket);
  const size_t next = close == std::string::npos ? close : node_list.find(',', close);
  const std::string tail =
      close == std::string::npos
          ? ""
          : node_list.substr(close + 1, next == std::string::npos ? next : next - close - 1);
  return node_list.substr(0, bracket) + number + tail;
}

World world_from_environment(const Environment& environment) {
  const Variables variables(environment);
  World world;
  for (const Names& names : kLaunchers) {
    if (!variables.has(names.rank) || !variables.has(names.size)) continue;
    world.launcher = names.launcher;
    world.size = variables.number(names.size, 1, kMostRanks);
    world.rank = variables.number(names.rank, 0, world.size - 1);
    world.local_rank =
        variables.number_or(names.local_rank, 0, world.size - 1, world.size == 1 ? 0 : world.rank);
    world.local_size = names.local_size == nullptr
                           ? tasks_per_node(variables)
                           : variables.number_or(names.local_size, 1, world.size, 0);
    if (world.size == 1) world.local_size = 1;
    break;
  }
  if (world.launcher == "srun") {
    if (const char* nodes = variables.text("SLURM_STEP_NODELIST"))
      world.address = first_host(nodes);
    world.port = slurm_port(variables);
  }
  if (world.local_size == world.size) world.address = "127.0.0.1";
  if (const char* address = variables.text("MASTER_ADDR")) world.address = address;
  world.port = variables.number_or("MASTER_PORT", 1, 65534, world.port);
  return world;
}

World world_from_environment() {
  return world_from_environment([](const char* name) { return std::getenv(name); });
}

std::string rendezvous_of(const World& world) {
  require<ConfigError>(!world.address.empty(), "environment: MASTER_ADDR, got nothing, expected ",
                       "the host of rank 0 (", world.launcher, " started ", world.size,
                       " processes on several hosts; MASTER_PORT may be set too)");
  return world.address + ":" + std::to_string(world.port + 1);
}

}  // namespace xlstm::comm
