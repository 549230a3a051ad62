#include "data/token_file.h"

#include <omp.h>

#include <fstream>

#include "core/error.h"
#include "core/fault.h"
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

// 3,000 documents of up to 60 words, 1.2 MB: more than one group for each thread.
std::string long_text() {
  std::string text;
  for (int d = 0; d < 3000; ++d) {
    for (int w = 0; w < d % 61; ++w) text += "word" + std::to_string(w * d % 977) + " ";
    text += "\n<|endoftext|>\n";
  }
  return text;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> paths;
  for (const std::string& name : real_file_system().list(folder))
    paths.push_back(join_path(folder, name));
  return paths;
}

TEST_CASE("shards joined are the tokens of the one file, wherever their borders fall") {
  const TemporaryDir dir;
  const Tokenizer tokenizer = small_tokenizer();
  const std::string text = dir.file("a.txt", GENERATE(true, false) ? kText : long_text());
  const TokenFileInfo one = write_token_file(text, tokenizer, dir.path("one.tokens"));
  const std::vector<int64_t> want = all_tokens(TokenStream::open(dir.path("one.tokens")));
  // One token each, borders inside documents, a last shard that is exactly full, one shard.
  const int64_t least = one.n_tokens < 100 ? 1 : 100000;
  for (const int64_t size : {least, one.n_tokens / 3 + 1, one.n_tokens / 2, one.n_tokens - 1,
                             one.n_tokens, one.n_tokens + 1, int64_t{1} << 40}) {
    INFO(size << " tokens a shard");
    const std::string folder = dir.path("s" + std::to_string(size));
    const TokenShardsWritten written =
        write_token_shards(text, tokenizer, join_path(folder, "train"), size);
    CHECK(written.n_tokens == one.n_tokens);
    CHECK(written.n_documents == one.n_documents);
    CHECK(written.paths == names_in(folder));
    CHECK(static_cast<int64_t>(written.paths.size()) == (one.n_tokens - 1) / size + 1);
    int64_t n_documents = 0, first = 0;
    for (size_t i = 0; i < written.paths.size(); ++i) {
      const TokenFileInfo info = TokenStream::open(written.paths[i]).info();
      const bool is_last = i + 1 == written.paths.size();
      const auto number = static_cast<int64_t>(i) + 1;
      CHECK(info.shard == ShardPlace{number, is_last ? number : 0, first});
      if (!is_last) CHECK(info.n_tokens == size);
      CHECK(info.source_hash == one.source_hash);
      first += info.n_tokens;
      n_documents += info.n_documents;
    }
    CHECK(n_documents == one.n_documents);
    const TokenStream joined = TokenStream::open_shards(written.paths, tokenizer);
    CHECK(all_tokens(joined) == want);
  }
}

TEST_CASE("shards are the same bytes whatever the number of threads") {
  const TemporaryDir dir;
  const std::string text = dir.file("a.txt", long_text());
  const Tokenizer tokenizer = small_tokenizer();
  const int threads = omp_get_max_threads();
  std::vector<std::string> all;
  for (const int n : {1, 3}) {
    omp_set_num_threads(n);
    std::string bytes;
    for (const std::string& path :
         write_token_shards(text, tokenizer, dir.path("t") + std::to_string(n), 123457).paths)
      bytes += real_file_system().read_file(path);
    all.push_back(std::move(bytes));
  }
  omp_set_num_threads(threads);
  CHECK(all[0] == all[1]);
}

