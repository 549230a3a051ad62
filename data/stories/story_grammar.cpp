#include "data/stories/story_grammar.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "data/stories/prose.h"

namespace xlstm::data {
namespace {

// A mistake in the grammar itself; the test that tells every plot finds it.
[[noreturn]] void fail(std::string_view what, std::string_view got) {
  throw_error<FormatError>("stories: ", what, ", got '", got, "'");
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

std::vector<std::string_view> split(std::string_view s, char separator) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  while (begin <= s.size()) {
    const size_t end = std::min(s.find(separator, begin), s.size());
    parts.push_back(trim(s.substr(begin, end - begin)));
    begin = end + 1;
  }
  return parts;
}

struct GenderedWord {
  std::string_view form, he, she, it;
};
constexpr std::array<GenderedWord, 10> kGendered = {{
    {"he", "he", "she", "it"},
    {"him", "him", "her", "it"},
    {"his", "his", "her", "its"},
    {"himself", "himself", "herself", "itself"},
    {"hers", "his", "hers", "its"},
    {"boy", "boy", "girl", "one"},
    {"boys", "boys", "girls", "ones"},
    {"brother", "brother", "sister", "friend"},
    {"son", "son", "daughter", "child"},
    {"king", "king", "queen", "ruler"},
}};

const GenderedWord* find_gendered(std::string_view form) {
  for (const GenderedWord& word : kGendered)
    if (word.form == form) return &word;
  return nullptr;
}

// Where the bracket opened just before `begin` closes.
size_t find_close(std::string_view text, size_t begin) {
  int depth = 1;
  for (size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']' && --depth == 0) return i;
  }
  fail("a '[' is never closed", text.substr(begin, 40));
}

std::vector<std::string_view> split_alternatives(std::string_view body) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '[') ++depth;
    if (body[i] == ']') --depth;
    if (body[i] == '|' && depth == 0) {
      parts.push_back(body.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  parts.push_back(body.substr(begin));
  return parts;
}

std::string mark_paragraphs(std::string_view text) {
  std::string out(text);
  for (size_t i = 0; (i = out.find("\n\n", i)) != std::string::npos;) out[i] = kParagraph;
  return out;
}

}  // namespace

