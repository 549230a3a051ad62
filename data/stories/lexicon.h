// The words and plots of the bundled stories; each table has a file of its own.
#pragma once

#include <string_view>
#include <vector>

#include "data/stories/story_grammar.h"

namespace xlstm::data {

const std::vector<NounList>& story_nouns();      // lexicon.cpp
std::string_view plain_story_nouns();            // lexicon.cpp: "garden:<PLACE>, ..."
const std::vector<SharedRule>& story_phrases();  // phrases.cpp
const std::vector<Plot>& home_plots();           // plots_home.cpp
const std::vector<Plot>& outdoor_plots();        // plots_outdoors.cpp
const std::vector<Plot>& friend_plots();         // plots_friends.cpp
const std::vector<Plot>& learning_plots();       // plots_learning.cpp
const std::vector<Plot>& town_plots();           // plots_town.cpp
const std::vector<Plot>& animal_plots();         // plots_animals.cpp
const std::vector<Plot>& wonder_plots();         // plots_wonder.cpp

}  // namespace xlstm::data
