// Any bytes as a checkpoint's manifest, whose files all have these bytes too: an error of the
// family, or a list of what is damaged.
#include "core/checkpoint.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "tests/fuzz/memory_files.h"

namespace {

// An object without the hash of itself gets it, so that mutations reach what lies behind.
std::string sealed(const std::string& text) {
  try {
    xlstm::Json manifest = xlstm::parse_json(text, "input");
    if (!manifest.is_object() || manifest.find("manifest_hash") != nullptr) return text;
    manifest.set("manifest_hash", xlstm::hash_hex(xlstm::to_text(manifest)));
    return xlstm::to_text(manifest);
  } catch (const xlstm::FormatError&) {
    return text;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes = sealed(std::string(reinterpret_cast<const char*>(data), size));
  const xlstm::MemoryFiles files(bytes);
  if (const auto damage = xlstm::verify_checkpoint("input", files); !damage.empty()) return 0;
  try {
    const xlstm::Checkpoint checkpoint = xlstm::Checkpoint::open("input", files);
    if (checkpoint.has("a")) checkpoint.read_text("a");
    if (checkpoint.has("b")) checkpoint.load_tensors("b");
  } catch (const xlstm::Error&) {
  }
  return 0;
}
