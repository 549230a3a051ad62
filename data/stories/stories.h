// The bundled corpus: simple English children's stories, made from our own grammar of plots.
//
// Everything here is a pure function of (seed, index), uses no library random distribution and
// reads no file, so the same seed gives the same bytes on every machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace xlstm::data {

struct Story {
  std::string text;    // ASCII, paragraphs separated by one newline, no newline at the end
  std::string masked;  // the same story with every person, place, animal and object replaced by
                       // <PERSON>, <PLACE>, <ANIMAL>, <OBJECT> and every gender made "he"
};

// Story number `index` (>= 0) of the endless stream named by `seed`. Different indices may, rarely,
// give the same text.
Story make_story(uint64_t seed, uint64_t index);

// True when a story with this masked text belongs to the validation part (about 4 % do). It depends
// on the masked text alone, so no masked story can be in both parts, whatever the seeds.
bool is_validation_story(std::string_view masked);

struct StoryCorpus {
  std::vector<std::string> train, valid;
};

// The first `n_stories` distinct stories of the stream `seed`, in order.
// Throws when `n_stories` is not positive or exceeds what the grammar can tell.
StoryCorpus make_story_corpus(uint64_t seed, int64_t n_stories);

// Writes `root/train.txt` and `root/valid.txt` (creating `root`): each story is followed by a
// newline and a line `<|endoftext|>`, as TinyStories ships. Throws when a file cannot be written.
void write_story_corpus(const std::filesystem::path& root, uint64_t seed, int64_t n_stories);

// The names of all plots, in the order in which `make_story` numbers them (for tests and docs).
std::vector<std::string_view> story_plot_names();

// Like `make_story`, with the plot fixed: `plot` counts from 0 to story_plot_names().size() - 1.
Story make_story_of_plot(int64_t plot, uint64_t seed, uint64_t index);

}  // namespace xlstm::data
