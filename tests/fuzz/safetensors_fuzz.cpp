// Any bytes as a safetensors file: a FormatError, or tensors that add up.
#include <cstring>

#include "core/safetensors.h"
#include "tests/fuzz/memory_files.h"
#include "tests/fuzz/safetensors_input.h"

namespace {

void check(bool condition) {
  if (!condition) __builtin_trap();
}

// The rules once more, counted from the other side: what was accepted covers the file exactly.
void check_accepted(const xlstm::SafetensorsFile& file, const std::string& bytes) {
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  unsigned __int128 covered = 8 + header_bytes;
  for (const auto& info : file.tensors()) {
    covered += static_cast<unsigned __int128>(info.end - info.begin);
    if (!info.dtype) continue;
    unsigned __int128 expected = static_cast<unsigned __int128>(size_of(*info.dtype));
    for (const int64_t size : info.shape) expected *= static_cast<unsigned __int128>(size);
    check(expected == static_cast<unsigned __int128>(info.end - info.begin));
  }
  check(covered == bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes =
      xlstm::as_safetensors(std::string(reinterpret_cast<const char*>(data), size));
  const xlstm::MemoryFiles files(bytes);
  try {
    const xlstm::SafetensorsFile file = xlstm::SafetensorsFile::open("input", files);
    check_accepted(file, bytes);
    for (const auto& info : file.tensors()) {
      try {
        file.load(info.name);
      } catch (const xlstm::FormatError&) {
        // A type, rank or BOOL that cannot be loaded.
      }
    }
  } catch (const xlstm::FormatError&) {
  }
  return 0;
}
