// The three classes of code points that the GPT-2 pattern tells apart.
#pragma once

#include <cstdint>

namespace xlstm::data {

enum class CodeClass : uint8_t { other, letter, number, space };

constexpr uint32_t kCodePoints = 0x110000;

// kCodePoints entries, indexed by code point: \p{L}, \p{N}, \s (White_Space) or none of them.
const CodeClass* code_classes();

}  // namespace xlstm::data
