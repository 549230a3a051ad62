#include "data/text_corpus.h"

#include <omp.h>

#include <random>

#include "core/error.h"
#include "data/bpe_trainer.h"
#include "data/text_tokens.h"
#include "data/token_file.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

namespace xlstm::data {
namespace {

using xlstm::test::contains;
using Documents = std::vector<std::string>;

Documents read_documents(const std::string& path, int64_t chunk_bytes) {
  DocumentReader reader(path, chunk_bytes);
  std::vector<DocumentPart> parts;
  Documents documents;
  bool open = false;
  while (reader.next(parts))
    for (const DocumentPart& part : parts) {
      if (!open) documents.emplace_back();
      documents.back() += part.text;
      open = !part.ends_document;
    }
  REQUIRE_FALSE(open);
  return documents;
}

std::vector<int32_t> tokens_of(const std::string& path, const Tokenizer& tokenizer) {
  std::vector<int32_t> all;
  TextTokens tokens(path, tokenizer);
  while (!tokens.at_end()) {
    const std::span<const int32_t> ids = tokens.next(1000);
    REQUIRE((!ids.empty() && ids.size() <= 1000));
    all.insert(all.end(), ids.begin(), ids.end());
  }
  return all;
}

std::string random_corpus(int64_t n_words) {
  const std::string words[] = {"the", " cat", " sat",  "\n",      "\n\n",  "  ",           "'s",
                               ".",   " é日", " 12 3", " \t",     "<|end", "x y",          "it'll",
                               " a ", "word", "\r\n",  " 'tis a", "🙂",  "<|endoftext|>"};
  std::mt19937 random(3);
  std::string text;
  for (int64_t i = 0; i < n_words; ++i) text += words[random() % std::size(words)];
  return text;
}

TEST_CASE("documents are what stands between separators, without white space around") {
  const TemporaryDir dir;
  const std::string path = dir.file("a.txt",
                                    "\n One.\nStill one. \n<|endoftext|>\nTwo.<|endoftext|>Three\n"
                                    "<|endoftext|>\n \n<|endoftext|><|endoftext|> <|endoftext| \n");
  const Documents expected = {"One.\nStill one.", "Two.", "Three", "<|endoftext|"};
  for (const int64_t chunk : {1, 2, 7, 13, 1000}) CHECK(read_documents(path, chunk) == expected);
}

TEST_CASE("a text read in small chunks gives the documents and the tokens of the whole") {
  const TemporaryDir dir;
  const std::string path = dir.file("a.txt", random_corpus(20000));
  const Documents whole = read_documents(path, int64_t{1} << 30);
  CHECK(whole.size() > 500);
  for (const int64_t chunk : {16, 100, 4096}) CHECK(read_documents(path, chunk) == whole);

  BpeTrainer trainer({.n_vocab = 300});
  for (const std::string& document : whole) trainer.add_text(document);
  const Tokenizer tokenizer = trainer.train();
  std::vector<int32_t> expected;
  for (const std::string& document : whole) {
    const std::vector<int32_t> ids = tokenizer.encode(document);
    expected.insert(expected.end(), ids.begin(), ids.end());
    expected.push_back(static_cast<int32_t>(tokenizer.end_of_text()));
  }
  CHECK(tokens_of(path, tokenizer) == expected);
  // Parts of documents too: every cut that the reader makes is one of the pattern's.
  std::vector<int32_t> in_parts;
  DocumentReader reader(path, 16);
  for (std::vector<DocumentPart> parts; reader.next(parts);)
    for (const DocumentPart& part : parts) {
      const std::vector<int32_t> ids = tokenizer.encode(part.text);
      in_parts.insert(in_parts.end(), ids.begin(), ids.end());
      if (part.ends_document) in_parts.push_back(static_cast<int32_t>(tokenizer.end_of_text()));
    }
  CHECK(in_parts == expected);
}

TEST_CASE("tokens do not depend on the number of threads") {
  const TemporaryDir dir;
  const std::string path = dir.file("a.txt", random_corpus(200000));
  const Tokenizer tokenizer = BpeTrainer({.n_vocab = 257}).train();
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const std::vector<int32_t> one = tokens_of(path, tokenizer);
  omp_set_num_threads(3);
  CHECK(tokens_of(path, tokenizer) == one);
  omp_set_num_threads(threads);
}

TEST_CASE("missing and empty corpora are reported") {
  const TemporaryDir dir;
  const Tokenizer tokenizer = BpeTrainer({.n_vocab = 257}).train();
  CHECK_THROWS_WITH(open_corpus(dir.path() + "/absent"), contains("no folder"));
  CHECK_THROWS_WITH(open_corpus(dir.path()), contains("no file") && contains("train.txt"));
  dir.file("train.txt", "a");
  CHECK_THROWS_WITH(open_corpus(dir.path()), contains("valid.txt"));
  dir.file("valid.txt", " \n<|endoftext|>\n");
  const TextCorpus corpus = open_corpus(dir.path());
  CHECK(tokens_of(corpus.train_path, tokenizer).size() == 2);
  CHECK_THROWS_AS(tokens_of(corpus.valid_path, tokenizer), FormatError);
  CHECK_THROWS_AS(tokens_of(dir.file("empty.txt", ""), tokenizer), FormatError);
  CHECK_THROWS_AS(tokens_of(dir.path() + "/absent.txt", tokenizer), FileError);
  TokenizerDefinition definition = tokenizer.definition();
  definition.pretokenizer.add_prefix_space = true;
  CHECK_THROWS_AS(tokens_of(corpus.train_path, Tokenizer(definition)), ConfigError);
}

TEST_CASE("the bundled stories are written once and are the same each time") {
  const TemporaryDir dir, other;
  const TextCorpus corpus = make_stories(dir.path(), 200);
  CHECK(read_documents(corpus.train_path, 1 << 20).size() +
            read_documents(corpus.valid_path, 1 << 20).size() ==
        200);
  CHECK(make_stories(dir.path(), 200).train_path == corpus.train_path);
  CHECK(hash_file(make_stories(other.path(), 200).train_path) == hash_file(corpus.train_path));
  CHECK(make_stories(dir.path(), 100).train_path != corpus.train_path);
  CHECK(real_file_system().list(dir.path()).size() == 2);  // nothing temporary is left
  CHECK_THROWS_AS(make_stories(dir.path(), 0), ConfigError);
}

}  // namespace
}  // namespace xlstm::data
