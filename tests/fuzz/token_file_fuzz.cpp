// Any bytes as a token file: a FormatError, or tokens that are all in the vocabulary.
//
// Inputs of at least a header and a trailer get the hashes that they need, so mutations reach what
// lies behind; others are taken as they are.
#include <cstring>
#include <vector>

#include "core/error.h"
#include "data/content_hash.h"
#include "data/token_file_format.h"

namespace {

constexpr size_t kBlock = xlstm::data::kTokenFileBlock;

void put(std::vector<std::byte>& bytes, size_t at, uint64_t value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

void seal(std::vector<std::byte>& bytes) {
  const std::span<const std::byte> all = bytes;
  std::memcpy(bytes.data(), "xlstmtok", 8);
  const size_t trailer = bytes.size() - kBlock;
  std::memcpy(bytes.data() + trailer, "xlstmend", 8);
  put(bytes, kBlock - 8, xlstm::data::content_hash(all.first(kBlock - 8)));
  xlstm::data::ContentHash hash;
  hash.add(all.first(kBlock));
  hash.add(all.subspan(trailer, kBlock - 8));
  put(bytes, bytes.size() - 8, hash.value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  if (size >= 2 * kBlock && size % 2 == 0) seal(bytes);
  try {
    const xlstm::data::TokenFileInfo info = xlstm::data::parse_token_file(bytes, "input");
    const std::span<const std::byte> all = bytes;
    const auto tokens = all.subspan(kBlock, size - 2 * kBlock);
    const auto n = static_cast<int64_t>(tokens.size()) / info.element_bytes;
    if (n != info.n_tokens) __builtin_trap();
    const xlstm::data::TokenWalk walk = xlstm::data::walk_tokens(tokens, info);
    if (walk.n_documents > n || walk.first_bad >= n) __builtin_trap();
  } catch (const xlstm::FormatError&) {
  }
  return 0;
}
