// Chosen by CMake where Open MPI is not found.
#include "core/comm/communicator.h"
#include "core/error.h"

namespace xlstm::comm {

bool has_mpi() {
  return false;
}

std::unique_ptr<Communicator> make_mpi_communicator(const World& world, const WatchLimits&) {
  throw_error<CommError>("mpi: this build has no MPI, got ", world.size,
                         " processes on CPUs, expected one (install libopenmpi-dev and build "
                         "again, or train on GPUs)");
}

}  // namespace xlstm::comm
