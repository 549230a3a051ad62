#include "core/hex.h"

#include "tests/catch.h"

namespace xlstm {
namespace {

TEST_CASE("64-bit numbers become 16 digits and back") {
  const std::pair<uint64_t, const char*> rows[] = {{0, "0000000000000000"},
                                                   {0x1f, "000000000000001f"},
                                                   {0xfedcba9876543210, "fedcba9876543210"},
                                                   {UINT64_MAX, "ffffffffffffffff"}};
  for (const auto& [value, text] : rows) {
    CHECK(to_hex(value) == text);
    CHECK(parse_hex(text) == value);
  }
  CHECK(parse_hex("1F") == 0x1f);  // as older checkpoints have them: without zeros in front
  for (const char* bad :
       {"", "g", "0x1", "-1", "+1", " 1", "1 ", "10000000000000000", "00000000000000001"})
    CHECK_FALSE(parse_hex(bad).has_value());
}

}  // namespace
}  // namespace xlstm
