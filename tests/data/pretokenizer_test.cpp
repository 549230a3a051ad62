#include "data/pretokenizer.h"

#include <string>
#include <vector>

#include "data/byte_alphabet.h"
#include "data/utf8.h"
#include "tests/catch.h"

namespace xlstm::data {
namespace {

using Parts = std::vector<std::string>;

Parts cut(const Pretokenizer& pretokenizer, std::string_view text) {
  Parts parts;
  pretokenizer.cut(text, [&](std::string_view part) {
    REQUIRE(!part.empty());
    parts.emplace_back(part);
  });
  return parts;
}

Parts cut(const PretokenizerDefinition& definition, std::string_view text) {
  const Parts parts = cut(Pretokenizer(definition, "t"), text);
  std::string all;
  for (const std::string& part : parts) all += part;
  if (!definition.add_prefix_space) REQUIRE(all == text);
  return parts;
}

Parts cut(std::string_view text) {
  return cut(PretokenizerDefinition{}, text);
}

// By one pattern alone.
PretokenizerDefinition only(const std::string& pattern) {
  return {.steps = {{CutStep::Kind::regex, pattern}}, .use_regex = false};
}

Parts cut_by(const std::string& pattern, std::string_view text) {
  return cut(only(pattern), text);
}

const std::string kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

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

TEST_CASE("the Llama-3 pattern, alternative by alternative") {
  const auto llama = [](std::string_view text) { return cut_by(kLlama3, text); };
  CHECK(llama("I'M it'\xC5\xBF 'RE x'Ll") ==
        Parts{"I", "'M", " it", "'\xC5\xBF", " '", "RE", " x", "'Ll"});
  CHECK(llama("(abc) ((d") == Parts{"(abc", ")", " ((", "d"});
  CHECK(llama("1234567 89") == Parts{"123", "456", "7", " ", "89"});
  CHECK(llama("a!!\r\n\nb \n c") == Parts{"a", "!!\r\n\n", "b", " \n", " c"});
  CHECK(llama("\tx\nx  y\xC2\x85z") == Parts{"\tx", "\n", "x", " ", " y", "\xC2\x85z"});
  CHECK(llama("a \n \n  b  ") == Parts{"a", " \n \n", " ", " b", "  "});
  std::string qwen = kLlama3;
  qwen.erase(qwen.find("{1,3}"), 5);
  CHECK(cut_by(qwen, "a 12x") == Parts{"a", " ", "1", "2", "x"});
}

// The scanners against PCRE2, which runs the same patterns when they are written a little
// otherwise.
TEST_CASE("the scanners cut as their patterns do") {
  const std::string gpt2 =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  std::string qwen = kLlama3;
  qwen.erase(qwen.find("{1,3}"), 5);
  const std::vector<std::string> parts = {"'",
                                          "s",
                                          "S",
                                          "\xC5\xBF",
                                          "ll",
                                          "Re",
                                          "1",
                                          "\xC2\xB2",
                                          " ",
                                          "\n",
                                          "\r",
                                          "\t",
                                          "!",
                                          "\xC3\xA9",
                                          "\xCC\x81",
                                          "\xC2\x85",
                                          "\xE3\x80\x80",
                                          "\xE1\xA0\x8E",
                                          "\xF0\x9F\x98\x80"};
  for (const std::string& pattern : {gpt2, kLlama3, qwen}) {
    REQUIRE(builtin_pattern(pattern));
    const Pretokenizer scanned(only(pattern), "t"), searched(only("(?:" + pattern + ")"), "t");
    uint32_t random = 1;
    for (int i = 0; i < 3000; ++i) {
      std::string text;
      for (int n = 0; n < 12; ++n) {
        random = random * 1664525 + 1013904223;
        text += parts[(random >> 16) % parts.size()];
      }
      INFO(pattern << " on " << text);
      REQUIRE(cut(scanned, text) == cut(searched, text));
    }
  }
}

TEST_CASE("steps cut one after the other") {
  using Kind = CutStep::Kind;
  CHECK(cut({.steps = {{Kind::digits, ""}}}, "ab12 c") == Parts{"ab", "1", "2", " c"});
  CHECK(cut({.steps = {{Kind::digit_runs, ""}}}, "ab12 c") == Parts{"ab", "12", " c"});
  CHECK(cut({.steps = {{Kind::literal, "a."}}, .use_regex = false}, "a.xa.abc") ==
        Parts{"a.", "x", "a.", "abc"});
  CHECK(cut({.steps = {{Kind::digits, ""}}, .add_prefix_space = true}, "a1 b") ==
        Parts{" a", " 1", " b"});
  CHECK(cut_by("a*", "baac") == Parts{"b", "aa", "c"});
  CHECK(cut_by("(?=x)", "axxb") == Parts{"a", "x", "xb"});
  CHECK(cut_by("[a-c]+",
               "zab\xFF\xFE"
               "c\xC3") == Parts{"z", "ab", "\xFF\xFE", "c", "\xC3"});
  CHECK(Pretokenizer().cuts_before_spaces());
  CHECK(Pretokenizer({.steps = {{Kind::regex, kLlama3}}, .use_regex = false}, "t")
            .cuts_before_spaces());
  CHECK_FALSE(Pretokenizer({.steps = {{Kind::regex, "a"}}}, "t").cuts_before_spaces());
  CHECK_FALSE(Pretokenizer({.steps = {}, .use_regex = false}, "t").cuts_before_spaces());
  CHECK_FALSE(Pretokenizer({.steps = {}, .add_prefix_space = true}, "t").cuts_before_spaces());
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
