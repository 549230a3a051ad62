#include "data/pretokenizer.h"

#include <string>
#include <vector>

#include "data/byte_alphabet.h"
#include "data/utf8.h"
#include "tests/catch.h"

namespace xlstm::data {
namespace {

using Parts = std::vector<std::string>;

Parts cut(std::string_view text) {
  const Pretokenizer pretokenizer;
  Parts parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = pretokenizer.end_of(text, begin);
    REQUIRE(end > begin);
    REQUIRE(end <= text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return parts;
}

TEST_CASE("the GPT-2 pattern, alternative by alternative") {
  CHECK(cut("I'm they'll we've don't you'd") ==
        Parts{"I", "'m", " they", "'ll", " we", "'ve", " don", "'t", " you", "'d"});
  CHECK(cut("IT'S 'x '' 'l 'r") == Parts{"IT", "'", "S", " '", "x", " ''", " '", "l", " '", "r"});
  CHECK(cut("'s's't'v") == Parts{"'s", "'s", "'t", "'", "v"});
  CHECK(cut("a1b 2c") == Parts{"a", "1", "b", " 2", "c"});
  CHECK(cut("hi... (ok)!") == Parts{"hi", "...", " (", "ok", ")!"});
  CHECK(cut("a  b") == Parts{"a", " ", " b"});
  CHECK(cut("a \n b") == Parts{"a", " \n", " b"});
  CHECK(cut("a\nb") == Parts{"a", "\n", "b"});
  CHECK(cut("a\n\nb") == Parts{"a", "\n", "\n", "b"});
  CHECK(cut("a  ") == Parts{"a", "  "});
  CHECK(cut(" ") == Parts{" "});
  CHECK(cut("\xC2\xA0x") == Parts{"\xC2\xA0", "x"});                  // U+00A0 is white space
  CHECK(cut("a\xE3\x80\x80 b") == Parts{"a", "\xE3\x80\x80", " b"});  // so is U+3000
  CHECK(cut("a\xE2\x80\x8B"
            "b") == Parts{"a", "\xE2\x80\x8B", "b"});  // U+200B is not
  CHECK(cut(" \xC3\xA9t\xC3\xA9\xC2\xB2") == Parts{" \xC3\xA9t\xC3\xA9", "\xC2\xB2"});
}

TEST_CASE("bytes that are not UTF-8 are neither letters, numbers nor spaces") {
  CHECK(cut("a\xFF\xFEz") == Parts{"a", "\xFF\xFE", "z"});
  CHECK(cut("a\xC3") == Parts{"a", "\xC3"});
  CHECK(cut("\xE2\x82x") == Parts{"\xE2\x82", "x"});
  CHECK(cut(" \xED\xA0\x80!") == Parts{" \xED\xA0\x80!"});  // a surrogate
}

TEST_CASE("the classes have the sizes of Unicode 16 and agree with ASCII") {
  int64_t n[4] = {};
  for (uint32_t code = 0; code < kCodePoints; ++code) ++n[static_cast<int>(code_classes()[code])];
  CHECK(n[static_cast<int>(CodeClass::letter)] == 141028);
  CHECK(n[static_cast<int>(CodeClass::number)] == 1911);
  CHECK(n[static_cast<int>(CodeClass::space)] == 25);
  for (uint32_t c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    CHECK((code_classes()[c] == CodeClass::letter) == letter);
    CHECK((code_classes()[c] == CodeClass::number) == (c >= '0' && c <= '9'));
    CHECK((code_classes()[c] == CodeClass::space) == (c == ' ' || (c >= 9 && c <= 13)));
  }
}

TEST_CASE("the byte alphabet is a bijection and UTF-8 is read as it is written") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  CHECK(text_to_bytes(bytes_to_text(all)) == all);
  CHECK(bytes_to_text(" \n\xAD") == "\xC4\xA0\xC4\x8A\xC5\x83");
  CHECK_FALSE(text_to_bytes(" "));
  CHECK_FALSE(text_to_bytes("\xFF"));
  int64_t wrong = 0;
  for (uint32_t code = 0; code < kCodePoints; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Step step = utf8_step(text);
    wrong += step.status != Utf8Status::valid || step.code != code ||
             step.bytes != static_cast<int64_t>(text.size());
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace xlstm::data
