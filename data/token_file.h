// A file of tokens, ready for training: a header, the tokens as little-endian uint16 or uint32, and
// a trailer (docs/data_format.md). The file is mapped, so it may be larger than memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/file_system.h"
#include "data/bpe_tokenizer.h"

namespace xlstm::data {

// Where a file stands among those that hold the tokens of one text; all 0 if it holds them alone.
struct ShardPlace {
  int64_t number = 0;       // 1, 2, ...
  int64_t total = 0;        // in the last one: how many there are; else 0
  int64_t first_token = 0;  // tokens in those before

  bool operator==(const ShardPlace&) const = default;
};

struct TokenFileInfo {
  int64_t element_bytes = 0;  // 2 or 4
  int64_t n_tokens = 0;
  int64_t n_documents = 0;  // that is, end-of-text tokens
  int64_t n_vocab = 0;
  int64_t end_of_text = 0;
  uint64_t tokenizer_hash = 0;  // Tokenizer::fingerprint
  uint64_t source_hash = 0;     // of the text file
  uint64_t data_hash = 0;       // of the tokens as stored
  ShardPlace shard = {};

  bool operator==(const TokenFileInfo&) const = default;
};

// A stream of tokens that can be read at any place by any thread.
class TokenStream {
 public:
  // In memory. ConfigError if a token is outside the vocabulary.
  TokenStream(const std::vector<int64_t>& tokens, int64_t n_vocab, int64_t end_of_text);

  // A token file. The header, the trailer and the size are checked; the tokens only when they are
  // read, or all at once by verify(). FormatError for anything that does not fit.
  static TokenStream open(const std::string& path);
  // A headerless file of uint16 or uint32; what a header would say comes from the caller, and the
  // whole file is read once for its hash.
  static TokenStream open_raw(const std::string& path, int64_t element_bytes, int64_t n_vocab,
                              int64_t end_of_text);

  // A file of any of the three kinds: a token file; a shard of llm.c (a header of 256 int32 with
  // the magic number 20240520 and version 1 for uint16, or 20240801 and 7 for uint32, and the
  // number of tokens); else the bare tokens in two bytes, as nanoGPT writes them, or in four where
  // the vocabulary needs it. FormatError if the vocabulary or end of text of a token file is
  // another one.
  static TokenStream open_any(const std::string& path, int64_t n_vocab, int64_t end_of_text);
  // Files of any kind as one stream, in this order, each read and compared with its header (if it
  // has one) now. Shards of one text must stand together, all and in order: FormatError that names
  // the file where one is missing. A warning if a header names another tokenizer of the same size.
  static TokenStream open_shards(const std::vector<std::string>& paths, const Tokenizer& tokenizer);
  // One behind the other, as one stream. ConfigError for none, or for different vocabularies or
  // ends of text.
  static TokenStream joined(std::vector<TokenStream> parts);

  const TokenFileInfo& info() const { return info_; }
  int64_t size() const { return info_.n_tokens; }
  int64_t n_vocab() const { return info_.n_vocab; }
  int64_t end_of_text() const { return info_.end_of_text; }
  // Differs when any token, the vocabulary's size or the end of text differs; the path and the time
  // do not matter.
  uint64_t fingerprint() const;

  // Tokens first .. first + out.size() - 1. ShapeError outside the stream, FormatError if a token
  // is not in the vocabulary (the file is damaged).
  void read(int64_t first, std::span<int64_t> out) const;
  // Reads everything and compares with the header. FormatError names the first difference;
  // FileError if the file has changed its size.
  void verify() const;

 private:
  TokenStream() = default;
  static TokenStream open_bare(const std::string& path, std::shared_ptr<const MappedFile> file,
                               int64_t offset, TokenFileInfo info);
  static void check_shards(const std::vector<TokenStream>& parts);
  int64_t token_at(int64_t i) const;

  TokenFileInfo info_;
  std::string name_ = "tokens";
  std::shared_ptr<const MappedFile> file_;  // or
  std::shared_ptr<const std::vector<std::byte>> memory_;
  const std::byte* tokens_ = nullptr;
  std::vector<TokenStream> parts_;  // of a joined stream,
  std::vector<int64_t> starts_;     // and where each begins
};

enum class TokenFormat { checked, raw };  // with header and trailer, or the bare tokens

// The tokens of a text file (TextTokens) into a token file at `path`, which appears complete or not
// at all. Tokens take two bytes if the vocabulary allows it, else four.
TokenFileInfo write_token_file(const std::string& text_path, const Tokenizer& tokenizer,
                               const std::string& path, TokenFormat format = TokenFormat::checked,
                               FileSystem& files = real_file_system());

struct TokenShardsWritten {
  std::vector<std::string> paths;
  int64_t n_tokens = 0, n_documents = 0, element_bytes = 0;
};
// The same into token files of `shard_tokens` tokens each, the last one of what is left, named
// `<prefix>_000001.tokens` and so on. Each appears complete or not at all, one after the other;
// only the last says that it is. The folder is made if it is not there. ConfigError for less than
// one token, for more than 999999 shards, or if there are files of such names already.
TokenShardsWritten write_token_shards(const std::string& text_path, const Tokenizer& tokenizer,
                                      const std::string& prefix, int64_t shard_tokens,
                                      FileSystem& files = real_file_system());

// The tokens of a text file from a token file in `cache_dir`, made first if it is not there. Its
// name holds the hashes of the text and of the tokenizer, so a stale file is never used; a damaged
// one is made anew.
TokenStream cached_tokens(const std::string& text_path, const Tokenizer& tokenizer,
                          const std::string& cache_dir, FileSystem& files = real_file_system());

// XXH3-64 of a file's bytes.
uint64_t hash_file(const std::string& path, const FileSystem& files = real_file_system());

}  // namespace xlstm::data
