// Any bytes as JSON: a FormatError, or a value that is written and read back the same.
#include "core/error.h"
#include "core/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const xlstm::Json value = xlstm::parse_json(text, "input");
    if (!(xlstm::parse_json(xlstm::to_text(value), "compact") == value)) __builtin_trap();
    if (!(xlstm::parse_json(xlstm::to_text(value, 2), "pretty") == value)) __builtin_trap();
  } catch (const xlstm::FormatError&) {
  }
  return 0;
}
