#include "data/nfc.h"

#include <random>

#include "core/file_system.h"
#include "core/json.h"
#include "data/unicode_classes.h"
#include "data/utf8.h"
#include "tests/catch.h"
#include "tests/test_data.h"

namespace xlstm::data {
namespace {

std::string nfc(std::string_view text) {
  std::string storage = "old";
  return std::string(to_nfc(text, storage));
}

TEST_CASE("marks are put in order and composed, as UAX #15 says") {
  CHECK(nfc("e\xCC\x81") == "\xC3\xA9");
  CHECK(nfc("\xE2\x84\xAB") == "\xC3\x85");                              // the angstrom sign
  CHECK(nfc("a\xCC\x81\xCC\xA3") == "\xE1\xBA\xA1\xCC\x81");             // acute, dot below
  CHECK(nfc("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB") == "\xED\x95\x9C");  // Hangul
  CHECK(nfc("\xED\x95\x98\xE1\x86\xAB") == "\xED\x95\x9C");
  CHECK(nfc("\xE0\xA4\x95\xE0\xA4\xBC") == "\xE0\xA4\x95\xE0\xA4\xBC");
  CHECK(nfc("\xE0\xA5\x98") == "\xE0\xA4\x95\xE0\xA4\xBC");  // excluded from composition
  CHECK(nfc("plain \xC3\xA9 text") == "plain \xC3\xA9 text");
  CHECK(nfc("").empty());
}

TEST_CASE("text in normal form is not copied") {
  std::string storage;
  const std::string text = "Zo\xC3\xAB a\xCC\xB4\xCC\x96 \xE6\x97\xA5 \xFF";
  CHECK(to_nfc(text, storage).data() == text.data());
}

TEST_CASE("bytes that are not UTF-8 stay, and nothing composes across them") {
  CHECK(nfc("e\xFF\xCC\x81") == "e\xFF\xCC\x81");
  CHECK(nfc("\xC3"
            "e\xCC\x81\xE2\x82") == "\xC3\xC3\xA9\xE2\x82");
}

// Every code point between marks; the checksum is that of what the wheel makes of the same texts.
TEST_CASE("NFC equals that of Hugging Face tokenizers over every code point") {
  const Json golden = parse_json(
      real_file_system().read_file(testing::data_path("tests/data/golden/bpe_variants.json")),
      "bpe_variants.json");
  uint64_t value = 0xCBF29CE484222325;
  std::string storage, text;
  int64_t not_stable = 0;
  for (uint32_t code = 0; code < kCodePoints; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    text = "a\xCC\x81";
    append_utf8(text, code);
    text += "\xCC\xA3\xCC\x81";
    const std::string_view normal = to_nfc(text, storage);
    for (const char c : normal) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001B3;
    std::string again;
    not_stable += to_nfc(normal, again) != normal;
  }
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(value));
  CHECK(hex == golden.find("nfc_checksum")->as_string());
  CHECK(not_stable == 0);
}

// Normalizing two parts one after the other comes to the same as normalizing the whole.
TEST_CASE("normal forms of parts make the normal form of the whole") {
  std::mt19937 random(3);
  const uint32_t marks[] = {0x300, 0x323, 0x334, 0x345, 0x3099, 0x1161, 0x11A8, 0x5B0, 0xF71};
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    std::vector<size_t> ends;
    for (int n = 0; n < 10; ++n) {
      const auto any = static_cast<uint32_t>(random() % 0x3200);
      const uint32_t code = random() % 2 ? marks[random() % std::size(marks)] : any;
      append_utf8(text, code);
      ends.push_back(text.size());
    }
    const size_t cut = ends[random() % ends.size()];
    REQUIRE(nfc(nfc(text.substr(0, cut)) + nfc(text.substr(cut))) == nfc(text));
  }
}

}  // namespace
}  // namespace xlstm::data
