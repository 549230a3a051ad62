#include "data/token_file.h"

#include <fstream>

#include "core/error.h"
#include "data/bpe_trainer.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

namespace xlstm::data {
namespace {

using xlstm::test::contains;

const char* const kText = "One two three.\n<|endoftext|>\nFour é 日本.\n<|endoftext|>\n";

Tokenizer small_tokenizer() {
  return BpeTrainer({.n_vocab = 257}).train();
}

std::vector<int64_t> all_tokens(const TokenStream& stream) {
  std::vector<int64_t> tokens(static_cast<size_t>(stream.size()));
  stream.read(0, tokens);
  return tokens;
}

std::vector<int64_t> expected_tokens(const Tokenizer& tokenizer) {
  std::vector<int64_t> tokens;
  for (const char* document : {"One two three.", "Four é 日本."}) {
    for (const int32_t id : tokenizer.encode(document)) tokens.push_back(id);
    tokens.push_back(tokenizer.end_of_text());
  }
  return tokens;
}

TEST_CASE("a token file gives back the tokens of the text, with 2 and with 4 bytes") {
  const TemporaryDir dir;
  const std::string text = dir.file("a.txt", kText), path = dir.path("a.tokens");
  Tokenizer tokenizer = small_tokenizer();
  if (GENERATE(false, true)) {  // a vocabulary too large for 16 bits
    TokenizerDefinition definition = tokenizer.definition();
    for (int i = 0; i < 70000; ++i) definition.vocab.push_back("long token " + std::to_string(i));
    tokenizer = Tokenizer(definition);
  }
  const TokenFileInfo written = write_token_file(text, tokenizer, path);
  const TokenStream stream = TokenStream::open(path);
  CHECK(stream.info() == written);
  CHECK(written.element_bytes == (tokenizer.n_vocab() > 65536 ? 4 : 2));
  CHECK(written.n_documents == 2);
  CHECK(written.tokenizer_hash == tokenizer.fingerprint());
  CHECK(all_tokens(stream) == expected_tokens(tokenizer));
  stream.verify();

  const std::string raw = dir.path("a.bin");
  write_token_file(text, tokenizer, raw, TokenFormat::raw);
  const TokenStream bare =
      TokenStream::open_raw(raw, written.element_bytes, tokenizer.n_vocab(), stream.end_of_text());
  CHECK(real_file_system().file_size(raw) == written.n_tokens * written.element_bytes);
  CHECK(all_tokens(bare) == all_tokens(stream));
  CHECK(bare.fingerprint() == stream.fingerprint());
  CHECK(bare.info().n_documents == 2);
}

TEST_CASE("every changed, missing or added byte of a token file is noticed") {
  const TemporaryDir dir;
  const std::string path = dir.path("a.tokens");
  write_token_file(dir.file("a.txt", kText), small_tokenizer(), path);
  const std::string good = real_file_system().read_file(path);
  const auto is_good = [&dir](const std::string& bytes) {
    try {
      const std::string bad_path = dir.path("b.tokens");
      std::ofstream(bad_path, std::ios::binary) << bytes;  // 800 files; no need to sync them
      TokenStream::open(bad_path).verify();
    } catch (const FormatError&) {
      return false;
    } catch (const FileError&) {
      return false;  // an empty file cannot be mapped
    }
    return true;
  };
  REQUIRE(is_good(good));
  for (size_t i = 0; i < good.size(); ++i)
    for (const char flip : {'\x01', '\x80', '\xFF'}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      INFO("byte " << i);
      CHECK_FALSE(is_good(bad));
    }
  for (size_t n = 0; n < good.size(); ++n) CHECK_FALSE(is_good(good.substr(0, n)));
  CHECK_FALSE(is_good(good + '\0'));
  CHECK_FALSE(is_good(good.substr(0, 64) + "ab" + good.substr(64)));
  CHECK_FALSE(is_good(good.substr(0, 64) + good.substr(66)));
  CHECK_FALSE(is_good(good + good));
}

TEST_CASE("raw files and reads are checked") {
  const TemporaryDir dir;
  const std::string path = dir.file("a.bin", std::string("\x01\0\x02\0\x03\0", 6));
  const TokenStream stream = TokenStream::open_raw(path, 2, 4, 2);
  CHECK(all_tokens(stream) == std::vector<int64_t>{1, 2, 3});
  CHECK_THROWS_WITH(TokenStream::open_raw(path, 4, 4, 2), contains("multiple of 4"));
  CHECK_THROWS_AS(TokenStream::open_raw(path, 3, 4, 2), FormatError);
  CHECK_THROWS_AS(TokenStream::open_raw(path, 2, 70000, 2), FormatError);
  CHECK_THROWS_AS(TokenStream::open_raw(path, 2, 4, 4), FormatError);
  CHECK_THROWS_AS(TokenStream::open_raw(path, 2, -1, 0), FormatError);
  const TokenStream damaged = TokenStream::open_raw(path, 2, 3, 2);
  CHECK_THROWS_WITH(all_tokens(damaged), contains("token 2 is damaged, got 3"));
  std::vector<int64_t> two(2);
  CHECK_THROWS_AS(stream.read(2, two), ShapeError);
  CHECK_THROWS_AS(stream.read(-1, two), ShapeError);
  CHECK_THROWS_AS(stream.read(INT64_MAX, two), ShapeError);
  CHECK_THROWS_AS(TokenStream({0, 5}, 5, 0), ConfigError);
  CHECK_THROWS_AS(TokenStream({0, -1}, 5, 0), ConfigError);
}

TEST_CASE("tokens are cached until the text or the tokenizer changes, and mended when damaged") {
  const TemporaryDir dir;
  const std::string text = dir.file("a.txt", kText), cache = dir.path("cache/deep");
  const Tokenizer tokenizer = small_tokenizer();
  const auto n_files = [&cache] { return real_file_system().list(cache).size(); };
  const uint64_t fingerprint = cached_tokens(text, tokenizer, cache).fingerprint();
  CHECK(n_files() == 1);
  const std::string file = join_path(cache, real_file_system().list(cache)[0]);
  std::string bytes = real_file_system().read_file(file);
  CHECK(cached_tokens(text, tokenizer, cache).fingerprint() == fingerprint);
  CHECK(n_files() == 1);
  bytes[70] = static_cast<char>(bytes[70] ^ 1);
  real_file_system().write_file(file, bytes);
  const TokenStream mended = cached_tokens(text, tokenizer, cache);
  CHECK(mended.fingerprint() == fingerprint);
  mended.verify();
  dir.file("a.txt", std::string(kText) + "More.");
  CHECK(cached_tokens(text, tokenizer, cache).fingerprint() != fingerprint);
  CHECK(n_files() == 2);
  BpeTrainer trainer({.n_vocab = 260});
  trainer.add_text("three three");
  CHECK(cached_tokens(text, trainer.train(), cache).fingerprint() != fingerprint);
  CHECK(n_files() == 3);
}

// The bytes of numbers as they lie in memory.
template <class T>
std::string bytes_of(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

std::vector<int64_t> all_of(const TokenStream& stream) {
  std::vector<int64_t> ids(static_cast<size_t>(stream.size()));
  stream.read(0, ids);
  return ids;
}

TEST_CASE("token shards of other programs are read as they are") {
  const TemporaryDir dir;
  FileSystem& files = real_file_system();
  const std::vector<uint16_t> narrow{5, 6, 50256, 7, 8};
  const std::vector<uint32_t> wide{5, 100000, 99999, 7};
  std::vector<int32_t> header(256);
  header[0] = 20240520, header[1] = 1, header[2] = 5;
  files.write_file(dir.path("nano.bin"), bytes_of(narrow));
  files.write_file(dir.path("llmc.bin"), bytes_of(header) + bytes_of(narrow));
  header[0] = 20240801, header[1] = 7, header[2] = 4;
  files.write_file(dir.path("wide.bin"), bytes_of(header) + bytes_of(wide));
  files.write_file(dir.path("bare.bin"), bytes_of(wide));
  const std::vector<int64_t> want{5, 6, 50256, 7, 8}, want_wide{5, 100000, 99999, 7};
  for (const char* name : {"nano.bin", "llmc.bin"}) {
    const TokenStream stream = TokenStream::open_any(dir.path(name), 50257, 50256);
    CHECK(all_of(stream) == want);
    CHECK(stream.info().n_documents == 1);
  }
  for (const char* name : {"wide.bin", "bare.bin"})
    CHECK(all_of(TokenStream::open_any(dir.path(name), 128256, 99999)) == want_wide);

  files.write_file(dir.path("cut.bin"), bytes_of(header) + bytes_of(narrow));
  CHECK_THROWS_WITH(TokenStream::open_any(dir.path("cut.bin"), 128256, 0),
                    test::contains("expected 4 tokens of 4 bytes"));
  header[1] = 3;
  files.write_file(dir.path("new.bin"), bytes_of(header) + bytes_of(wide));
  CHECK_THROWS_WITH(TokenStream::open_any(dir.path("new.bin"), 128256, 0),
                    test::contains("got version 3, expected 7"));
  files.write_file(dir.path("odd.bin"), "abc");
  CHECK_THROWS_WITH(TokenStream::open_any(dir.path("odd.bin"), 50257, 0),
                    test::contains("a multiple of 2"));
  // A token beyond the vocabulary is found when it is read.
  const TokenStream small = TokenStream::open_any(dir.path("nano.bin"), 300, 0);
  CHECK_THROWS_AS(all_of(small), FormatError);
}

TEST_CASE("joined streams read across their borders") {
  const std::vector<int64_t> a{1, 2, 0}, b{3}, c{4, 0, 5, 6};
  const auto stream = [](const std::vector<int64_t>& ids) { return TokenStream(ids, 10, 0); };
  const TokenStream all = TokenStream::joined({stream(a), stream(b), stream(c)});
  CHECK(all.size() == 8);
  CHECK(all.info().n_documents == 2);
  CHECK(all_of(all) == std::vector<int64_t>{1, 2, 0, 3, 4, 0, 5, 6});
  for (int64_t first = 0; first <= 8; ++first)
    for (int64_t n = 0; first + n <= 8; ++n) {
      std::vector<int64_t> got(static_cast<size_t>(n)), want(got.size());
      all.read(first, got);
      std::vector<int64_t> whole = all_of(all);
      std::copy_n(whole.begin() + first, n, want.begin());
      CHECK(got == want);
    }
  CHECK_NOTHROW(all.verify());
  CHECK_THROWS_AS(all.read(7, std::span(std::vector<int64_t>(2).data(), 2)), ShapeError);
  CHECK(all.fingerprint() != TokenStream::joined({stream(b), stream(a), stream(c)}).fingerprint());
  CHECK(TokenStream::joined({stream(a)}).fingerprint() == stream(a).fingerprint());
  CHECK_THROWS_AS(TokenStream::joined({}), ConfigError);
  CHECK_THROWS_WITH(TokenStream::joined({stream(a), TokenStream(b, 11, 0)}),
                    test::contains("of another tokenizer"));
}

}  // namespace
}  // namespace xlstm::data
