// Any bytes as the record of a job that hung: a FormatError, or a report that is not long.
#include "core/comm/hang_report.h"
#include "core/error.h"
#include "tests/fuzz/memory_files.h"

namespace {

class Folder : public xlstm::MemoryFiles {
 public:
  using xlstm::MemoryFiles::MemoryFiles;
  std::vector<std::string> list(const std::string&) const override {
    return {"hang-rank0.json", "other"};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Folder folder(std::string(reinterpret_cast<const char*>(data), size));
  try {
    // Lines for a few of the ranks that are missing, and what the record itself says.
    if (xlstm::comm::hang_report("input", folder).size() > 20000 + 8 * size) __builtin_trap();
  } catch (const xlstm::FormatError&) {
  }
  return 0;
}
