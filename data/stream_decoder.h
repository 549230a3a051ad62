// Turns tokens into text one by one, as a generator shows them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "data/bpe_tokenizer.h"

namespace xlstm::data {

// All pieces together are the lossy decoding of all bytes together; no piece ends inside a
// character. A maximal part of bytes that can be no UTF-8 becomes one U+FFFD.
class StreamDecoder {
 public:
  // The tokenizer must outlive the decoder. With `skip_special` control tokens are left out.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // The text that this token completes, perhaps none. ConfigError for an unknown id.
  std::string push(int64_t id);
  // The end: what was held back, as U+FFFD. The decoder can be used again.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string held_;  // the beginning of a character
};

// The bytes as UTF-8, with U+FFFD for what is not.
std::string lossy_utf8(std::string_view bytes);

}  // namespace xlstm::data
