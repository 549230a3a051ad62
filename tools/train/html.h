// Text inside HTML and SVG.
#pragma once

#include <string>
#include <string_view>

namespace xlstm::train {

// Safe between tags and in quoted attributes. Control characters, which no HTML may have, become
// spaces; line breaks and tabs stay.
std::string html(std::string_view text);

// Safe as a relative address of a file below a page: percent signs for all that is not plain.
std::string html_address(std::string_view path);

}  // namespace xlstm::train
