#include "data/bpe_trainer.h"

#include <map>
#include <random>

#include "core/error.h"
#include "tests/catch.h"
#include "tests/test_data.h"

namespace xlstm::data {
namespace {

std::string golden(const char* name) {
  return real_file_system().read_file(testing::data_path(std::string("tests/data/golden/") + name));
}

TEST_CASE("the trained tokenizer is the file that Hugging Face's trainer writes") {
  BpeTrainer trainer({.n_vocab = 420});
  trainer.add_text(golden("bpe_text.txt"));
  CHECK(trainer.train().to_json() == golden("bpe_tokenizer.json"));
}

TEST_CASE("documents may be added in any order and in parts") {
  const std::string text = golden("bpe_text.txt");
  const size_t cut = text.find("\n\n");
  BpeTrainer a({.n_vocab = 400}), b({.n_vocab = 400});
  a.add_text(text.substr(0, cut));
  a.add_text(text.substr(cut));
  b.add_text(text.substr(cut));
  b.add_text(text.substr(0, cut));
  CHECK(a.train().fingerprint() == b.train().fingerprint());
}

// Counts all pairs anew before every merge. Words without a repeated symbol, so that overlapping
// pairs (a a a) do not make "count" ambiguous.
TEST_CASE("incremental counts choose as counting anew does") {
  std::mt19937 random(11);
  std::map<std::string, int64_t> words;
  std::string text;
  for (int i = 0; i < 300; ++i) {
    std::string word(" ");
    for (auto n = 1 + random() % 5; n > 0; --n) {
      char c = word.back();
      while (word.find(c) != word.npos) c = static_cast<char>('a' + random() % 12);
      word += c;
    }
    text += word;
    ++words[word];
  }
  BpeTrainer trainer({.n_vocab = 330, .special_tokens = {}});
  trainer.add_text(text);
  const TokenizerDefinition result = trainer.train().definition();
  const Tokenizer bytes = BpeTrainer({.n_vocab = 256, .special_tokens = {}}).train();
  std::vector<std::pair<std::vector<int32_t>, int64_t>> state;
  for (const auto& [word, count] : words) state.emplace_back(bytes.encode(word), count);
  REQUIRE(result.merges.size() == 330 - 256);
  for (size_t m = 0; m < result.merges.size(); ++m) {
    std::map<std::pair<int32_t, int32_t>, int64_t> counts;
    for (const auto& [ids, count] : state)
      for (size_t i = 0; i + 1 < ids.size(); ++i) counts[{ids[i], ids[i + 1]}] += count;
    auto best = counts.begin();  // the map is sorted, so the smallest of equals stays
    for (auto it = counts.begin(); it != counts.end(); ++it)
      if (it->second > best->second) best = it;
    REQUIRE(result.merges[m] == best->first);
    for (auto& [ids, count] : state)
      for (size_t i = 0; i + 1 < ids.size(); ++i)
        if (ids[i] == best->first.first && ids[i + 1] == best->first.second) {
          ids[i] = static_cast<int32_t>(256 + m);
          ids.erase(ids.begin() + static_cast<int64_t>(i) + 1);
        }
  }
}

TEST_CASE("training stops where the text or the wanted frequency ends") {
  BpeTrainer all({.n_vocab = 1000}), rare({.n_vocab = 1000, .min_frequency = 3});
  for (BpeTrainer* trainer : {&all, &rare}) trainer->add_text("abc abc xy");
  CHECK(all.train().n_vocab() == 257 + 5);  // "ab", "abc", "xy", " abc", " xy"
  CHECK(rare.train().n_vocab() == 257);
}

TEST_CASE("settings that make no sense are refused") {
  CHECK_THROWS_AS(BpeTrainer({.n_vocab = 256}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.n_vocab = int64_t{1} << 40}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.n_vocab = 300, .special_tokens = {"<a>", "<a>"}}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.n_vocab = 300, .special_tokens = {""}}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.n_vocab = 300, .special_tokens = {"a"}}), ConfigError);
}

}  // namespace
}  // namespace xlstm::data
