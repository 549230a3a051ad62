// Plots with a little magic in them.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<Plot>& wonder_plots() {
  static const std::vector<Plot> plots = {
      {"fallen_star", "hero=child elder=elder pet=pet friend=child", R"T(
{@intro} {@evening} {hero} saw a light fall from the sky. [? It fell behind the shed.|It came down
in the garden without a sound.] {hero} tiptoed out with {pet}, {his} {pet.kind}. There, in the
grass, lay a tiny star. [? It was no bigger than a plum.|It was as warm as a fresh bun.] ["Where am
I?" asked the star in a thin voice.|"I slipped," said the star. "I leaned out too far to look at the
sea."] {pet} sniffed at it and said, "{pet.Sound}." ["I want to go home," said the star, and its
light grew weak.|"My mother will look for me," said the star, and a small spark ran down like a
tear.]

["I will help you," said {hero}.|"Do not cry," said {hero}. "We will get you home."] But how? [w:
{hero} put the star on {his} longest stick and stood on a chair. It was not high enough.|{hero}
tried to throw the star up, but it came down again. Plop!|{hero} climbed to the top of the shed and
stretched as far as {he} could. The sky was still far away.] {He} ran to get {friend}, who lived
next door. [? {friend} was wide awake at once.|{friend} rubbed {friend.his} eyes. "A real star?"
{friend.he} asked.] ["What do stars like?" asked {friend}.|"How did you stay up there before?"
{friend} asked the star.] ["I was light, because I was happy," said the star. "Now I am sad, and I
am heavy."|"Songs make us rise," said the star. "But I have forgotten my song."]

{@think} ["Then we must make you happy!" said {hero}.|"Then we will sing for you," said {hero}.] [2&
{hero} told the funniest joke {he} knew.|{friend} made a face like a frog.|{pet} chased {pet.his}
own tail.|They danced around the star in their pajamas.|They sang the song that {elder} always sang
at bedtime.] The star began to [glow|laugh]. It grew lighter and brighter. Slowly, it rose from the
grass, as high as {hero}'s knees, as high as the roof, [and higher than the tallest tree|and up over
the town].

["Thank you!" called the star.|"I will not forget you!" called the star.] Soon it was only a
small light among many. {elder} [stood in the door|looked out of the window]. ["What are you all
doing out here?" asked {elder}.|"Why are you laughing in the middle of the night?" asked
{elder}.] ["We brought somebody home," said {hero}.|"A friend had to go," said {hero}, "and
{pet} helped."] {elder} [looked up and smiled, as if {elder.he} knew|said nothing, but looked up
for a long time]. [And every night, one star winks at {hero}, and {hero} winks back.|If you see
a star that winks, say hello from {hero}.|To lift somebody up, you only need a bit of joy.])T"},

      {"small_dragon", "hero=child friend=child thing=keepsake elder=family treat=treat", R"T(
{@intro} {@cold} {he} found a big, gray egg in the [woodshed|hay|garden]. [? It was as warm as
toast.|It was round and rough, like a stone.] {hero} put it in {his} {thing.full} [and took it to
{his} room|and carried it inside]. At night it went crack, crack, crack! [Out came a green nose.
Then came two wings.|A green head looked out and said, "Meep?"] It was a dragon, no bigger than a
cat. ["Hello, little dragon," whispered {hero}.|{hero} could not believe {his} eyes.] The dragon
sneezed, and a tiny flame burned a hole in the {thing}. [? "Oh!" said {hero}. "You must be
careful."|"Oops," said the dragon.]

{hero} kept the dragon a secret. But dragons grow. [2& It ate all of {elder}'s {treat.s}.|It flew
into the lamp.|It slept in the bath and made the water boil.|It scared the mail carrier.] ["Who has
burned the curtain?" asked {elder}.|"What is that noise in your room?" asked {elder}.] {hero} [did
not know what to say|turned red]. {friend} came to visit, saw the tail under the bed, and
[laughed|jumped]. ["You cannot hide a dragon," said {friend}.|"It is too big for a secret," said
{friend}.] {@think} ["I have to tell the truth," said {hero}.|"You are right," said {hero}.] So {he}
took {elder} by the hand and showed {elder.him} the dragon.

{elder} [sat down on the bed, very slowly|opened and closed {elder.his} mouth, like a fish].
["Well," said {elder} at last, "that is a dragon."|"I thought we had mice," said {elder} at last.]
The dragon [hid behind {hero}|hung its head]. ["It does not mean to be bad," said {hero}. "It just
has too much fire."|"I am sorry," said the dragon. "I do not know what to do with my fire."] Just
then, all the lamps in the house went out. [? The snow had pulled down the wires.|It was dark and
cold in the whole street.] [? "What shall we do now?" asked {elder}.|"It will be a cold night for
everybody," said {elder}.] {hero} and {friend} looked at each other. ["We have a dragon!" they
said.|"Fire!" said {friend}. "We have fire!"]

So the dragon [lit the stove in every house|flew from house to house and lit every stove]. [? It
warmed the soup and the milk.|It lit all the candles, one tiny flame for each.] [The children
clapped, and even the old people smiled.|"What a good dragon!" everybody said.] The dragon was
so proud that [it glowed|smoke came out of its ears]. [? And {hero} was just as proud.] [After
that, it did not have to hide any more.|Now it sleeps in the warm ashes of the stove, and
everybody brings it {treat.s}.] [Each of us has a gift. We only have to find out what it is
for.|{hero} learned that a secret gets lighter when you tell it to someone you
trust.|{@forever}])T"},

      {"magic_paint", "hero=child lady=neighbor food=fruit toy=toy friend=child", R"T(
{@intro} {He} liked to paint more than anything. {@oneday} {hero} helped {lady} to [carry a heavy
bag|find a lost cat]. ["Thank you, {hero}," said {lady}. "This is for you." It was a little
brush.|As a thank-you, {lady} gave {him} an old brush. "Use it well," said {lady}.] At home, {hero}
painted {food.a}. [? Pop!|Then there was a soft sound, like a bubble.] The {food} rolled off the
paper and onto the table. [It was real!|{hero} took a bite. It was sweet and real!] Then {he}
painted {toy.a}, and it [jumped off the paper|was real too].

{hero} [ran to show {friend}|painted all night]. ["Paint more!" said {friend}.|"Paint one for me
too!" said {friend}.] Soon the room was full of [things|toys and sweets]. They had ten {toy.s}. They
ate so many {food.s} that they felt sick. [? But it was funny. The more things they had, the less
they liked them.|There was no room left to play in.] ["I do not want any more," said {friend}.|"I
liked it better when we had one," said {friend}.] {hero} looked at the brush. ["Use it well," {lady}
had said.|"What is it good for?" {he} wondered.] {@think}

The next day they walked through the town with open eyes. [2& They saw a house with a hole in the
roof. {hero} painted a new roof.|They saw a boy without shoes. {hero} painted him red boots.|They
saw a dry well. {hero} painted fresh, clear water.|They saw a bench with a broken leg. {hero}
painted a new one.|They saw a bird with no nest. {hero} painted a nest.] [? With each picture, the
brush grew shorter.|Each time, some hairs fell out of the brush.] ["If you go on, it will be used
up," said {friend}.|"There is only enough for one more picture," said {friend}. "Paint something for
yourself!"]

{hero} thought about it. Then {he} saw {lady}, sitting alone at the window. {hero} painted [a
garden with bright flowers under the window|a bird that could sing, right on the window sill].
{lady} [opened the window and laughed|clapped like a child]. And the brush was gone. ["Are you
sad?" asked {friend}.|"Now it is over," said {friend}.] ["No," said {hero}. "It was used
well."|{hero} looked at all the happy faces. "Not a bit," {he} said.] The next morning, there
was [an ordinary brush|a plain new brush] at {his} door, with a note. ["The magic was in your
hand," it said.|"It was never the brush," it said. "It was you."] {@proud} [And {hero} paints to
this day.|Joy is a color that you can always share.|])T"},

      {"grumpy_cloud", "hero=child friend=child thing=keepsake place=outside elder=elder", R"T(
{@intro} {@oneday} a small gray cloud came down from the sky and stayed right over {hero}'s head. [?
Drip, drip, drip.|It rained on {him}, and only on {him}.] {hero} went inside, and the cloud went
with {him}. [? It rained on {his} oatmeal.|It rained on {his} bed.] ["Go away!" said {hero}. But the
cloud only grew bigger.|{hero} ran as fast as {he} could, but the cloud was faster.] {He} went
{place.to}, and all the children [ran away, because they did not want to get wet|moved away from
{him}]. {@sad} And the more {he} frowned, the more it rained.

[w: {He} shouted at the cloud, and it answered with thunder.|{He} blew at the cloud, but it only
wobbled.|{He} tried to hide under {his} {thing.full}, but the cloud found {him}.] Then {friend} came
along with a big umbrella. ["Why do you have a cloud?" asked {friend}.|"Is that your cloud?" asked
{friend}.] ["I do not know," said {hero}. "It just came."|"It will not leave me alone," said
{hero}.] ["Maybe it is sad," said {friend}.|"Did you ask it what it wants?" said {friend}.] {hero}
had not thought of that. {He} looked up. ["What is wrong, cloud?" {he} asked.|"Are you all right,
cloud?" {he} asked.]

["I am lost," said the cloud in a wet voice. "The wind took my family away."|"All the big clouds
went on without me," said the cloud. "I was too slow."] [? "Oh," said {hero}. "I know how that
feels."|{hero} felt sorry for the cloud.] ["We will help you," said {friend}.|"Let us find your
family," said {hero}.] They [asked {elder}, who knew all about the weather|ran to ask {elder}, who
had been a sailor]. ["The clouds go over the hill and on to the sea," said {elder}.|"Look where the
swallows fly," said {elder}. "The clouds go that way too."] So {hero} and {friend} climbed the high
hill, with the cloud behind them. [2& They sang to keep it happy.|They told it jokes.|When it was
tired, they waited for it.|They held its wet little hand, as well as they could.]

From the top, they saw [a long line of white clouds|a big family of clouds], far away. ["There
they are!" shouted {friend}.|"Look, your family!" said {hero}.] The cloud laughed, and its gray
turned to [white|pink and gold]. ["But I am too slow," it said.|"How can I catch up?" it asked.]
{hero} and {friend} took a deep breath and blew as hard as they could. [Puff! Off it went,
faster and faster.|And this time, the cloud flew like a ship.] [? Before it was gone, it made a
rainbow, just for them.|It turned around one more time and waved with a rainbow.] {@happy} [? "I
will miss it a little," said {hero}.|"It was not a bad cloud," said {hero}. "It was only sad."]
[When someone is grumpy, ask what is wrong.|And when {hero} meets somebody grumpy, {he} thinks
of the cloud and asks, "What is wrong?"|{@friends_end}])T"},
  };
  return plots;
}

}  // namespace xlstm::data
