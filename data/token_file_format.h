// The bytes of token files: header, tokens, trailer (docs/data_format.md).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/content_hash.h"
#include "data/token_file.h"

namespace xlstm::data {

inline constexpr int64_t kTokenFileBlock = 64;  // bytes of the header, and of the trailer

// 2 bytes for a token if the vocabulary allows it, else 4.
int64_t element_bytes_for(int64_t n_vocab);

// FormatError, beginning with `path`, if the numbers cannot be those of token data.
void check_token_info(const TokenFileInfo& info, const std::string& path);

// Whether the file begins as a token file does.
bool begins_as_token_file(std::span<const std::byte> bytes);

// What header and trailer of a whole file say. FormatError if they or the size do not fit.
TokenFileInfo parse_token_file(std::span<const std::byte> bytes, const std::string& path);

// What one walk over stored tokens finds.
struct TokenWalk {
  int64_t n_documents = 0;
  uint64_t data_hash = 0;
  int64_t first_bad = -1;  // place of the first token outside the vocabulary, -1: none
};
// `tokens` holds whole tokens of info.element_bytes bytes.
TokenWalk walk_tokens(std::span<const std::byte> tokens, const TokenFileInfo& info);

// Packs tokens, counts and hashes them in `info`, and writes them behind a header.
class TokenWriter {
 public:
  // Writes the header; `file` and `info` must outlive this. n_tokens and n_documents start at 0.
  TokenWriter(WriteFile& file, TokenFileInfo& info, TokenFormat format);

  void add(std::span<const int32_t> ids);
  void finish();  // writes the trailer

 private:
  void put(std::span<const std::byte> bytes);

  WriteFile& file_;
  TokenFileInfo& info_;
  TokenFormat format_;
  std::vector<std::byte> header_;
  ContentHash hash_;
  std::vector<uint16_t> narrow_;
};

}  // namespace xlstm::data
