// Which of how many processes this one is, as the launchers say in the environment.
#pragma once

#include <functional>
#include <string>

namespace xlstm::comm {

// One process of a job; a process that nobody launched is a world of one.
struct World {
  int rank = 0, size = 1;              // of the job
  int local_rank = 0, local_size = 1;  // of this host; local_size 0: the launcher does not say
  std::string launcher = "none";       // or torchrun, mpirun, mpich, srun
  std::string address = "";            // of the host of rank 0; empty: unknown
  int port = 29500;  // taken there by the launcher itself; port + 1 is free for us

  bool is_first() const { return rank == 0; }
};

// The value of a variable, or null: std::getenv.
using Environment = std::function<const char*(const char* name)>;

// Looked for in this order:
//   torchrun  RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT
//   mpirun    OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE (Open MPI)
//   mpich     PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS
//   srun      SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID; the address is the first host of
//             SLURM_STEP_NODELIST, the port 15000 + the last four digits of SLURM_JOB_ID
// MASTER_ADDR and MASTER_PORT hold before what a launcher implies; where all processes are on one
// host, its address is 127.0.0.1. ConfigError that names the variable for a value that is no number
// or does not fit the others.
World world_from_environment(const Environment& environment);
World world_from_environment();

// The first host of Slurm's compressed form: "gpu[003-008,12],cpu1" is "gpu003".
std::string first_host(const std::string& node_list);

// What NCCL_COMM_ID says: "address:port + 1". ConfigError if the address is not known (several
// hosts and no MASTER_ADDR).
std::string rendezvous_of(const World& world);

}  // namespace xlstm::comm
