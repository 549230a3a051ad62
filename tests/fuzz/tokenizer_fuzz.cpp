// Any bytes as a tokenizer.json: an error of the family, or a tokenizer that gives text back.
#include "core/error.h"
#include "data/bpe_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const xlstm::data::Tokenizer tokenizer = xlstm::data::Tokenizer::from_json(text, "input");
    tokenizer.decode(tokenizer.encode("Once upon a time, 12 caf\xc3\xa9s \xff.\n\n  ok"));
    xlstm::data::Tokenizer::from_json(tokenizer.to_json(), "again");
  } catch (const xlstm::FormatError&) {
  }
  return 0;
}
