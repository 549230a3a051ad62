// Philox4x32-10 again, from the paper's description, for the oracles of random ops.
#pragma once

#include <array>
#include <cstdint>

namespace xlstm::oracles {

inline std::array<uint32_t, 4> philox_words(uint64_t seed, uint64_t low, uint64_t high) {
  std::array<uint64_t, 4> c{low % (uint64_t{1} << 32), low >> 32, high % (uint64_t{1} << 32),
                            high >> 32};
  std::array<uint64_t, 2> key{seed % (uint64_t{1} << 32), seed >> 32};
  constexpr uint64_t kWord = uint64_t{1} << 32;
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = c[0] * 0xD2511F53u, b = c[2] * 0xCD9E8D57u;
    c = {(b / kWord) ^ c[1] ^ key[0], b % kWord, (a / kWord) ^ c[3] ^ key[1], a % kWord};
    key = {(key[0] + 0x9E3779B9u) % kWord, (key[1] + 0xBB67AE85u) % kWord};
  }
  return {static_cast<uint32_t>(c[0]), static_cast<uint32_t>(c[1]), static_cast<uint32_t>(c[2]),
          static_cast<uint32_t>(c[3])};
}

}  // namespace xlstm::oracles
