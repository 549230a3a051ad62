// Phrases that many plots share. They speak of the slot `hero` unless the name says otherwise.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<SharedRule>& story_phrases() {
  static const std::vector<SharedRule> rules = {
      // First sentences: they name the hero and nothing else.
      {"intro", R"T([Once upon a time, there was a [little|young|small|kind|cheerful]
{hero.boy} named {hero}.|There was once a [little|small|merry] {hero.boy} named {hero}.|{hero}
was a [little|young|curious|gentle|lively] {hero.boy} [who lived {@home}.|with
[curly|short|long|dark| messy] hair [and a big smile|and bright eyes|].|who liked to
[laugh|sing|ask questions|tell jokes| dream].]|In a [small|quiet|busy|sunny] town lived a
{hero.boy} named {hero}.|{hero} and {his} family lived {@home}.|This is the story of [a
{hero.boy} named {hero}|{hero}, a {hero.boy} who lived {@home}].|Not far from here, there lived
a [little|small|clever] {hero.boy} called {hero}.])T"},
      {"home", R"T([in a [small|little|yellow|white|narrow|brick] house|in a house
with a [red|blue|green|yellow] door|at the end of a [quiet|long|narrow] street|on the top floor
of a tall house|next to an old school|in a little town])T"},
      {"critter_intro", R"T([Once upon a time, a [little|young|small] {hero.kind} named {hero}
lived in [the deep woods|a green forest|a quiet valley|the old woods].|There was once a
[little|small| cheerful] {hero.kind} named {hero}.|In the [green|old|deep|quiet] woods lived a
{hero.kind} named {hero}.|{hero} was a [little|young|busy|clever] {hero.kind} [who lived in the
woods|with bright eyes|with a kind heart].|Deep in the forest, where the [moss is soft|trees are
tall|ferns grow high], lived a {hero.kind} named {hero}.])T"},

      // Openings of a sentence: they end in a comma and say when.
      {"oneday", R"T([One day,|One morning,|One afternoon,|On Saturday,|One fine
day,|Last week,|On Sunday morning,|One day after lunch,])T"},
      {"sunny",
       R"T([One sunny [morning|day|afternoon],|On a bright [spring|summer]
morning,|One warm [day|afternoon],|On a day with a clear blue sky,|One fine morning, when the
sun was shining,])T"},
      {"rainy", R"T([One rainy [morning|day|afternoon],|On a gray and wet
[day|morning],|One day, when rain tapped on the [roof|window],])T"},
      {"cold", R"T([One cold [morning|day],|On a [white|cold|frosty] winter
morning,|One winter day, when the air was crisp,])T"},
      {"evening", R"T([One evening,|One night,|On a quiet night,|One night, after a
story and a kiss,|One evening, when the moon was up,])T"},

      // Whole sentences of feeling. Half of the stories show it in other ways.
      {"sad",
       R"T([? {hero} felt [very|so|a little] sad.|{hero}'s eyes filled with
tears.|A tear rolled down {hero}'s cheek.|{hero} wanted to cry.|{hero} looked down at {his} feet
and said nothing.| {hero} felt a lump in {his} throat.])T"},
      {"happy", R"T([? {hero} was so happy that {he} [clapped {his} hands|jumped up
and down|danced around|laughed out loud].|{hero} smiled from ear to ear.|{hero} felt warm and
happy inside.|A big smile spread over {hero}'s face.|{hero} had never been so happy.])T"},
      {"proud", R"T([? {hero} felt [very|so] proud.|{hero} stood up tall and
smiled.|{hero} felt as tall as a tree.|{hero}'s cheeks turned pink, because {he} was so
proud.|{hero} could not stop smiling.])T"},
      {"scared", R"T([? {hero}'s heart went thump, thump, thump.|{hero} was [very|a
little|so] scared.|{hero} felt {his} knees shake.|{hero} held {his} breath.|{hero}'s mouth went
dry.|{hero} could hear {his} own heart.])T"},
      {"think", R"T([{hero} sat down to think.|{hero} thought and thought.|{hero}
scratched {his} head.|{hero} closed {his} eyes and thought hard.|{hero} took a deep breath.|])T"},
      {"tryagain", R"T(["I will try again," {he} said.|"One more time!" said {hero}.|But
{hero} did not give up.|{hero} took a deep breath and tried again.|{hero} shook {his} head and
said, "I am not done yet."])T"},

      {"silly_animal",
       R"T([cow who wanted to fly|frog who could sing|pig who wore boots|bear
who was afraid of mice|hen who drove a bus])T"},

      // The same for heroes with feathers or fins, who have no hands and knees.
      {"sad_wild",
       R"T([? {hero} felt [very|so|a little] sad.|{hero} wanted to
cry.|{hero} felt a lump in {his} throat.|{hero} let out a long, low sigh.|{hero} felt very
small.])T"},
      {"happy_wild", R"T([? {hero} was so happy that {he} [danced around|laughed out
loud|turned in circles|sang].|{hero} felt warm and happy inside.|{hero} had never been so
happy.])T"},
      {"scared_wild",
       R"T([? {hero}'s heart went thump, thump, thump.|{hero} was [very|so]
scared.|{hero} held {his} breath.|{hero} shook all over.])T"},
      {"proud_wild",
       R"T([? {hero} felt [very|so] proud.|{hero} could not stop
smiling.|{hero} held {his} head up high.])T"},

      // Last sentences.
      {"bedtime", R"T([That night, {hero} fell asleep with a smile.|That night, {hero}
slept very well.|At bedtime, {hero} told the whole story again, from start to end.|And that
night, {hero} had [sweet|happy|golden] dreams.|When the stars came out, {hero} was fast
asleep.|])T"},
      {"forever", R"T([It was a day that {hero} would never forget.|It was the best day
of the [week|year|summer].|{hero} remembered that day for a long, long time.|And {hero} still
tells that story today.|What a day it had been!|])T"},
      {"friends_end", R"T([From that day on, {hero} and {friend} were best friends.|After
that, {hero} and {friend} played together every day.|And {hero} and {friend} walked home side by
side, laughing all the way.|{hero} and {friend} stayed good friends for many, many years.|And
from then on, where {hero} was, {friend} was never far away.])T"},
  };
  return rules;
}

}  // namespace xlstm::data
