// Refuses models that this machine cannot hold, before anything is allocated or computed; and says
// what to change when memory ran out all the same.
#pragma once

#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "tools/train/config.h"

namespace xlstm::train {

// Bytes of memory that this process may use: the machine's, or less where a container or a limit
// of the shell says so; of a GPU all that it has.
int64_t usable_memory_bytes(Device device = kCpu);

enum class ModelUse { training, inference };

// OutOfMemory if the weights of the configured model (for training also their gradients, the
// optimizer's moments and 16-bit copies) take more than `limit` bytes. What a batch takes comes on
// top and is not counted. A vocabulary that is not known yet (0) counts as nothing.
void require_model_fits(const RunConfig& config, ModelUse use, int64_t limit);
// The same with the limit of the device that the configuration asks for. A model for a GPU is made
// on the host, whose memory must hold its weights too.
void require_model_fits(const RunConfig& config, ModelUse use);

// "Try data.batch_size at most 12 (now 16; ...", by what took the memory and what the
// configuration does not do yet.
std::string memory_advice(const RunConfig& config, ModelUse use, Device device,
                          const MemoryReport& report);

// Calls `work`; an OutOfMemory of the caching allocator goes on with advice at its end.
template <class F>
decltype(auto) with_memory_advice(const RunConfig& config, ModelUse use, Device device, F&& work) {
  try {
    return work();
  } catch (const OutOfMemory& error) {
    if (!error.report()) throw;
    const std::string advice = memory_advice(config, use, device, *error.report());
    throw OutOfMemory(detail::concat(error.what(), " ", advice), *error.report());
  }
}

}  // namespace xlstm::train
