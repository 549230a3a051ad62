// Chosen by CMake in a build without CUDA or without nccl.h.
#include "core/comm/communicator.h"
#include "core/error.h"

namespace xlstm::comm {

bool has_nccl() {
  return false;
}

std::unique_ptr<Communicator> make_nccl_communicator(const World& world, Device, const WatchLimits&,
                                                     bool) {
  throw_error<CommError>(
      "nccl: this build has no NCCL, got ", world.size,
      " processes on GPUs, expected one (install NCCL's nccl.h and build again)");
}

}  // namespace xlstm::comm
