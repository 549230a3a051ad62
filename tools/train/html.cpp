#include "tools/train/html.h"

#include "core/json.h"

namespace xlstm::train {

std::string html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  // A page says that it is UTF-8; names of files may be anything.
  const bool utf8 = is_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f)
          out += ' ';
        else
          out += byte >= 0x80 && !utf8 ? '?' : c;
    }
  }
  return out;
}

std::string html_address(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/";
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out = "./";  // so that no name is taken for a scheme
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos)
      out += c;
    else
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

}  // namespace xlstm::train
