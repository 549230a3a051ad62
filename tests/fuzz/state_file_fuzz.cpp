// Any bytes as a state file of generation: a FormatError, or what was asked for.
#include "core/error.h"
#include "tests/fuzz/memory_files.h"
#include "tests/fuzz/safetensors_input.h"
#include "tools/train/state_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace xlstm;
  static const std::vector<train::StateTensor> expected = {
      {"state.blocks.0.c", {1, 2, 3}}, {"logits", {1, 5}}, {"seen", {5}, false}};
  const MemoryFiles files(as_safetensors(std::string(reinterpret_cast<const char*>(data), size)));
  try {
    const train::StateContents contents =
        train::read_state_file("input", expected, {"c", "w", "t"}, files);
    if (contents.n_read < 1 || contents.n_drawn < 0 || contents.tensors.size() != expected.size())
      __builtin_trap();
    for (size_t i = 0; i < expected.size(); ++i)
      if (contents.tensors[i].second.shape() != expected[i].shape) __builtin_trap();
  } catch (const FormatError&) {
  }
  return 0;
}
