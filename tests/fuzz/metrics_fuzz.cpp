// Any bytes as metrics.jsonl, and as lines of JSON that must all be good: rows, or a FormatError.
#include "core/error.h"
#include "tests/fuzz/memory_files.h"
#include "tools/train/json_lines.h"
#include "tools/train/metrics_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const xlstm::Json& row : xlstm::train::MetricsLog::read("input", xlstm::MemoryFiles(text)))
    if (!row.is_object()) __builtin_trap();
  try {
    xlstm::train::parse_json_lines(text, "input");
  } catch (const xlstm::FormatError&) {
  }
  return 0;
}
