// The small engine behind the bundled stories: it expands a plot into a text and its masked twin.
//
// A plot is prose with marks:
//   {toy}          the short name of the slot `toy`: "ball"
//   {toy.a}        "a red ball" (adjective and article), {toy.the} "the ball", {toy.full} "red
//   ball" {toy.in}       an attribute of the chosen noun (see lexicon.cpp), here "in the park"
//   {hero.he}      a pronoun or gendered word: he him his himself, boy brother son; a word alone,
//                  as in {he}, belongs to the slot `hero`
//   {He} {toy.The} a capital first letter in the form gives a capital first letter in the text
//   {@sunny}       a shared rule (phrases.cpp)
//   [a|b|c]        one of the alternatives; an empty one makes the rest optional; nests
//   [? a|b|c]      the same, or nothing at all, each in half of the stories
//   [w: a|b|c]     the same, but every choice labelled `w` in a story takes the same position
//   [2& a|b|c]     two different parts in random order ([& a|b] takes them all)
// A blank line separates paragraphs; other white space is one space. Spaces before , . ! ? vanish,
// sentences get their capital letter, and every "a" or "an" is corrected to fit the next word.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/stories/stories.h"

namespace xlstm::data {

// A list of nouns that can fill a slot. Written by hand in lexicon.cpp.
struct NounList {
  std::string_view name;        // "toy"
  std::string_view mask;        // "<OBJECT>"
  std::string_view gender;      // "f", "m", "n" (it), or "?" (drawn: she or he)
  std::string_view adjectives;  // comma-separated, may be empty
  std::string_view nouns;       // "ball, teddy bear, park:in=in the park:to=to the park"
};

// A phrase that many plots share, called by {@name}.
struct SharedRule {
  std::string_view name, text;
};

// `cast` names the slots and the list each is drawn from: "hero=child toy=toy". The list "child"
// is a girl or a boy; a second child is of the other gender, so that "he" and "she" stay clear.
struct Plot {
  std::string_view name, cast, text;
};

// splitmix64: the state is the counter, so a story needs no warm-up.
class StoryRandom {
 public:
  StoryRandom(uint64_t seed, uint64_t stream);
  uint64_t below(uint64_t n);  // uniform in [0, n), n >= 1 and below 2^32

 private:
  uint64_t state_;
};

uint64_t mix_bits(uint64_t x);

class StoryGrammar {
 public:
  StoryGrammar(const std::vector<NounList>& lists, const std::vector<SharedRule>& rules,
               std::string_view plain_nouns);

  Story tell(const Plot& plot, StoryRandom& random) const;

 private:
  struct Noun {
    std::string text;  // "teddy bear"
    std::vector<std::pair<std::string, std::string>> attributes;
  };
  struct List {
    std::string mask;
    char gender;
    std::vector<std::string> adjectives;
    std::vector<Noun> nouns;
  };
  struct Slot {
    std::string name;  // of a named animal; empty for others
    std::string adjective, mask;
    const Noun* noun;
    char gender;
  };
  struct Telling;  // the state of one story

  const List& list(const std::string& name) const;
  void draw_cast(std::string_view cast, Telling& telling) const;
  Slot draw_slot(std::string list_name, Telling& telling) const;
  void expand(std::string_view text, Telling& telling) const;
  void expand_choice(std::string_view body, Telling& telling) const;
  void expand_reference(std::string_view reference, Telling& telling) const;
  std::string mask_plain_nouns(const std::string& text) const;

  std::unordered_map<std::string, List> lists_;
  std::unordered_map<std::string, std::string_view> rules_;
  std::unordered_map<std::string, std::string> plain_masks_;  // "garden" -> "<PLACE>"
};

}  // namespace xlstm::data
