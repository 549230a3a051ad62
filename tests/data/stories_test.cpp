// The bundled stories: how many there are, that training and validation share no masked story, that
// every machine makes the same bytes, and that the prose keeps the rules of written English.
#include "data/stories/stories.h"

#include <algorithm>
#include <cctype>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <unordered_set>

#include "core/error.h"
#include "core/file_system.h"
#include "data/stories/lexicon.h"
#include "data/stories/prose.h"
#include "tests/catch.h"
#include "tests/core/temporary_dir.h"

using namespace xlstm;
using namespace xlstm::data;

namespace {

constexpr uint64_t kSeed = 1;
constexpr int64_t kStories = 22000;

const StoryCorpus& corpus() {
  static const StoryCorpus made = make_story_corpus(kSeed, kStories);
  return made;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

uint64_t fnv1a(uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

// The article that English wants before `word`, by listing the words that break the vowel rule.
std::string article_for(const std::string& word) {
  static const std::set<std::string> a_despite_vowel = {"one", "once", "uniform", "useful", "used"};
  static const std::set<std::string> an_despite_consonant = {"hour", "honest"};
  if (a_despite_vowel.count(word) != 0) return "a";
  if (an_despite_consonant.count(word) != 0) return "an";
  return std::string("aeiou").find(word[0]) != std::string::npos ? "an" : "a";
}

// The first rule of written English that the story breaks; empty if it breaks none.
std::string fault_of(const std::string& text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) > 126 || (c < ' ' && c != '\n')) return "not plain ASCII";
  for (const char* bad :
       {"[",  "]",  "{",  "}",  "|",  "@",  "&",  "_",  "<",    ">",   "  ",  " \n", "\n ", "\n\n",
        " .", " ,", " !", " ?", ",,", "!.", "?.", ".,", "\" .", "\".", "\",", ",\n", ":\n", " i "})
    if (text.find(bad) != std::string::npos) return std::string("contains '") + bad + "'";
  if (std::string(".!?\"").find(text.back()) == std::string::npos) return "has no last full stop";
  bool open = false;
  char previous = '\n';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\n';
    if (c == '"') {
      open = !open;
      if (open && previous != ' ' && previous != '\n') return "a quote opens inside a word";
      if (open && next == ' ') return "a space follows an opening quote";
      if (!open && std::string(".,!?").find(previous) == std::string::npos)
        return "a quote closes without punctuation";
    }
    if (c == '\n' && open) return "a quote stays open at the end of a paragraph";
    const bool stop = previous == '.' || previous == '!' || previous == '?';
    const bool ellipsis = i >= 3 && text.substr(i - 3, 3) == "...";
    if (c == ' ' && stop && !ellipsis && std::islower(static_cast<unsigned char>(next)) != 0)
      return "a sentence begins with a small letter";
    previous = c;
  }
  if (open) return "a quote is never closed";
  const auto words = words_of(text);
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if ((words[i] == "a" || words[i] == "an") && words[i] != article_for(words[i + 1]))
      return "has '" + words[i] + " " + words[i + 1] + "'";
  }
  std::istringstream stream(text);
  std::string word, last;
  for (; stream >> word; last = word)
    if (word == last && word != "very" &&
        std::isalpha(static_cast<unsigned char>(word.back())) != 0)
      return "has '" + last + " " + word + "'";
  return "";
}

}  // namespace

TEST_CASE("the bundled corpus holds enough distinct stories") {
  std::unordered_set<std::string> texts(corpus().train.begin(), corpus().train.end());
  texts.insert(corpus().valid.begin(), corpus().valid.end());
  CHECK(static_cast<int64_t>(texts.size()) == kStories);
  const double share = static_cast<double>(corpus().valid.size()) / static_cast<double>(kStories);
  CHECK(share > 0.03);
  CHECK(share < 0.05);
}

