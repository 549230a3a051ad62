#include "data/regex_translation.h"

#include "core/error.h"
#include "data/pcre2_pattern.h"
#include "tests/catch.h"

namespace xlstm::data {
namespace {

using xlstm::test::contains;

bool matches(const std::string& pattern, std::string_view text) {
  const Pcre2Pattern compiled(to_pcre2(pattern, "t"), false, "t");
  const auto match = compiled.find(text, 0);
  return match && match->begin == 0 && match->end == text.size();
}

TEST_CASE("classes are those of Unicode 16, whatever PCRE2 knows") {
  const std::string garay = "\xF0\x90\xB5\x90";  // U+10D50, a capital letter since Unicode 16
  CHECK(matches("\\p{L}", garay));
  CHECK(matches("[^\\s\\P{L}]", garay));
  CHECK(matches("\\p{^Ll}", garay));
  CHECK_FALSE(matches("\\P{Lu}", garay));
  CHECK_FALSE(matches("[^\\p{L}]", garay));
  CHECK_FALSE(matches("\\s", "\xE1\xA0\x8E"));  // U+180E, white space for PCRE2
  CHECK(matches("\\w\\d", "\xC2\xB2\xD9\xA3"));
  CHECK_FALSE(matches("[\\w]", "\xC2\xB2"));
}

TEST_CASE("what the two engines read otherwise is written otherwise") {
  CHECK(matches("a{,2}b", "aab"));
  CHECK(matches("\\v", "\v"));
  CHECK_FALSE(matches("\\v", "\n"));
  CHECK(matches("[\\d-]+", "1-2"));
  CHECK(matches("\\x{e9}\\u00e8\\x41",
                "\xC3\xA9\xC3\xA8"
                "A"));
  CHECK(matches("(?i:k)", "\xE2\x84\xAA"));  // the Kelvin sign
  CHECK(matches("[\\-\\]\\[a]+", "-][a"));
}

TEST_CASE("constructs that are not implemented are refused by name") {
  const auto error_of = [](const char* pattern) -> std::string {
    try {
      to_pcre2(pattern, "file");
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  };
  CHECK_THAT(error_of("a\\b"), contains("file: pattern") && contains("\"\\b\" at byte 1"));
  for (const char* pattern :
       {"\\h",    "\\X",         "\\R",         "\\G",         "\\K",
        "\\1",    "\\p{Greek}",  "\\pL",        "^a",          "a$",
        "a{2}+",  "a{2}?",       "a**",         "a{",          "(?i)a",
        "(?m:a)", "(?<n>a)",     "(*UTF)",      "[[:alpha:]]", "[a&&b]",
        "[]a]",   "(?i:\\p{L})", "(?i:[^a])",   "(?i:ss)",     "(?i:\xC3\xA9)",
        "\\xe9",  "\\x{d800}",   "\\x{110000}", "(a",          "a)",
        "[a",     "\\",          "*a",          "\xFF"})
    CHECK_THAT(error_of(pattern), contains("file: pattern"));
  CHECK_THROWS_WITH(Pcre2Pattern(to_pcre2("[z-a]", "file"), false, "file"),
                    contains("file: pattern"));
  const std::string deep(200, '(');
  CHECK_THAT(error_of(deep.c_str()), contains("100 groups"));
}

TEST_CASE("a pattern that takes too long is an error") {
  const Pcre2Pattern hostile(to_pcre2("(?:a+)+(?=[bc])(?=[de])", "file"), false, "file");
  CHECK_THROWS_WITH(hostile.find(std::string(64, 'a') + "bd", 0),
                    contains("file: pattern gave up"));
}

}  // namespace
}  // namespace xlstm::data