uint64_t mix_bits(uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

StoryRandom::StoryRandom(uint64_t seed, uint64_t stream)
    : state_(mix_bits(mix_bits(seed) ^ stream)) {}

uint64_t StoryRandom::below(uint64_t n) {
  state_ += 0x9E3779B97F4A7C15ULL;
  return ((mix_bits(state_) >> 32) * n) >> 32;
}

struct StoryGrammar::Telling {
  explicit Telling(StoryRandom& r) : random(r) {}
  StoryRandom& random;
  std::vector<std::pair<std::string, Slot>> slots;
  std::vector<std::pair<std::string, uint64_t>> labels;
  char last_gender = 0;
  bool has_child = false;
  std::string text, masked;

  void emit(std::string_view s) {
    text += s;
    masked += s;
  }
  const Slot* find(std::string_view name) const {
    for (const auto& [slot_name, slot] : slots)
      if (slot_name == name) return &slot;
    return nullptr;
  }
};

StoryGrammar::StoryGrammar(const std::vector<NounList>& lists, const std::vector<SharedRule>& rules,
                           std::string_view plain_nouns) {
  for (const NounList& source : lists) {
    List made{std::string(source.mask), source.gender[0], {}, {}};
    if (!source.adjectives.empty())
      for (const auto word : split(source.adjectives, ',')) made.adjectives.emplace_back(word);
    for (const auto entry : split(source.nouns, ',')) {
      const auto fields = split(entry, ':');
      Noun noun{std::string(fields[0]), {}};
      for (size_t i = 1; i < fields.size(); ++i) {
        const size_t equals = fields[i].find('=');
        if (equals == std::string_view::npos) fail("an attribute needs '='", entry);
        noun.attributes.emplace_back(fields[i].substr(0, equals), fields[i].substr(equals + 1));
      }
      const std::string last_word = noun.text.substr(noun.text.rfind(' ') + 1);
      if (source.name != "pet_name") {  // "sunny" in a plot is no animal
        plain_masks_[lower(last_word)] = made.mask;
        plain_masks_[lower(plural(last_word))] = made.mask;
      }
      made.nouns.push_back(std::move(noun));
    }
    lists_.emplace(source.name, std::move(made));
  }
  for (const SharedRule& rule : rules) rules_[std::string(rule.name)] = rule.text;
  for (const auto entry : split(plain_nouns, ',')) {
    const auto fields = split(entry, ':');
    if (fields.size() != 2) fail("a plain noun needs its mask", entry);
    plain_masks_[std::string(fields[0])] = fields[1];
    plain_masks_[plural(std::string(fields[0]))] = fields[1];
  }
}

const StoryGrammar::List& StoryGrammar::list(const std::string& name) const {
  const auto found = lists_.find(name);
  if (found == lists_.end()) fail("no such noun list", name);
  return found->second;
}

StoryGrammar::Slot StoryGrammar::draw_slot(std::string list_name, Telling& telling) const {
  StoryRandom& random = telling.random;
  // A child after a child, and an animal after either, is of the other gender.
  char gender = telling.last_gender == 'f' ? 'm' : 'f';
  if (telling.last_gender == 0 && random.below(2) == 0) gender = 'm';
  const bool child = list_name == "child";
  if (child) list_name = gender == 'f' ? "girl" : "boy";
  const List& from = list(list_name);
  const bool named = from.gender == '?';
  if (child || (named && !telling.has_child)) telling.last_gender = gender;
  if (child) telling.has_child = true;
  if (!named) gender = from.gender;
  const auto taken = [&](const std::string& text) {
    for (const auto& [slot_name, slot] : telling.slots)
      if (slot.noun->text == text || slot.name == text) return true;
    return false;
  };
  const Noun* noun = nullptr;
  do {
    noun = &from.nouns[random.below(from.nouns.size())];
  } while (taken(noun->text));
  Slot slot{"", "", from.mask, noun, gender};
  for (const auto& [name, value] : noun->attributes)
    if (name == "gender") slot.gender = value[0];
  if (!from.adjectives.empty())
    slot.adjective = from.adjectives[random.below(from.adjectives.size())];
  if (named) {
    const List& names = list("pet_name");
    do {
      slot.name = names.nouns[random.below(names.nouns.size())].text;
    } while (taken(slot.name));
  }
  return slot;
}

void StoryGrammar::draw_cast(std::string_view cast, Telling& telling) const {
  for (const auto item : split(cast, ' ')) {
    if (item.empty()) continue;
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos) fail("a cast item needs '='", item);
    const std::string list_name(item.substr(equals + 1));
    telling.slots.emplace_back(item.substr(0, equals), draw_slot(list_name, telling));
  }
}

void StoryGrammar::expand(std::string_view text, Telling& telling) const {
  for (size_t i = 0; i < text.size();) {
    const size_t mark = std::min(text.find_first_of("[{", i), text.size());
    telling.emit(text.substr(i, mark - i));
    if (mark == text.size()) return;
    if (text[mark] == '[') {
      const size_t close = find_close(text, mark + 1);
      expand_choice(text.substr(mark + 1, close - mark - 1), telling);
      i = close + 1;
    } else {
      const size_t close = text.find('}', mark);
      if (close == std::string_view::npos) fail("a '{' is never closed", text.substr(mark, 40));
      expand_reference(text.substr(mark + 1, close - mark - 1), telling);
      i = close + 1;
    }
  }
}

