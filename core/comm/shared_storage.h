// Memory of the host that all ranks of a job see.
#pragma once

#include <cstdint>
#include <memory>

#include "core/comm/communicator.h"
#include "core/storage.h"

namespace xlstm::comm {

// Of zeros, on the CPU, counted in each rank's pool. Null on all ranks if one of them cannot see
// rank 0's memory (it is on another host, or in a container of its own) or has no room for it
// (XLSTM_MEMORY_LIMIT). bytes >= 8. Every rank calls it, and waits until rank 0 has made all pages.
// The memory goes with the last rank that holds it.
std::shared_ptr<Storage> make_shared_storage(Communicator& communicator, int64_t bytes);

}  // namespace xlstm::comm
