// Patterns of tokenizer.json are written for Oniguruma in its Ruby syntax. PCRE2 reads many of them
// otherwise and knows an older Unicode. This writes a pattern that means in PCRE2 what it meant
// there; what it cannot write so is refused by name.
#pragma once

#include <string>
#include <string_view>

namespace xlstm::data {

// FormatError, beginning with `where`, for a construct that is not implemented.
std::string to_pcre2(std::string_view pattern, const std::string& where);

}  // namespace xlstm::data
