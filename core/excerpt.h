// Text from a file or a user, made safe and short for an error message.
#pragma once

#include <string>
#include <string_view>

namespace xlstm {

// "text" in double quotes; bytes outside printable ASCII become \xNN, and after `limit` bytes comes
// "..." with the whole length, so a message never prints unbounded input.
std::string excerpt(std::string_view text, size_t limit = 64);

}  // namespace xlstm