TEST_CASE("no masked training story is a masked validation story") {
  // The corpus keeps texts alone, so the stream is told again to learn each text's mask.
  std::map<std::string, std::string> mask_of;
  for (uint64_t i = 0; mask_of.size() < static_cast<size_t>(kStories); ++i) {
    Story story = make_story(kSeed, i);
    mask_of.emplace(std::move(story.text), std::move(story.masked));
  }
  std::unordered_set<std::string> train, valid;
  for (const auto& text : corpus().train) train.insert(mask_of.at(text));
  for (const auto& text : corpus().valid) valid.insert(mask_of.at(text));
  int64_t shared = 0;
  for (const auto& masked : valid) shared += train.count(masked) != 0 ? 1 : 0;
  CHECK(shared == 0);
  CHECK(train.size() + valid.size() >= 20000);
}

TEST_CASE("a masked story names no person, place, animal or object of the lexicon") {
  std::unordered_set<std::string> names;
  for (const NounList& list : story_nouns()) {
    std::stringstream nouns{std::string(list.nouns)};
    for (std::string entry; std::getline(nouns, entry, ',');) {
      const auto words = words_of(entry.substr(0, entry.find(':')));
      if (list.name != "pet_name") names.insert(words.back());
    }
  }
  std::set<std::string> leaked;
  for (uint64_t i = 0; i < 3000; ++i) {
    const Story story = make_story(kSeed, i);
    for (const auto& word : words_of(story.masked))
      if (names.count(word) != 0) leaked.insert(word);
  }
  // "<PLACE>" itself reads as the word "place", and so on.
  for (const char* mask : {"person", "place", "animal", "object"}) leaked.erase(mask);
  CHECK(leaked == std::set<std::string>{});
}

TEST_CASE("a story is a pure function of seed and index, the same on every machine") {
  CHECK(make_story(7, 123).text == make_story(7, 123).text);
  CHECK(make_story(7, 123).text != make_story(8, 123).text);
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const auto* part : {&corpus().train, &corpus().valid})
    for (const auto& text : *part) hash = fnv1a(fnv1a(hash, text), "\n");
  // Changes only when the grammar is meant to change.
  CHECK(hash == 0x864009065a30b332ULL);
}

TEST_CASE("every story keeps the rules of written English") {
  std::map<std::string, std::string> faults;  // one example of each
  for (const auto* part : {&corpus().train, &corpus().valid})
    for (const auto& text : *part) {
      const std::string fault = fault_of(text);
      if (!fault.empty()) faults.emplace(fault, text);
    }
  for (const auto& [fault, text] : faults) {
    INFO(fault << ":\n" << text);
    CHECK(fault.empty());
  }
}

TEST_CASE("every plot can be told in many ways") {
  const auto names = story_plot_names();
  CHECK(names.size() >= 40);
  CHECK(std::set<std::string_view>(names.begin(), names.end()).size() == names.size());
  for (size_t plot = 0; plot < names.size(); ++plot) {
    INFO(names[plot]);
    std::unordered_set<std::string> masked;
    for (uint64_t i = 0; i < 400; ++i)
      masked.insert(make_story_of_plot(static_cast<int64_t>(plot), kSeed, i).masked);
    CHECK(masked.size() >= 390);
  }
  CHECK_THROWS_AS(make_story_of_plot(static_cast<int64_t>(names.size()), 1, 0), ConfigError);
  CHECK_THROWS_AS(make_story_of_plot(-1, 1, 0), ConfigError);
}

TEST_CASE("the corpus is written as two text files with a line after each story") {
  const TemporaryDir dir;
  const std::string root = join_path(dir.path(), "new/stories");
  write_story_corpus(root, 5, 300);
  const StoryCorpus expected = make_story_corpus(5, 300);
  const auto joined = [](const std::vector<std::string>& stories) {
    std::string out;
    for (const auto& story : stories) out += story + "\n<|endoftext|>\n";
    return out;
  };
  CHECK(real_file_system().read_file(join_path(root, "train.txt")) == joined(expected.train));
  CHECK(real_file_system().read_file(join_path(root, "valid.txt")) == joined(expected.valid));
  CHECK_THROWS_AS(write_story_corpus(join_path(root, "train.txt"), 5, 10), FileError);
  CHECK_THROWS_AS(make_story_corpus(5, 0), ConfigError);
  CHECK_THROWS_AS(make_story_corpus(5, -3), ConfigError);
}