void StoryGrammar::expand_choice(std::string_view body, Telling& telling) const {
  size_t head = 0;
  while (head < body.size() && (is_letter(body[head]) || is_digit(body[head]))) ++head;
  const char mark = head < body.size() ? body[head] : ' ';
  const std::string label(body.substr(0, head));
  if (mark == '&') {
    auto parts = split_alternatives(body.substr(head + 1));
    const size_t n = label.empty() ? parts.size() : static_cast<size_t>(std::stoi(label));
    if (n > parts.size()) fail("too few parts to choose from", body);
    for (size_t k = 0; k < n; ++k) {
      std::swap(parts[k], parts[k + telling.random.below(parts.size() - k)]);
      telling.emit(" ");
      expand(parts[k], telling);
    }
    return;
  }
  if (mark == '?' && label.empty()) {
    if (telling.random.below(2) == 0) expand_choice(trim(body.substr(1)), telling);
    return;
  }
  const bool labelled = mark == ':' && !label.empty();
  const auto parts = split_alternatives(labelled ? trim(body.substr(head + 1)) : body);
  uint64_t pick = parts.size();
  if (labelled)
    for (const auto& [name, index] : telling.labels)
      if (name == label) pick = index;
  if (pick == parts.size()) {
    pick = telling.random.below(parts.size());
    if (labelled) telling.labels.emplace_back(label, pick);
  }
  if (pick > parts.size()) fail("a labelled choice has too few alternatives", body);
  expand(parts[pick], telling);
}

void StoryGrammar::expand_reference(std::string_view reference, Telling& telling) const {
  if (reference.starts_with('@')) {
    const auto rule = rules_.find(std::string(reference.substr(1)));
    if (rule == rules_.end()) fail("no such shared rule", reference);
    return expand(rule->second, telling);
  }
  const size_t dot = reference.find('.');
  std::string_view slot_name = reference.substr(0, dot);
  std::string form;
  bool capital = false;
  if (dot != std::string_view::npos) {
    form = reference.substr(dot + 1);
  } else if (find_gendered(lower(reference)) != nullptr) {
    form = reference;
    slot_name = "hero";
  }
  if (!form.empty() && form[0] == upper(form[0])) {
    capital = true;
    form[0] = lower(form[0]);
  }
  const Slot* slot = telling.find(slot_name);
  if (slot == nullptr) fail("no such slot", reference);
  const std::string& noun = slot->noun->text;
  const std::string full = slot->adjective.empty() ? noun : slot->adjective + " " + noun;
  std::string text, masked = slot->mask;
  if (const GenderedWord* word = find_gendered(form)) {
    text = slot->gender == 'f' ? word->she : slot->gender == 'm' ? word->he : word->it;
    masked = slot->gender == 'n' ? word->it : word->he;
  } else if (form.empty()) {
    text = slot->name.empty() ? noun : slot->name;
  } else if (form == "a" || form == "the") {
    text = form + " " + (form == "a" ? full : noun);
    masked = form + " " + masked;
  } else if (form == "full" || form == "kind" || form == "s" || form == "adj") {
    text = form == "full"   ? full
           : form == "kind" ? noun
           : form == "s"    ? plural(noun)
                            : slot->adjective;
  } else {
    for (const auto& [name, value] : slot->noun->attributes)
      if (name == form) text = value;
    if (text.empty() && (form == "in" || form == "to")) text = form + " the " + noun;
    if (text.empty() && form == "role") text = lower(noun);
    if (text.empty()) fail("this noun has no such form: " + noun, reference);
  }
  if (capital) text[0] = upper(text[0]);
  if (capital) masked[0] = upper(masked[0]);
  telling.text += text;
  telling.masked += masked;
}

std::string StoryGrammar::mask_plain_nouns(const std::string& text) const {
  std::string out, key;
  out.reserve(text.size() + 64);
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '<') {  // already a mask
      const size_t close = text.find('>', i);
      out.append(text, i, close + 1 - i);
      i = close + 1;
    } else if (!is_letter(text[i])) {
      out += text[i++];
    } else {
      size_t end = i;
      while (end < text.size() && is_letter(text[end])) ++end;
      key.assign(text, i, end - i);
      for (char& c : key) c = lower(c);
      const auto found = plain_masks_.find(key);
      if (found == plain_masks_.end()) {
        out.append(text, i, end - i);
      } else {
        out += found->second;
      }
      i = end;
    }
  }
  return out;
}

Story StoryGrammar::tell(const Plot& plot, StoryRandom& random) const {
  Telling telling(random);
  draw_cast(plot.cast, telling);
  const std::string text = mark_paragraphs(plot.text);
  expand(text, telling);
  return {tidy_prose(telling.text), tidy_prose(mask_plain_nouns(telling.masked))};
}

}  // namespace xlstm::data
