// Who this process is, from what launchers set.
#include "core/comm/world.h"

#include <map>

#include "core/error.h"
#include "tests/catch.h"

using namespace xlstm;
using namespace xlstm::comm;

namespace {

World world_of(const std::map<std::string, std::string>& variables) {
  return world_from_environment([&](const char* name) {
    const auto at = variables.find(name);
    return at == variables.end() ? nullptr : at->second.c_str();
  });
}

}  // namespace

TEST_CASE("a process that nobody launched is alone") {
  const World world = world_of({});
  CHECK(world.size == 1);
  CHECK(world.rank == 0);
  CHECK(world.launcher == "none");
  CHECK(rendezvous_of(world) == "127.0.0.1:29501");
}

TEST_CASE("torchrun") {
  const World world = world_of({{"RANK", "5"},
                                {"WORLD_SIZE", "8"},
                                {"LOCAL_RANK", "1"},
                                {"LOCAL_WORLD_SIZE", "4"},
                                {"MASTER_ADDR", "node-a"},
                                {"MASTER_PORT", "1234"}});
  CHECK(world.launcher == "torchrun");
  CHECK(world.rank == 5);
  CHECK(world.size == 8);
  CHECK(world.local_rank == 1);
  CHECK(world.local_size == 4);
  CHECK(rendezvous_of(world) == "node-a:1235");
}

TEST_CASE("torchrun wins over the mpirun that started it") {
  const World world = world_of({{"RANK", "0"},
                                {"WORLD_SIZE", "2"},
                                {"OMPI_COMM_WORLD_RANK", "3"},
                                {"OMPI_COMM_WORLD_SIZE", "4"}});
  CHECK(world.launcher == "torchrun");
  CHECK(world.size == 2);
}

TEST_CASE("mpirun on one host needs no address, on several it does") {
  std::map<std::string, std::string> variables{{"OMPI_COMM_WORLD_RANK", "1"},
                                               {"OMPI_COMM_WORLD_SIZE", "4"},
                                               {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                               {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
  CHECK(rendezvous_of(world_of(variables)) == "127.0.0.1:29501");
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "2";
  CHECK_THROWS_WITH(rendezvous_of(world_of(variables)), test::contains("MASTER_ADDR"));
  variables["MASTER_ADDR"] = "10.0.0.1";
  CHECK(rendezvous_of(world_of(variables)) == "10.0.0.1:29501");
}

TEST_CASE("mpich") {
  const World world = world_of(
      {{"PMI_RANK", "2"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "2"}, {"MPI_LOCALNRANKS", "3"}});
  CHECK(world.launcher == "mpich");
  CHECK(world.rank == 2);
  CHECK(world.local_rank == 2);
}

TEST_CASE("srun: the first host of the step and a port of the job") {
  std::map<std::string, std::string> variables{{"SLURM_PROCID", "9"},
                                               {"SLURM_STEP_NUM_TASKS", "16"},
                                               {"SLURM_LOCALID", "1"},
                                               {"SLURM_STEP_TASKS_PER_NODE", "8(x2)"},
                                               {"SLURM_STEP_NODELIST", "gpu[003-004]"},
                                               {"SLURM_JOB_ID", "4711234"}};
  const World world = world_of(variables);
  CHECK(world.launcher == "srun");
  CHECK(world.rank == 9);
  CHECK(world.local_rank == 1);
  CHECK(world.local_size == 8);
  CHECK(rendezvous_of(world) == "gpu003:16235");
}

TEST_CASE("a batch script is no step of srun") {
  CHECK(world_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "16"}, {"SLURM_JOB_ID", "1"}}).size == 1);
}

TEST_CASE("first hosts of Slurm's lists") {
  CHECK(first_host("gpu1") == "gpu1");
  CHECK(first_host("gpu1,gpu2") == "gpu1");
  CHECK(first_host("gpu[003-008,12],cpu1") == "gpu003");
  CHECK(first_host("gpu[7]") == "gpu7");
  CHECK(first_host("rack[1-2]-node") == "rack1-node");
  CHECK(first_host("a[3,5]b,c") == "a3b");
  CHECK(first_host("") == "");
}

TEST_CASE("wrong variables are named") {
  CHECK_THROWS_WITH(world_of({{"RANK", "8"}, {"WORLD_SIZE", "8"}}),
                    test::contains("RANK, got \"8\""));
  CHECK_THROWS_WITH(world_of({{"RANK", "x"}, {"WORLD_SIZE", "8"}}),
                    test::contains("RANK, got \"x\""));
  CHECK_THROWS_WITH(world_of({{"RANK", "0"}, {"WORLD_SIZE", "0"}}), test::contains("WORLD_SIZE"));
  CHECK_THROWS_WITH(world_of({{"RANK", "0"}, {"WORLD_SIZE", "-2"}}), test::contains("WORLD_SIZE"));
  CHECK_THROWS_WITH(world_of({{"MASTER_PORT", "70000"}}), test::contains("MASTER_PORT"));
  CHECK_THROWS_AS(world_of({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "7"}}), ConfigError);
}
