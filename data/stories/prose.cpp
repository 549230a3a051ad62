#include "data/stories/prose.h"

namespace xlstm::data {
namespace {

// "an" goes before a vowel sound. The grammar's words need no more exceptions than these.
bool takes_an(std::string_view word) {
  const std::string w = lower(word);
  if (w.starts_with("hour") || w.starts_with("honest")) return true;
  if (w.starts_with("one") || w.starts_with("use") || w.starts_with("uni")) return false;
  return !w.empty() && std::string_view("aeiou").find(w[0]) != std::string_view::npos;
}

// Single spaces, newlines only between paragraphs, nothing before , . ! ?
std::string collapse_space(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  bool space = false;
  bool paragraph = false;
  for (const char c : raw) {
    if (c == kParagraph) paragraph = true;
    if (is_space(c) || c == kParagraph) {
      space = true;
      continue;
    }
    const bool closes = c == ',' || c == '.' || c == '!' || c == '?';
    if (space && !out.empty() && !closes) out += paragraph ? '\n' : ' ';
    space = false;
    paragraph = false;
    out += c;
  }
  return out;
}

}  // namespace

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = lower(c);
  return out;
}

std::string plural(const std::string& noun) {
  const auto ends = [&](std::string_view tail) {
    return noun.size() > tail.size() && noun.ends_with(tail);
  };
  if (ends("s") || ends("x") || ends("ch") || ends("sh")) return noun + "es";
  const bool vowel_before_y =
      noun.size() > 1 && std::string_view("aeiou").find(noun[noun.size() - 2]) < 5;
  if (ends("y") && !vowel_before_y) return noun.substr(0, noun.size() - 1) + "ies";
  return noun + "s";
}

std::string tidy_prose(std::string_view raw) {
  const std::string text = collapse_space(raw);
  std::string out;
  out.reserve(text.size() + 16);
  bool sentence_start = true;
  for (size_t i = 0; i < text.size();) {
    if (!is_letter(text[i])) {
      const char c = text[i++];
      out += c;
      const bool after_space = out.size() < 2 || out[out.size() - 2] == ' ' || c == '\n';
      if (c == '\n') sentence_start = true;
      if (c == ' ' && out.size() > 1) {
        const char last = out[out.size() - 2];
        const bool spoken_stop = out.ends_with(".\" ");
        sentence_start = last == '.' || last == '!' || last == '?' || spoken_stop;
      }
      if (c == '"' && !after_space) sentence_start = false;
      continue;
    }
    size_t end = i;
    while (end < text.size() && (is_letter(text[end]) || text[end] == '\'')) ++end;
    std::string word = text.substr(i, end - i);
    if ((word == "a" || word == "A" || word == "an" || word == "An") && end + 1 < text.size() &&
        text[end] == ' ') {
      word = word.substr(0, 1) + (takes_an(std::string_view(text).substr(end + 1, 8)) ? "n" : "");
    }
    if (sentence_start) word[0] = upper(word[0]);
    sentence_start = false;
    out += word;
    i = end;
  }
  return out;
}

}  // namespace xlstm::data
