// Normalization form C of Unicode (UAX #15): characters in parts put together, marks in order. The
// combining marks and compositions are those of Unicode 9, as in Hugging Face `tokenizers`.
#pragma once

#include <string>
#include <string_view>

namespace xlstm::data {

// `text` itself if it is in NFC, as nearly all text is; else a view of `storage`, which is
// overwritten. Bytes that are not UTF-8 stay as they are, and nothing composes across them.
std::string_view to_nfc(std::string_view text, std::string& storage);

}  // namespace xlstm::data
