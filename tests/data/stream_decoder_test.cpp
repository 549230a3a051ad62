#include "data/stream_decoder.h"

#include <random>

#include "core/error.h"
#include "core/json.h"
#include "data/bpe_trainer.h"
#include "data/byte_alphabet.h"
#include "data/utf8.h"
#include "tests/catch.h"

namespace xlstm::data {
namespace {

const Tokenizer& bytes_only() {
  static const Tokenizer tokenizer = BpeTrainer({.n_vocab = 257}).train();
  return tokenizer;
}

int64_t id_of_byte(char c) {
  return bytes_only().id_of(bytes_to_text({&c, 1}));
}

TEST_CASE("every emoji fed byte by byte appears whole with its last byte") {
  StreamDecoder decoder(bytes_only());
  for (uint32_t code = 0x1F000; code < 0x1FB00; ++code) {
    std::string emoji;
    append_utf8(emoji, code);
    for (size_t i = 0; i < 3; ++i) REQUIRE(decoder.push(id_of_byte(emoji[i])).empty());
    REQUIRE(decoder.push(id_of_byte(emoji[3])) == emoji);
  }
  CHECK(decoder.flush().empty());
}

TEST_CASE("pieces are whole characters and add up to the lossy decoding") {
  std::mt19937 random(9);
  const std::string parts[] = {"a",    "\xC3", "\xA9", "\xE2\x82", "\xAC",     "\xF0\x9F\x98\x80",
                               "\xFF", "\xED", "\xA0", "\xF4\x90", "\xC0\xAF", "z"};
  for (int i = 0; i < 3000; ++i) {
    std::string bytes, pieces;
    for (int n = 0; n < 6; ++n) bytes += parts[random() % std::size(parts)];
    StreamDecoder decoder(bytes_only());
    for (const char c : bytes) {
      const std::string piece = decoder.push(id_of_byte(c));
      REQUIRE(is_utf8(piece));
      pieces += piece;
    }
    pieces += decoder.flush();
    REQUIRE(pieces == lossy_utf8(bytes));
  }
}

// Unicode 16, section 3.9, "U+FFFD substitution of maximal subparts", tables 3-8 to 3-11.
TEST_CASE("one replacement for each maximal ill-formed part") {
  const std::string r = "\xEF\xBF\xBD";
  CHECK(lossy_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                   "A") == r + r + r + r + r + r + r + r + "A");
  CHECK(lossy_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                   "A") == r + r + r + r + r + r + r + r + "A");
  CHECK(lossy_utf8("\xF4\x91\x92\x93\xFF"
                   "A\x80\xBF"
                   "B") == r + r + r + r + r + "A" + r + r + "B");
  CHECK(lossy_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                   "A") == r + r + r + r + "A");
  CHECK(lossy_utf8("x\xF0\x9F\x98") == "x" + r);
}

TEST_CASE("special tokens are left out on request and do not break a character") {
  const int64_t end = bytes_only().end_of_text();
  StreamDecoder quiet(bytes_only()), loud(bytes_only(), false);
  CHECK(quiet.push(end).empty());
  CHECK(loud.push(end) == "<|endoftext|>");
  CHECK_THROWS_AS(quiet.push(257), ConfigError);
  quiet.push(id_of_byte('\xC3'));
  CHECK(quiet.flush() == "\xEF\xBF\xBD");
  CHECK(quiet.push(id_of_byte('a')) == "a");
}

}  // namespace
}  // namespace xlstm::data
