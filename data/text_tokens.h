// The tokens of a text file, piece by piece.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/file_system.h"
#include "data/bpe_tokenizer.h"
#include "data/text_corpus.h"

namespace xlstm::data {

// Tokenizes the documents of a text file, an end-of-text token after each, in bounded memory and on
// all threads; the tokens do not depend on their number. Special tokens are not recognised within
// documents.
class TextTokens {
 public:
  // `tokenizer` must outlive this. FileError; FormatError if there is no document; ConfigError for
  // a tokenizer without an end-of-text token, or under which parts of a text have other tokens than
  // the whole.
  TextTokens(const std::string& text_path, const Tokenizer& tokenizer,
             const FileSystem& files = real_file_system());

  // The next tokens, at least one and at most `n` > 0; none at the end. Valid until the next call.
  std::span<const int32_t> next(int64_t n);
  bool at_end();  // reads on if it must

 private:
  bool read_more();

  const Tokenizer& tokenizer_;
  DocumentReader reader_;
  std::vector<PretokenCache> caches_;         // one for each thread
  std::vector<std::vector<int32_t>> groups_;  // of the piece that was read last
  size_t group_ = 0, at_ = 0;                 // the next token
};

}  // namespace xlstm::data
