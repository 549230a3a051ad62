// Any text as XLSTM_FAULT, as Slurm's list of nodes and as the variables of launchers: a
// ConfigError, or a value that makes sense.
#include <map>

#include "core/comm/world.h"
#include "core/error.h"
#include "core/fault_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    for (const xlstm::PlannedFault& fault : xlstm::parse_faults(text)) {
      if ((fault.step > 0) == (fault.call > 0)) __builtin_trap();
      if (!(fault.seconds >= 0) || fault.element < 0 || fault.rank < -1) __builtin_trap();
    }
  } catch (const xlstm::ConfigError&) {
  }
  if (xlstm::comm::first_host(text).size() > size) __builtin_trap();
  // NAME=VALUE, a line each.
  std::map<std::string, std::string> variables;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const size_t equals = line.find('=');
    if (equals != std::string::npos) variables[line.substr(0, equals)] = line.substr(equals + 1);
    at = end + 1;
  }
  try {
    const xlstm::comm::World world = xlstm::comm::world_from_environment([&](const char* name) {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    });
    if (world.rank < 0 || world.rank >= world.size || world.local_rank < 0) __builtin_trap();
    if (world.port < 1 || world.port > 65534) __builtin_trap();
  } catch (const xlstm::ConfigError&) {
  }
  return 0;
}
