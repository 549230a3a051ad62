// Any bytes as YAML: a ConfigError, or a value that is written and read back the same.
#include "core/error.h"
#include "tools/train/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const xlstm::Json value = xlstm::train::parse_yaml(text, "input");
    if (!(xlstm::train::parse_yaml(xlstm::train::to_yaml(value), "again") == value))
      __builtin_trap();
  } catch (const xlstm::ConfigError&) {
  }
  return 0;
}
