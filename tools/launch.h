// How `fit` becomes one process a device.
#pragma once

#include <string>
#include <vector>

#include "core/comm/world.h"
#include "tools/train/config.h"

namespace xlstm::cli {

// Devices of this host that the configuration means: trainer.devices, or all.
int64_t n_devices(const train::TrainerConfig& config);

// What a command that trains begins with: without a launcher and with several devices, this process
// becomes mpirun and the command starts anew once a device. Which of the processes this one is,
// then. ConfigError as the three below.
comm::World one_process_a_device(const train::TrainerConfig& config);

// ConfigError unless the processes of `world` are those that the configuration asks for, and as
// many GPUs are there as it asks for. A launcher that does not say how many processes are on a host
// is believed.
void require_fits(const train::TrainerConfig& config, const comm::World& world);

// The command line that starts this one once for each device of this host.
std::vector<std::string> mpirun_command(const std::vector<std::string>& arguments, int64_t n);

// Replaces this process by mpirun, which starts `arguments` n times; returns only by ConfigError,
// if there is no mpirun.
[[noreturn]] void start_processes(const std::vector<std::string>& arguments, int64_t n);

}  // namespace xlstm::cli
