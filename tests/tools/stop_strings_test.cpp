#include "tools/train/stop_strings.h"

#include <optional>

#include "data/stream_decoder.h"
#include "tests/catch.h"

namespace xlstm::train {
namespace {

using Strings = std::vector<std::string>;

struct Shown {
  std::string text;
  bool found = false;
  bool operator==(const Shown&) const = default;
};

Shown feed(const Strings& stops, const Strings& pieces) {
  StopMatcher matcher(stops);
  Shown shown;
  for (const std::string& piece : pieces) shown.text += matcher.push(piece);
  shown.text += matcher.flush();
  shown.found = matcher.found();
  return shown;
}

// What should be shown, from the definition: at each end the longest string that ends there.
Shown expected(const Strings& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<size_t> longest;
    for (const std::string& stop : stops)
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0)
        longest = std::max(longest.value_or(0), stop.size());
    if (longest) return {text.substr(0, end - *longest), true};
  }
  return {text, false};
}

TEST_CASE("a stop string ends the text, whatever pieces it comes in") {
  CHECK(feed({"END"}, {"one EN", "D two"}) == Shown{"one ", true});
  CHECK(feed({"END"}, {"one E", "N", "D"}) == Shown{"one ", true});
  CHECK(feed({"END"}, {"END"}) == Shown{"", true});
  CHECK(feed({"END"}, {"EN", "EN", "DD"}) == Shown{"EN", true});
  CHECK(feed({"END"}, {"one EN"}) == Shown{"one EN", false});
  CHECK(feed({}, {"one", " two"}) == Shown{"one two", false});
  CHECK(feed({"END"}, {}) == Shown{"", false});
  // The first that ends counts, and the longest of those that end there.
  CHECK(feed({"abcd", "b"}, {"xa", "bcd"}) == Shown{"xa", true});
  CHECK(feed({"c", "abc"}, {"xab", "c"}) == Shown{"x", true});
  CHECK(feed({"aab"}, {"aa", "ab"}) == Shown{"a", true});
}

TEST_CASE("only the text decides, in every cut of every short text") {
  const std::vector<Strings> sets = {{"ab"}, {"aab", "ba"}, {"a"}, {"bb", "abab"}, {"aba", "bbb"}};
  for (const Strings& stops : sets)
    for (int code = 0; code < 1 << 7; ++code) {
      std::string text;
      for (int i = 0; i < 7; ++i) text += (code >> i & 1) != 0 ? 'a' : 'b';
      const Shown want = expected(stops, text);
      for (int cuts = 0; cuts < 1 << 6; ++cuts) {
        Strings pieces{""};
        for (int i = 0; i < 7; ++i) {
          pieces.back() += text[static_cast<size_t>(i)];
          if (i < 6 && (cuts >> i & 1) != 0) pieces.emplace_back();
        }
        REQUIRE(feed(stops, pieces) == want);
      }
    }
}

TEST_CASE("text is held back only as long as it may become a stop string") {
  const Strings stops{"\n\nUser:", "User"};
  StopMatcher matcher(stops);
  CHECK(matcher.push("Hello") == "Hello");
  CHECK(matcher.push(" you\n") == " you");
  CHECK(matcher.push("\nU") == "");
  CHECK(matcher.push("ncle") == "\n\nUncle");
  CHECK(matcher.push("\n\n\n") == "\n");
  CHECK(matcher.flush() == "\n\n");
  CHECK_FALSE(matcher.found());
}

TEST_CASE("nothing is shown after a stop string") {
  const Strings stops{"."};
  StopMatcher matcher(stops);
  CHECK(matcher.push("a. b") == "a");
  CHECK(matcher.push("c") == "");
  CHECK(matcher.flush() == "");
  CHECK(matcher.found());
}

TEST_CASE("a stop string with characters that come in halves") {
  // "é" and "è" share their first byte; the decoder gives whole characters alone.
  const data::Tokenizer tokenizer = [] {
    data::TokenizerDefinition definition;
    for (int byte = 0; byte < 256; ++byte) {
      // The byte-level alphabet: bytes that print stand for themselves, the others follow on 256.
      static int next = 256;
      const bool prints =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const int code = prints ? byte : next++;
      std::string text;
      if (code < 128) {
        text += static_cast<char>(code);
      } else {
        text += static_cast<char>(0xC0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 63));
      }
      definition.vocab.push_back(text);
    }
    return data::Tokenizer(definition);
  }();
  const Strings stops{"é!"};
  for (const auto& [text, want] : {std::pair<std::string, Shown>{"aèbé!c", {"aèb", true}},
                                   {"aé", {"aé", false}},
                                   {"é!", {"", true}},
                                   {"aé\xC3", {"aé\xEF\xBF\xBD", false}}}) {
    data::StreamDecoder decoder(tokenizer);
    StopMatcher matcher(stops);
    std::string shown;
    for (const char c : text) {
      const std::string piece = matcher.push(decoder.push(static_cast<unsigned char>(c)));
      CHECK(data::lossy_utf8(piece) == piece);  // no half characters
      shown += piece;
    }
    shown += matcher.push(decoder.flush());
    shown += matcher.flush();
    CHECK(Shown{shown, matcher.found()} == want);
  }
}

}  // namespace
}  // namespace xlstm::train
