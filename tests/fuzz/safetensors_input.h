// An input that begins with '{' is the header of a safetensors file, up to the first NUL, and the
// data after it; the length prefix is put in front, so that mutations reach what lies behind it.
// Other inputs are whole files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

namespace xlstm {

inline std::string as_safetensors(const std::string& input) {
  if (input.empty() || input[0] != '{') return input;
  const size_t end = std::min(input.find('\0'), input.size());
  const uint64_t header_bytes = end;
  std::string file(8, '\0');
  std::memcpy(file.data(), &header_bytes, 8);
  return file + input.substr(0, end) + (end < input.size() ? input.substr(end + 1) : "");
}

}  // namespace xlstm
