// Plots about animals: helped by children, or heroes of their own.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<Plot>& animal_plots() {
  static const std::vector<Plot> plots = {
      {"hurt_animal", "hero=child animal=hurt parent=family place=nature thing=keepsake", R"T(
{@intro} {@sunny} {hero} was walking {place.in} when {he} heard a small sound. [? It came from under
a bush.|It came from the tall grass.|{He} stood still and listened.] There lay {animal.a}. Its
{animal.hurt} was hurt, and it could not [move|get away]. ["You poor thing," said {hero}.|"Do not be
afraid," {he} whispered.|"Oh, you are hurt," {he} said softly.] The {animal} looked at {him} with
[big, dark eyes|eyes full of fear] and trembled.

{hero} [wanted to pick it up|put out {his} hand], but then {he} stopped. [? "I might hurt it more,"
{he} thought.|"It is afraid of me," {he} thought.] {He} ran to get {parent}. ["Walk slowly and speak
softly," said {parent}.|"You did right to call me," said {parent}.] {hero} took off {his}
{thing.full}, and {parent} put it around the {animal}, very gently. [They carried it home in a box
with holes in the lid.|They put it in a basket and took it home.] {parent} cleaned the {animal.hurt}
and [tied a thin bandage around it|put a tiny bandage on it].

[ask: "Will it get well?" asked {hero}.|"Can I keep it?" asked {hero}.] [ask: "It needs rest, food
and quiet," said {parent}.|"It is a wild animal," said {parent}. "We will help it, and then it must
go home."] Every day, {hero} [brought it food and water|changed its water and gave it food]. [2&
{He} talked to it in a low voice.|{He} sang to it in the evening.|{He} put soft moss in the
box.|{He} told the other children to be quiet.] On the first day it [did not eat|hid in the corner].
On the third day, it ate a little. [After a week, it ate out of {his} hand.|After some days, it was
not afraid of {him} any more.] [? {hero} loved the {animal} very much.|The {animal} looked up when
it heard {his} steps.]

Then the bandage came off, and the {animal.hurt} was well. ["It is time," said {parent}.|"Today
is the day," said {parent}.] {hero} carried the box back to the very same spot. [? {His} throat
felt tight.|{He} did not want to say good-bye.] ["Go on, little friend," {he} said, and opened
the lid.|"You can go home now," {he} whispered, and opened the lid.] The {animal} came out. It
turned around, looked at {him}, and {animal.joy}. Then it was gone. {hero} was [sad and happy at
the same time|a little sad, but {his} heart was full]. [? "You loved it enough to let it go,"
said {parent}.|"That is how animals say thank you," said {parent}.] [And sometimes, when {hero}
walks {place.in}, {he} sees a {animal} that is not afraid of {him}.|The next spring, {hero} saw
a {animal} on the same spot. It had two little ones with it.|To love something is to want it to
be free.])T"},

      {"lost_kitten", "hero=child pet=pet friend=child parent=parent neighbor=neighbor spot=hiding",
       R"T(
{@intro} {@rainy} {hero} heard a soft sound at the door. "{pet.Sound}?" {He} opened it, and there
sat a wet little {pet.kind}. [? It was thin and cold.|It shook from its nose to its tail.] [? "Where
did you come from?" asked {hero}.|"Come in, you poor little one," said {hero}.] {He} dried it with a
towel and gave it [something to eat|some food]. The {pet.kind} [ate it all and fell asleep in {his}
lap|licked {his} hand]. ["May I keep it?" {he} asked {parent}.|"Can it stay, please?" {he} asked
{parent}.] ["Somebody may be looking for it," said {parent}.|"First we must find out if it has a
home," said {parent}.] {@sad}

So {hero} made a poster. [? {He} drew the {pet.kind} with all its colors.|It said, "Found: one small
{pet.kind}."] {friend} helped {him} to hang it up [on every tree|in every shop]. [One day went by,
and nobody came.|Two days went by, and then three.] {hero} played with the {pet.kind} all day. [It
liked to sleep {spot.under}.|Its favorite spot was {spot.under}.] {hero} began to hope. [? "Maybe
nobody will come," {he} told {friend}.|"I will call it Star," {he} thought.] But on the fourth day
there was a knock at the door.

It was {neighbor}, [with rain on {neighbor.his} glasses|with the poster in {neighbor.his} hand]. ["I
saw your poster," said {neighbor}. "I think that is my {pet}."|"Have you found my {pet}?" asked
{neighbor}.] The {pet.kind} lifted its head. Then it ran to {neighbor} [as fast as it could|and
jumped into {neighbor.his} arms]. ["{pet}! I missed you so much!" said {neighbor}.|"My dear {pet}, I
looked for you everywhere," said {neighbor}.] [? {neighbor}'s voice was shaking.|There were tears in
{neighbor.his} eyes.] {hero} swallowed hard. [{He} felt as if something was pulled out of
{him}.|{He} was sad, but {he} could see how much {neighbor} loved {pet}.] ["I am glad that you have
{pet.him} back," {he} said, and {he} meant it.|"{pet} likes to be rubbed behind the ear," {he} said
softly. "But you know that."]

{neighbor} looked at {him} for a while. ["I am not so young, and {pet} likes to run," said
{neighbor}. "Would you come and play with {pet.him} every day?"|"{pet} needs a friend with young
legs," said {neighbor}. "Will you come to see us?"] ["Yes! Yes, please!" said {hero}.|"Every
day?" asked {hero}. "Every day," said {neighbor}.] {@happy} And so {hero} did not lose one
friend. {He} found two. [Every afternoon, {pet} sat at the window and waited for {him}.|{friend}
came along too, and they all played until dinner.] [? When you do the right thing, good things
may follow.|{@forever}])T"},

      {"acorn_winter", "hero=critter friend=critter food=food", R"T(
{@critter_intro} It was fall, and the leaves were turning red and gold. All day long, {hero}
[carried food home|worked and worked]. [? "Winter is coming," {he} said.|"Soon it will be cold,"
{he} said.] {friend} the {friend.kind} [sat in the sun|lay in the grass] and laughed. ["Why do you
work so hard?" asked {friend}. "Come and play!"|"Winter is far away," said {friend}. "Let us
dance!"] [? {hero} shook {his} head.|"I can play when my work is done," said {hero}.] {hero} put
away {food.s} and seeds and [moss for a warm bed|dry leaves for a warm bed], until {his} {hero.home}
was full.

Then the snow came. [It fell for three days and three nights.|The wind blew, and the pond turned to
ice.] {hero} sat in {his} warm {hero.home}, ate {food.a} and [listened to the wind|sang to
{himself}]. [? But something was not right.|But {he} was not quite happy.] {He} thought of {friend}.
[? "Does {friend} have enough to eat?" {he} wondered.|"I hope {friend} is warm," {he} thought.]
[{He} told {himself}, "{friend} should have listened." But that did not help.|{He} looked at all
{his} food. It was a lot for one small {hero.kind}.]

Knock, knock! There stood {friend}, [white with snow|thin and cold], with chattering teeth. ["I was
silly," said {friend}. "I played all day, and now I have nothing."|"I am so hungry," said {friend}.
"You were right, and I was wrong."] [? "I will go away if you are angry," said {friend.he}.|{friend}
looked at the ground.] {@think} ["Come in out of the cold," said {hero}.|"Sit down by the fire,"
said {hero}.] {He} gave {friend} {food.a} and [a warm blanket of moss|the softest place to sleep].
["Is there enough for two?" asked {friend}.|"But then you will have less," said {friend}.] ["If we
are careful, there is enough," said {hero}.|"A shared {food} tastes better," said {hero}.]

The winter was long. [2& {friend} told funny stories.|{friend} sang all the songs of
summer.|{friend} taught {hero} how to dance.|They made shadows on the wall with their paws.]
{hero} had never had [such a happy|so short a] winter. When spring came and the snow went away,
{friend} said, ["Now I will help you. We will fill your {hero.home} together."|"This year, I
will carry twice as much as you."] [And {friend.he} kept that promise.|And every day they worked
in the morning and danced in the afternoon.] ["You gave me food," said {friend}, "and I gave you
songs. Which is better?" "Both," said {hero}.|{hero} had learned to play, and {friend} had
learned to work.|It is wise to save, and it is kind to share.])T"},

      {"lonely_critter", "hero=critter friend=critter third=critter gift=treasure", R"T(
{@critter_intro} {hero} had a [cozy|warm] {hero.home}, but {he} had no friends. [? The others
thought that {he} was too quiet.|{He} was too shy to say hello.|When the others came by, {he} always
hid.] [? {He} watched them play from behind a tree.|Every evening {he} ate alone.] ["I wish I had a
friend," {he} said to the moon.|"If only somebody would knock at my door," {he} said.] {@sad_wild}

{@oneday} {hero} found {gift.a} [under a fern|by the stream]. [It was so beautiful that {he} wanted
to show it to someone.|"Who lost this?" {he} wondered.] {He} walked and walked until {he} met
{friend} the {friend.kind}. {hero}'s mouth was dry. ["Is th-this yours?" {he} asked.|"H-hello," {he}
said. "Did you lose this?"] ["No," said {friend}, "but I know that {third} the {third.kind} has been
crying all day. Come along!"|"It is not mine," said {friend}. "But {third} the {third.kind} lost
something. Let us go together!"] [{hero} wanted to go home.|{hero} took a step back.] But {friend}
[took {his} paw|smiled at {him}], and so {he} went.

On the way, they came to a [deep ditch|fallen tree|muddy hole]. {friend} was [in a hurry and
fell|too busy talking and fell]. Bump! ["My foot is stuck!" cried {friend}.|"I cannot get out!"
cried {friend}.] {hero} was small, but {he} was [very smart|good at thinking]. [w: {He} rolled a
stone to {friend}, so that {friend.he} could stand on it.|{He} found a long vine, tied it to a tree
and threw down the end.|{He} dug away the earth, bit by bit, until the foot was free.] ["You saved
me!" said {friend}.|"How clever you are!" said {friend}.] [? {hero} blushed under {his} fur.|Nobody
had ever said that to {hero} before.]

At last they came to {third}. ["My {gift}! My grandma gave it to me!" cried {third}.|{third} saw
the {gift} and jumped for joy. "You found it!"] {third} hugged {hero} [so hard that {he} could
hardly breathe|and did not let go]. ["How did you find it?" asked {third}.|"Where have you been
all this time?" asked {third}.] {hero} told the whole story. [? {He} had never said so many
words before.|{He} spoke softly, and they listened to every word.] ["You are not too quiet,"
said {third}. "We were just too loud to hear you."|"We thought that you did not like us," said
{third}.] That evening, there was a knock at {hero}'s door. Outside stood {friend} and {third},
with [a basket full of berries|a pot of warm soup]. [? "May we come in?" they asked.|"We wanted
to eat with you," they said.] {@happy_wild} [And {hero} never had to eat alone again.|One small
hello had changed everything.|Sometimes you have to take the first step, even if your knees
shake.])T"},

      {"little_bird", "hero=bird_hero friend=critter parent=parent_bird", R"T(
High up in an old tree lived a [little|small|young] {hero.kind} named {hero}. [{His} brothers and
sisters could all fly.|Every day, the others flew out over the trees.] But {hero} was afraid. {He}
[sat in the nest|held on to the branch] and looked down. ["It is so far," {he} said.|"What if I
fall?" {he} asked.] ["Your wings know how," said {his} {parent}.|"One day you will fly," said {his}
{parent}. "There is no hurry."] ["Not today," said {hero}.|"Tomorrow," said {hero}, every day.]

Under the tree lived {friend} the {friend.kind}. [? {friend} liked to talk to {hero}.|They were
friends, {hero} above and {friend} below.] ["What can you see from up there?" asked {friend}.|"Come
down and play!" called {friend}.] ["I can see the river and the hills," said {hero}, "but I cannot
come down."|"I would like to," said {hero}, "but I do not dare."] [? {friend} did not laugh at
{him}.|"I am afraid of thunder," said {friend}. "Everybody is afraid of something."] [Every day
{hero} hopped a bit farther along the branch.|{hero} began to open and close {his} wings. Flip,
flap.]

{@oneday} [dark clouds came, and it rained and rained|a big storm came]. The water in the stream
rose higher and higher. From above, {hero} saw it coming. [But {friend} was asleep in {friend.his}
{friend.home}!|And {friend} did not know!] ["{friend}! Wake up! The water is coming!" {hero} called.
But the storm was too loud.|{hero} called as loud as {he} could, but the wind blew {his} words
away.] {@scared_wild} [? There was no time to be afraid.|{He} looked down. It was so far. But
{friend} was down there.] {hero} opened {his} wings, closed {his} eyes and jumped. [{He} fell, and
fell, and then the air held {him}.|For a moment {he} fell like a stone. Then {his} wings knew what
to do.]

Down and down {he} flew, and {he} knocked on {friend}'s door with {his} beak. Tap, tap, tap!
["Quick, get out! The water!" {he} cried.|"Wake up and run up the hill!" {he} cried.] {friend}
ran to the top of the hill, and {hero} flew above {friend.him} all the way. [? They sat under a
big rock until the storm was over.|From there they watched the storm go by.] Then {friend} said,
["{hero}, you flew!"|"Do you know what you did? You flew!"] {hero} looked at {his} wings. ["I
forgot to be afraid," {he} said.|"I did!" {he} said. "I really did!"] {@proud_wild} [The next
morning, {he} was the first one in the sky.|From then on, {hero} flew every day, and {friend}
ran below.] [? Love can give you wings.|We can do more than we think, when a friend needs
us.|And all the birds sang about it.])T"},

      {"sea_friends", "hero=sea friend=sea treasure=treasure", R"T(
[Down in the deep blue sea|Under the waves, where the light is green|In a warm and quiet bay] lived
a {hero.kind} named {hero}. {hero} [collected pretty things|had a secret cave full of pretty
things]. [? {He} had a spoon, a ring and half a plate.|{He} loved all that was round and shiny.] The
best of all was {treasure.a}. [? It shone like a little moon.|{He} looked at it every night before
{he} slept.]

{@oneday} a {friend.kind} named {friend} swam by. ["What do you have there?" asked {friend}.|"Oh,
what is that?" asked {friend}.] ["Nothing!" said {hero}, and hid the way into {his} cave.|"It is
mine, and you cannot see it," said {hero}.] ["I only wanted to say hello," said {friend}, and swam
away.|"I am sorry," said {friend}. "I am new here, and I do not know anyone." And {friend.he} swam
away.] [{hero} was glad at first.|"Good," thought {hero}. "Now I am alone with my things."] But the
sea was very quiet. [? A {treasure} cannot talk.|A {treasure} cannot laugh.] {@sad_wild}

That night [the waves grew wild|a storm shook the sea]. Sand and stones came down, and the door of
the cave was shut, with {hero} inside! [? It was dark, and there was no way out.|{He} pushed and
pushed, but the stones were too heavy.] ["Help!" {he} called. "Is anybody there?"|"Please, somebody,
help me!" {he} called.] {@scared_wild} For a long time nobody came. Then there was a scratching
sound. ["I hear you!" said a voice. It was {friend}!|"Hold on, I am coming!" called {friend}.]
{friend} pulled away [one stone after another|the small stones first, and then the big ones]. [? It
took all night.|{friend} did not stop, not even to rest.] At last there was a hole, and {hero} swam
out into the light.

["Why did you help me?" asked {hero}. "I was not nice to you."|"I was so rude to you," said
{hero}, "and still you came."] ["You needed somebody," said {friend}.|"I know what it is like to
be alone," said {friend}.] {hero} swam back and got the {treasure}. ["This is my best thing,"
{he} said. "Let us look at it together."|"Please take it," {he} said. "A friend is worth more
than this."] {friend} [laughed with joy|held it up to the light]. ["It is so pretty! But I would
rather play with you," said {friend}.|"Let us keep it in a place where everybody can see it,"
said {friend}.] [So they hung it over the door, where it shone for everyone who came by.|So they
put it on top of a rock, and all the sea came to look.] And they swam off [to race with the
waves|to play in the sea grass]. [{hero} still loves pretty things, but {he} loves {friend}
more.|The best treasure, {hero} found, is a friend.|And where {hero} was, {friend} was never far
away.])T"},

      {"farm_morning", "hero=child animal=farm aunt=aunt pet=pet food=fruit", R"T(
{@intro} {hero} was staying on a farm with {aunt}. [? Everything was new: the smells, the sounds,
the early mornings.|There were hens in the yard and swallows under the roof.] {aunt} had {pet.a}
named {pet}, and {animal.a} called Queen. ["Queen is a bit proud," said {aunt}. "You must be polite
to her."|"Queen does not like strangers," said {aunt}. "Give her time."] {hero} went up to Queen.
["Hello!" {he} shouted, and ran to touch her.|{He} jumped over the gate and called, "Come here!"]
["{animal.Sound}!" said Queen, and she walked away.|Queen turned her back and said,
"{animal.Sound}!"]

The next day, {he} brought her {animal.food}. But {he} [ran again|was too loud again], and Queen
[went to the far end of the field|would not come]. {@sad} ["She does not like me," {he} told
{pet}.|"Why does she always go away?" {he} asked {aunt}.] ["How do you make friends with somebody
shy?" asked {aunt}.|"Watch {pet}," said {aunt}. "How does {pet.he} do it?"] {hero} watched. {pet}
walked slowly into the field and just lay down in the grass. [? {pet} did not do anything.|{pet}
looked at the clouds.] After a while, Queen came over, all by herself, and [sniffed at {pet}|stood
next to {pet}]. ["Oh," said {hero}. "I see."|{hero} began to understand.]

So the next morning, {he} [walked very slowly|came on soft feet], sat down in the grass and waited.
[? {He} hummed a little song.|{He} ate {food.a} and looked at the clouds.|{He} did not even look at
Queen.] It was hard to sit still. [? An ant walked over {his} hand.|{His} foot went to sleep.] Then
{he} felt something warm on {his} neck. [It was Queen's breath!|It was Queen's soft nose!] {@scared}
But {he} did not move. ["Good morning, Queen," {he} said very softly.|{He} held out {his} hand, with
some {animal.food} on it.] "{animal.Sound}," said Queen, in a gentle voice[, and ate out of {his}
hand|].

From then on, Queen [waited for {him} at the gate|came when {he} called her name]. [2& {hero}
brushed her every day.|{hero} told her all about the town.|They went for walks along the fence,
with {pet} behind them.|{hero} learned to clean the barn.] On the last day, Queen put her head
on {his} shoulder. [? "She will miss you," said {aunt}.|"You have made a friend for life," said
{aunt}.] [? "I will come back next summer," {he} promised.|{hero} hugged her for a long time.]
[At home, when {he} met somebody shy, {he} did not run or shout. {He} sat down and
waited.|{hero} had learned that some friends need quiet.|{@forever}])T"},
  };
  return plots;
}

}  // namespace xlstm::data
