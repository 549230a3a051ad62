// Fingerprints that recognise damaged data: XXH3 with 128 bits. Not for defence against someone who
// forges data on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace xlstm {

class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(std::span<const std::byte> bytes);
  std::string hex() const;  // of everything added so far, 32 digits

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_hex(std::span<const std::byte> bytes);
inline std::string hash_hex(std::string_view text) {
  return hash_hex(std::as_bytes(std::span(text)));
}

// 64 bits of it, where a number is wanted.
uint64_t hash_number(std::string_view text);

}  // namespace xlstm
