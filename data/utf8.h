// One step of UTF-8 decoding, for text that may be damaged.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace xlstm::data {

enum class Utf8Status : uint8_t {
  valid,
  invalid,    // these bytes can begin no character
  truncated,  // the text ends inside a character that was right so far
};

struct Utf8Step {
  Utf8Status status;
  uint32_t code;  // the code point if valid
  int64_t bytes;  // bytes to pass: the character, or the maximal ill-formed part (Unicode 3.9)
};

// The step at the beginning of `text`, which must not be empty.
inline Utf8Step utf8_step(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {Utf8Status::valid, lead, 1};
  const int64_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                         : (lead & 0xF0) == 0xE0        ? 3
                         : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                        : 0;
  if (length == 0) return {Utf8Status::invalid, 0, 1};
  // The second byte has a narrower range after four leads: no overlong forms, no surrogates,
  // nothing above U+10FFFF.
  uint32_t low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  uint32_t code = lead & (0x7Fu >> length);
  for (int64_t i = 1; i < length; ++i) {
    if (i >= static_cast<int64_t>(text.size())) return {Utf8Status::truncated, 0, i};
    const uint32_t next = byte(static_cast<size_t>(i));
    if (next < low || next > high) return {Utf8Status::invalid, 0, i};
    code = code << 6 | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8Status::valid, code, length};
}

// Appends the UTF-8 form of a code point (not a surrogate, at most U+10FFFF).
inline void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace xlstm::data
