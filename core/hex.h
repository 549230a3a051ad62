// 64-bit numbers as hexadecimal text: JSON's integers are signed, and names of files are short.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace xlstm {

// 16 digits, 0-9 and a-f.
std::string to_hex(uint64_t value);

// Reads 1 to 16 digits, capital ones too; none for any other text.
std::optional<uint64_t> parse_hex(std::string_view text);

}  // namespace xlstm