TEST_CASE("the story engine expands slots, choices, shuffles and articles") {
  CHECK(tidy_prose("  a  apple , and An pear !\fhe   said: \"yes.\" then a owl left") ==
        "An apple, and A pear!\nHe said: \"yes.\" Then an owl left");
  const StoryGrammar grammar({{"girl", "<PERSON>", "f", "", "Ida"},
                              {"boy", "<PERSON>", "m", "", "Ole"},
                              {"thing", "<OBJECT>", "n", "old, odd", "box:lid=top, egg:s=eggses"}},
                             {{"hello", "{hero} waved."}}, "hill:<PLACE>");
  const Plot plot{
      "p", "hero=child friend=child thing=thing",
      "{@hello} {He} [c: ran|sat]. {friend.His} a {thing} [c: ran|sat] on the hill. [& x|y]"};
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 200; ++i) {
    StoryRandom random(3, i);
    const Story story = grammar.tell(plot, random);
    seen.insert(story.text);
    const bool ran =
        story.masked == "<PERSON> waved. He ran. His a <OBJECT> ran on the <PLACE>. X y";
    const bool other =
        story.masked.find("ran") == std::string::npos || ran || story.masked.ends_with("Y x");
    CHECK(other);
    const size_t n_ran = story.text.find("ran") != story.text.rfind("ran") ? 2 : 0;
    CHECK((n_ran == 2 || story.text.find("ran") == std::string::npos));
  }
  CHECK(seen.size() == 2 * 2 * 2 * 2);  // hero, thing, labelled choice, order
  std::set<std::string> optional;
  for (uint64_t i = 0; i < 50; ++i) {
    StoryRandom random(4, i);
    optional.insert(grammar.tell({"p", "hero=girl", "a b [? c|d]."}, random).text);
  }
  CHECK(optional == std::set<std::string>{"A b.", "A b c.", "A b d."});
  StoryRandom random(1, 1);
  CHECK_THROWS_AS(grammar.tell({"p", "hero=nobody", "x"}, random), FormatError);
  CHECK_THROWS_AS(grammar.tell({"p", "hero=girl", "{cat}"}, random), FormatError);
  CHECK_THROWS_AS(grammar.tell({"p", "hero=girl", "[a|b"}, random), FormatError);
  CHECK_THROWS_AS(grammar.tell({"p", "hero=girl", "{hero.tail}"}, random), FormatError);
}

// Not run by default: `test_data_stories "[figures]"` prints the figures of docs/stories.md.
TEST_CASE("figures of the bundled corpus", "[.][figures]") {
  std::set<std::string> vocabulary;
  std::vector<size_t> lengths;
  size_t bytes = 0;
  for (const auto* part : {&corpus().train, &corpus().valid})
    for (const auto& text : *part) {
      std::istringstream stream(text);
      size_t n_words = 0;
      for (std::string word; stream >> word;) ++n_words;
      lengths.push_back(n_words);
      for (auto& word : words_of(text)) vocabulary.insert(std::move(word));
      bytes += text.size() + std::string_view("\n<|endoftext|>\n").size();
    }
  std::unordered_set<std::string> masked;
  for (uint64_t i = 0; i < static_cast<uint64_t>(kStories); ++i)
    masked.insert(make_story(kSeed, i).masked);
  std::sort(lengths.begin(), lengths.end());
  size_t total = 0;
  for (const size_t n : lengths) total += n;
  const auto at = [&](double share) {
    return lengths[static_cast<size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  std::cout << "plots " << story_plot_names().size() << "\nstories " << lengths.size() << " (train "
            << corpus().train.size() << ", valid " << corpus().valid.size() << ")\nmasked distinct "
            << masked.size() << "\nwords " << total << ", bytes " << bytes
            << "\nwords per story: 5 % " << at(0.05) << ", median " << at(0.5) << ", 95 % "
            << at(0.95) << "\nvocabulary " << vocabulary.size() << " words\n";
}
