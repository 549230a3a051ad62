// The small rules of written English that the story engine needs: letters, plurals, capitals,
// spaces and articles. ASCII only, so that no locale can change a story.
#pragma once

#include <string>
#include <string_view>

namespace xlstm::data {

inline bool is_space(char c) {
  return c == ' ' || c == '\n';
}
inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
inline char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
inline bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string lower(std::string_view s);
std::string plural(const std::string& noun);  // "box" -> "boxes"

// Stands for the end of a paragraph until tidy_prose() makes it a newline.
inline constexpr char kParagraph = '\f';

// One space between words, none before , . ! ?, a capital letter at the start of each sentence, and
// "a" or "an" as the next word asks.
std::string tidy_prose(std::string_view raw);

}  // namespace xlstm::data
