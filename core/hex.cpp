#include "core/hex.h"

#include <charconv>

namespace xlstm {

std::string to_hex(uint64_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  return std::string(sizeof digits - text.size(), '0') + std::string(text);
}

std::optional<uint64_t> parse_hex(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, value, 16);
  if (text.empty() || text.size() > 16 || error != std::errc() || parsed != end) return {};
  return value;
}

}  // namespace xlstm
