#include "data/stories/stories.h"

#include <unordered_set>

#include "core/error.h"
#include "core/file_system.h"
#include "data/stories/lexicon.h"
#include "data/stories/story_grammar.h"

namespace xlstm::data {
namespace {

// One story in this many goes to the validation part.
constexpr uint64_t kValidationShare = 25;

const std::vector<Plot>& all_plots() {
  static const std::vector<Plot> plots = [] {
    std::vector<Plot> all;
    for (const auto* group : {&home_plots(), &outdoor_plots(), &friend_plots(), &learning_plots(),
                              &town_plots(), &animal_plots(), &wonder_plots()})
      all.insert(all.end(), group->begin(), group->end());
    return all;
  }();
  return plots;
}

const StoryGrammar& grammar() {
  static const StoryGrammar made(story_nouns(), story_phrases(), plain_story_nouns());
  return made;
}

std::string join_stories(const std::vector<std::string>& stories) {
  std::string out;
  for (const std::string& story : stories) out += story + "\n<|endoftext|>\n";
  return out;
}

}  // namespace

std::vector<std::string_view> story_plot_names() {
  std::vector<std::string_view> names;
  for (const Plot& plot : all_plots()) names.push_back(plot.name);
  return names;
}

Story make_story_of_plot(int64_t plot, uint64_t seed, uint64_t index) {
  const auto n_plots = static_cast<int64_t>(all_plots().size());
  require<ConfigError>(plot >= 0 && plot < n_plots, "stories: no such plot, got ", plot,
                       ", expected 0 to ", n_plots - 1);
  StoryRandom random(seed, index);
  return grammar().tell(all_plots()[static_cast<size_t>(plot)], random);
}

Story make_story(uint64_t seed, uint64_t index) {
  StoryRandom random(seed, index);
  const Plot& plot = all_plots()[random.below(all_plots().size())];
  return grammar().tell(plot, random);
}

bool is_validation_story(std::string_view masked) {
  uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a, 64 bits
  for (const char c : masked) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return mix_bits(hash) % kValidationShare == 0;
}

StoryCorpus make_story_corpus(uint64_t seed, int64_t n_stories) {
  // A long run of repeats means that the grammar has little new left to tell.
  constexpr int64_t kMaxRepeats = 1000;
  require<ConfigError>(n_stories > 0, "stories: bad number of stories, got ", n_stories,
                       ", expected at least 1");
  StoryCorpus corpus;
  std::unordered_set<std::string> seen;
  int64_t n_repeats = 0;
  for (uint64_t index = 0; static_cast<int64_t>(seen.size()) < n_stories; ++index) {
    Story story = make_story(seed, index);
    if (!seen.insert(story.text).second) {
      require<ConfigError>(++n_repeats < kMaxRepeats, "stories: too many stories asked for, got ",
                           n_stories, ", expected about ", seen.size(), " or fewer");
      continue;
    }
    n_repeats = 0;
    (is_validation_story(story.masked) ? corpus.valid : corpus.train)
        .push_back(std::move(story.text));
  }
  return corpus;
}

void write_story_corpus(const std::filesystem::path& root, uint64_t seed, int64_t n_stories) {
  const StoryCorpus corpus = make_story_corpus(seed, n_stories);
  FileSystem& files = real_file_system();
  files.make_dirs(root.string());
  files.write_file((root / "train.txt").string(), join_stories(corpus.train));
  files.write_file((root / "valid.txt").string(), join_stories(corpus.valid));
}

}  // namespace xlstm::data