TEST_CASE("a shard that is missing, damaged, out of place or of another text is one clear error") {
  const TemporaryDir dir;
  const std::string text = dir.file("a.txt", kText);
  const Tokenizer tokenizer = small_tokenizer();
  const auto make = [&](const std::string& prefix, int64_t size) {
    return write_token_shards(text, tokenizer, dir.path(prefix), size).paths;
  };
  const std::vector<std::string> good = make("train", 7);
  REQUIRE(good.size() == 5);
  const auto refused = [&](const std::vector<std::string>& paths, const std::string& name,
                           const std::string& words) {
    try {
      TokenStream::open_shards(paths, tokenizer);
      FAIL("expected: " << words);
    } catch (const FormatError& e) {
      CHECK_THAT(e.what(), contains(name) && contains(words));
    }
  };
  const auto without = [&good](size_t i) {
    std::vector<std::string> paths = good;
    paths.erase(paths.begin() + static_cast<std::ptrdiff_t>(i));
    return paths;
  };
  refused(without(0), "train_000002", "got shard 2 of a text, expected shard 1 before it");
  for (size_t i = 1; i < 4; ++i)
    refused(without(i), "train_00000" + std::to_string(i + 2),
            "expected shard " + std::to_string(i + 1) + " of that text (is a file missing?)");
  refused(without(4), "train_000004", "got shard 4 as the last one, expected shard 5 after it");
  refused({good[0], good[2], good[1], good[3], good[4]}, "train_000003", "expected shard 2");
  refused({good[0], good[0], good[1], good[2], good[3], good[4]}, "train_000001",
          "got shard 1 after");

  // Of another tokenization of the same text, and of another text.
  const std::vector<std::string> other_size = make("eight", 8);
  refused({good[0], other_size[1], good[2], good[3], good[4]}, "eight_000002", "does not go on");
  dir.file("b.txt", std::string(kText) + "More.");
  const auto other_text =
      write_token_shards(dir.path("b.txt"), tokenizer, dir.path("other"), 7).paths;
  refused({good[0], good[1], other_text[2], good[3], good[4]}, "other_000003", "does not go on");
  refused({good[0], dir.file("bare.bin", "ab"), good[1]}, "bare.bin", "a file that is no shard");
  // Two whole texts one behind the other are fine, as are files that are no shards around them.
  std::vector<std::string> both = good;
  both.insert(both.end(), other_size.begin(), other_size.end());
  both.push_back(dir.path("bare.bin"));
  CHECK(TokenStream::open_shards(both, tokenizer).info().n_documents == 4);

  // A token that is another one, which only the hash can tell; and a file that was cut.
  const std::string bytes = real_file_system().read_file(good[2]);
  std::string bad = bytes;
  bad[66] = static_cast<char>(bad[66] ^ 1);
  real_file_system().write_file(good[2], bad);
  refused(good, "train_000003", "damaged");
  real_file_system().write_file(good[2], bytes.substr(0, 100));
  refused(good, "train_000003", "");
  real_file_system().write_file(good[2], bytes);
  CHECK_NOTHROW(TokenStream::open_shards(good, tokenizer));
  CHECK_THROWS_WITH(make("train", 7),
                    contains("there are shards already") && contains("expected no train_*.tokens"));
  CHECK_THROWS_AS(make("new", 0), ConfigError);
}

TEST_CASE("a shard is complete or not there, at whatever call writing fails") {
  const TemporaryDir dir;
  const std::string text = dir.file("a.txt", kText);
  const Tokenizer tokenizer = small_tokenizer();
  const std::vector<std::string> want =
      write_token_shards(text, tokenizer, dir.path("good/t"), 9).paths;
  int64_t n_failed = 0;
  for (int64_t call = 0;; ++call) {
    const std::string folder = dir.path("f" + std::to_string(call));
    FaultyFileSystem files(real_file_system());
    files.fail_at(call, Fault::no_space);
    bool failed = false;
    try {
      write_token_shards(text, tokenizer, folder + "/t", 9, files);
    } catch (const FileError&) {
      failed = true;
    }
    if (!files.fired()) break;
    CHECK(failed);
    n_failed += failed ? 1 : 0;
    if (!real_file_system().is_dir(folder)) continue;
    std::vector<std::string> left = names_in(folder);
    for (size_t i = 0; i < left.size(); ++i)
      CHECK(real_file_system().read_file(left[i]) == real_file_system().read_file(want[i]));
    if (left.size() < want.size() && !left.empty())
      CHECK_THROWS_WITH(TokenStream::open_shards(left, tokenizer), contains("interrupted?"));
  }
  CHECK(n_failed > 10);
}

}  // namespace
}  // namespace xlstm::data
