#include "tools/launch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/device.h"
#include "core/error.h"
#include "tools/commands.h"

namespace xlstm::cli {
namespace {

bool on_gpu(const train::TrainerConfig& config) {
  return config.accelerator != "cpu" && config.precision != "64-true" && cuda_device_count() > 0;
}

}  // namespace

comm::World one_process_a_device(const train::TrainerConfig& config) {
  const comm::World world = comm::world_from_environment();
  require_fits(config, world);
  if (world.launcher == "none" && n_devices(config) > 1)
    start_processes(command_line(), n_devices(config));
  return world;
}

int64_t n_devices(const train::TrainerConfig& config) {
  if (config.devices > 0) return config.devices;
  return on_gpu(config) ? std::max(1, cuda_device_count()) : 1;
}

void require_fits(const train::TrainerConfig& config, const comm::World& world) {
  const int64_t n = n_devices(config);
  const bool launched = world.launcher != "none";
  require<ConfigError>(
      launched || config.num_nodes == 1, "trainer.num_nodes: got ", config.num_nodes,
      ", expected 1 here: processes on several hosts are started by mpirun, srun or "
      "torchrun (docs/distributed.md)");
  // One device is the default, and a launcher's number of processes says more.
  const bool counted = launched && world.local_size > 0 && config.devices > 1;
  require<ConfigError>(!counted || world.local_size == n, "trainer.devices: got ", n, ", but ",
                       world.launcher, " started ", world.local_size,
                       " processes on this host, expected as many");
  require<ConfigError>(!launched || config.num_nodes == 1 || config.devices <= 1 ||
                           world.size == n * config.num_nodes,
                       "trainer.num_nodes: got ", config.num_nodes, " of ", n, " devices, but ",
                       world.launcher, " started ", world.size, " processes, expected ",
                       n * config.num_nodes);
  const int64_t here = world.local_size > 0 && launched ? world.local_size : n;
  require<ConfigError>(
      !on_gpu(config) || here <= cuda_device_count() ||
          (launched && cuda_device_count() == 1 &&  // the one that the launcher shows it
           std::getenv("CUDA_VISIBLE_DEVICES") != nullptr),
      "trainer.devices: got ", here, " processes on this host, expected at most ",
      cuda_device_count(), " (the GPUs here; trainer.accelerator cpu takes processors)");
}

std::vector<std::string> mpirun_command(const std::vector<std::string>& arguments, int64_t n) {
  std::vector<std::string> command{"mpirun",    "-np",  std::to_string(n),
                                   "--bind-to", "none", "--oversubscribe"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

void start_processes(const std::vector<std::string>& arguments, int64_t n) {
  // Who starts a job as root means it; in containers there is nobody else.
  for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                           "PRTE_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM"})
    setenv(name, "1", 0);
  std::vector<std::string> command = mpirun_command(arguments, n);
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  throw_error<ConfigError>("trainer.devices: got ", n,
                           ", expected 1: mpirun, which starts one process a device, was not found "
                           "(install openmpi-bin, or start with torchrun --no-python)");
}

}  // namespace xlstm::cli
