// The byte-level alphabet of GPT-2: every byte has a printable character, so that tokens can be
// written as text. Bytes 33..126, 161..172 and 174..255 stand for themselves (as code points); the
// other 68 become U+0100, U+0101, ... in the order of the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace xlstm::data {

uint32_t byte_to_code(uint8_t byte);

// The byte-level text of bytes, UTF-8.
std::string bytes_to_text(std::string_view bytes);

// The bytes of a byte-level text; nothing if a character is not in the alphabet.
std::optional<std::string> text_to_bytes(std::string_view text);

}  // namespace xlstm::data
