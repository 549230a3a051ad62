#include "data/byte_alphabet.h"

#include <array>

#include "data/utf8.h"

namespace xlstm::data {
namespace {

constexpr uint32_t kCodes = 256 + 68;

struct Alphabet {
  std::array<uint32_t, 256> code_of_byte{};
  std::array<int16_t, kCodes> byte_of_code{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte_of_code) byte = -1;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    const uint32_t code = printable ? byte : next++;
    alphabet.code_of_byte[byte] = code;
    alphabet.byte_of_code[code] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

uint32_t byte_to_code(uint8_t byte) {
  return kAlphabet.code_of_byte[byte];
}

std::string bytes_to_text(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (const char c : bytes) append_utf8(text, byte_to_code(static_cast<uint8_t>(c)));
  return text;
}

std::optional<std::string> text_to_bytes(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.status != Utf8Status::valid || step.code >= kCodes) return std::nullopt;
    const int16_t byte = kAlphabet.byte_of_code[step.code];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    text.remove_prefix(static_cast<size_t>(step.bytes));
  }
  return bytes;
}

}  // namespace xlstm::data
