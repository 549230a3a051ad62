// Plots about friends: sharing, promises, quarrels and making up.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<Plot>& friend_plots() {
  static const std::vector<Plot> plots = {
      {"sharing", "hero=child friend=child toy=toy toy2=toy place=outside parent=family", R"T(
{@intro} For {his} birthday, {he} got {toy.a} from {parent}. [? It was the best toy {he} ever
had.|{hero} would not let anyone touch it.|{He} loved it from the first minute.]

{@sunny} {hero} took the {toy} {place.to}. {friend} [came over|was there too]. ["What a nice {toy}!"
said {friend}. "May I play with it?"|"May I have a turn with your {toy}?" asked {friend}.|"Can we
play with your {toy} together?" asked {friend}.] "No," said {hero}. ["It is mine."|"You may look,
but you may not touch it."|"It is new, and it is only for me."] {friend} [looked at the ground|went
away|sat down far from {him}]. [? {hero} played alone.|{hero} held the {toy} close.] At first it was
fun. [But soon it was boring.|But after a while, it was not so much fun.|But there was nobody to
laugh with.]

Then {hero} saw that {friend} had {toy2.a}. [? {friend} was laughing and having fun.|The {toy2}
looked like a lot of fun.] {hero} went closer. ["May I play with your {toy2}?" asked {hero}.|"Can I
try that?" asked {hero}.] {hero} thought that {friend} would say no. [? {His} cheeks felt warm.|{He}
remembered what {he} had said before.] But {friend} [smiled|moved over to make room] and said,
["Yes. It is more fun with two."|"Of course. Here, you can go first."|"Sure! Sit down with me."]

{hero} felt [ashamed|bad] that {he} had not been so kind. {He} [ran to get {his} {toy}|held out
{his} {toy}]. ["I am sorry I did not share," {he} said. "Please take it."|"Here," {he} said.
"You can play with my {toy} as long as you like."] [? {friend}'s eyes grew wide.|"Really?" asked
{friend}.] [So the {toy} and the {toy2} went on a long trip around the world.|They made up a
game with the {toy} and the {toy2}.|The {toy} and the {toy2} became friends too.] They played
until [{parent} called them for dinner|it was dark|the street lamps came on]. ["My {toy} is even
better now," said {hero}.|That evening, {hero} told {parent}, "Sharing makes one toy into
two."|{hero} had learned that fun grows when you share it.] [{@friends_end}|])T"},

      {"new_in_class", "hero=child friend=child teacher=teacher thing=keepsake treat=treat", R"T(
{@intro} {@oneday} there was a new {friend.boy} in {his} class. ["This is {friend}," said
{teacher}.|{teacher} took {friend.his} hand and said, "This is {friend}."] [{friend} came from a
land far away.|{friend} had just moved to the town.] {friend} wore {thing.a} and did not say a word.
[? Some of the children stared.|Nobody knew what to say.|The others looked, and then they went on
playing.]

At lunch, {friend} sat all alone. [{hero} saw it from {his} table.|{hero} looked at the empty chair
next to {friend.him}.] {hero} remembered [{his} own first day, when {he} knew nobody|how it felt to
be new]. [? But {he} was a little shy.|"What if {friend.he} does not like me?" {he} thought.]
{@think} Then {he} took {his} lunch and walked over. ["Can I sit here?" asked {hero}.|"Hello, I am
{hero}. Is this chair free?" {he} asked.] {friend} nodded but did not speak. ["Do you like
{treat.s}?" asked {hero}.|{hero} held up {his} {treat}. "Do you want some?" {he} asked.] {hero}
broke the {treat} in two and gave {friend} the bigger half. For the first time, {friend} smiled.

[w: {friend} did not know all their words yet. So {friend.he} took a crayon and drew a picture of a
house by the sea.|{friend} spoke so softly that {hero} had to lean in. "I miss my old school,"
{friend.he} said.|Then {friend} took a string out of {friend.his} pocket and showed {hero} a trick
with it.] [w: {hero} drew {himself} next to the house, waving.|"Then I will show you the best things
about this one," said {hero}.| "Wow! Can you teach me?" asked {hero}.] [? After lunch, {hero} took
{friend}'s hand.|When the bell rang, they went out together.] [{hero} showed {friend} the slide, the
swings and the secret place behind the bush.| {hero} told the others, "This is my friend. Can we
play too?"] [? Soon everybody wanted to play with {friend}.|Soon all the children were playing the
same game.]

When it was time to go home, {friend} took off the {thing} and [put it on {hero} for a
moment|let {hero} try it on]. ["Friend," said {friend}, and pointed at {him}.|"Tomorrow, will
you sit with me again?" asked {friend}. "Yes!" said {hero}.] {teacher} saw it all and smiled. [?
Somebody has to say hello first.|"You have a kind heart, {hero}," said {teacher}.|A small hello
can be the start of something big.] {@friends_end})T"},

      {"a_promise", "hero=child friend=child pet=pet place=trip parent=parent", R"T(
{@intro} {His} friend {friend} had {pet.a} named {pet}. {@oneday} {friend} had to go away for the
day. ["Can you feed {pet} for me?" asked {friend}.|"Will you look after {pet} until tonight?" asked
{friend}.] ["Yes, I promise," said {hero}.|"I promise," said {hero}. "You can count on me."]

[Soon after|An hour later], {parent} came in with a big smile. ["Guess what? We are going {place.to}
today!" said {parent}.|"Get your shoes. We can go {place.to}, right now!" said {parent}.] [? {hero}
had wanted to go there for a long time.|It was {his} favorite place in the whole world.] ["Hooray!"
{he} shouted.|{hero} ran to the door.] Then {he} stopped. [{He} thought of {pet}, who would wait by
the empty bowl.|"What about {pet}?" {he} thought.|{He} remembered what {he} had said to {friend}.]
[? {He} wanted to go so much.|It was a hard choice.|{His} heart said two things at once.] {@think}
"I cannot go," {he} said at last. "I made a promise." ["Are you sure?" asked {parent}.|{parent} was
surprised.] {hero} nodded[, but {his} lip trembled|].

So {hero} went to {friend}'s house. {pet} [jumped for joy|ran to meet {him}] and said,
"{pet.Sound}!" {hero} gave {pet} [food and fresh water|{pet.his} food and a {pet.treat}]. [2& They
played with a ball of string.|They ran around the yard.|{hero} brushed {pet} until {pet.his} coat
was shiny.|They took a nap in the sun.|{hero} told {pet} all {his} secrets.] [? The day went by very
fast.|It was not a bad day at all.] When {friend} came back, {pet} was [clean and happy|fast asleep
on {hero}'s knees]. ["Thank you!" said {friend}. "I knew I could trust you."|"You kept your word,"
said {friend}. "You are a true friend."]

The next morning, {parent} was waiting at the door with a bag. ["A {hero.boy} who keeps a
promise should get a treat," said {parent}.|"Yesterday you did the right thing," said {parent}.
"Today it is your turn."] Then {parent} smiled. ["We are all going {place.to}. Bring {friend},
and bring {pet} too!"|"Get your shoes, and call {friend}. We are going {place.to} together!"]
{@happy} [And {place.in}, with {friend} and {pet}, it was twice as much fun.|It was even better
than it would have been the day before.] [? A promise is a promise, even when it is hard.|{hero}
knew now that a promise is worth more than a trip.|{@forever}])T"},

      {"the_race", "hero=child friend=child vehicle=vehicle prize=treasure teacher=teacher", R"T(
{@intro} {He} could run [very fast|as fast as the wind|faster than anyone in {his} class]. ["I will
win the big race," {he} told everyone.|"Nobody can beat me," {he} often said.|Every day, {he}
practiced for the big race.] {His} friend {friend} was not so fast, [but {friend.he} ran with a
smile|but {friend.he} never gave up].

The day of the race came. [? Flags waved in the wind.|The whole school was there.] The winner would
get {prize.a} on a ribbon. ["Ready, steady, go!" called {teacher}.|{teacher} held up a hand. "One,
two, three, go!"] Off they went! [2& {hero}'s feet flew over the grass.|{hero} could hear the people
cheer.|The wind pulled at {hero}'s hair.|{hero}'s breath went in and out like a train.] Soon {he}
was in front. [? {He} could see the end.|Only a little more!] Then {he} heard a cry. {friend} had
[fallen over a stone|tripped on a root|slipped in the mud]. [? {friend} was holding {friend.his}
knee.|{friend} tried to get up, but {friend.he} could not.]

{hero} looked at the line. {He} looked back at {friend}. [The other runners went by, one after
another.|"If I stop, I will not win," {he} thought.] {@think} Then {he} turned around and ran back.
["Are you hurt?" {he} asked.|"Give me your hand," {he} said.] ["You must go on! You will lose!" said
{friend}.|"But the race!" said {friend}.] ["We will lose together, then," said {hero}.|"There will
be other races," said {hero}. "There is only one of you."] {hero} put {friend}'s arm around {his}
neck, and they walked, step by step, to the end. They came in last.

[For a moment it was quiet. Then everybody began to clap.|And everybody clapped, louder than for
the winner.] {teacher} came and said, ["Some people win with their legs. You won with your
heart."|"I saw what you did. I have never seen a better race."] [The winner came too, and gave
{hero} the {prize}. "You should have it," the winner said.|The next day, {friend} gave {him} a
little box. Inside was {prize.a}, tied to a ribbon.] [{hero} pulled {friend} home in {his}
{vehicle.full}.|They went home with {friend} on {hero}'s {vehicle.full}.] {@proud} [? And {he}
never missed being first.|A good friend is better than any prize.|Next year they would race
again, and it did not matter who won.])T"},

      {"quarrel", "hero=child friend=child made=made toy=toy elder=family", R"T(
{@intro} {hero} and {his} friend {friend} [liked to build things|spent every afternoon together].
{@oneday} they were building {made.a} out of [blocks|boxes|old boards]. [wish: "It must be tall,"
said {hero}.|"Let us paint it blue," said {hero}.] [wish: "No, it must be wide," said {friend}.|"I
do not like that," said {friend}. "I want it my way."] ["You never listen!" said {hero}.|"It was my
idea!" said {hero}.] [? "You always want to be the boss!" said {friend}.|"And they are my tools!"
said {friend}.] [? They shouted until their faces were red.|Their voices grew louder and louder.]
Then {friend} went home, and the {made} was only half done.

[The next day|All the next day], {hero} tried to build it alone. [But there was nobody to hold the
other end.|But it fell down again and again.|But a {made} needs more than two hands.] [? It was too
quiet.|{He} even missed the noise.] {hero} looked at {his} {toy.full} and said, ["You hold this
side." But the {toy} just lay there.|"What do you think?" But the {toy} had nothing to say.] {@sad}
{elder} sat down beside {him}. ["Who began it?" asked {elder}. "I do not remember," said {hero}.|"Do
you want to be right," asked {elder}, "or do you want to be friends?"] {@think} ["I want my friend
back," {he} said.|"I should say sorry," {he} said.]

So {hero} walked to {friend}'s house. [On the way, {he} met {friend}, who was coming to see
{him}!|And just as {he} lifted {his} hand to knock, the door opened, and there stood {friend}.] ["I
am sorry!" they both said at the same time.|"I am sorry I shouted," said {hero}. "I am sorry too,"
said {friend}.] They looked at each other and began to laugh. ["We can build it your way," said
{hero}. "No, we can build it your way," said {friend}.|"What if we do both?" asked {friend}.]

[In the end, they mixed the two ideas.|So they used a bit of this idea and a bit of that one.]
The {made} was tall on one side and wide on the other. [? It looked very funny, and they loved
it.|Nobody had ever seen anything like it.|It was the best one they had ever made.] They put the
{toy} on the very top, as the guard. ["Next time we can fight about the color," said {friend},
and they laughed.|"Two heads are better than one," said {elder}.|Friends may fight, but good
friends find a way back.] {@friends_end})T"},

      {"the_swing", "hero=child friend=child place=outside parent=parent thing=keepsake", R"T(
{@intro} {hero} loved one thing most of all. It was the old swing {place.in}. [? On the swing, {he}
was a bird in the sky.|When {he} went up high, {his} tummy tickled.|{He} could swing for hours.]

{@sunny} {hero} ran to the swing. A {friend.boy} in {thing.a} was waiting for it too. [{friend.His}
name was {friend}.|It was {friend}, who lived down the street.] But {hero} was faster and [sat down
first|jumped on it]. ["You can have it when I am done," {he} said.|"I was here first," {he} said.]
{hero} went up and down, up and down. {friend} waited. [? {friend} counted to fifty.|{friend} stood
on one foot, and then on the other.|{friend} looked at the clouds.] ["Is it my turn now?" asked
{friend}.|"May I swing now?" asked {friend}.] "Not yet," said {hero}. [? {friend} waited some
more.|And up {he} went again.]

{parent} came and watched. ["How do you think {friend} feels?" asked {parent}.|"Look at {friend},"
said {parent} softly. "What do you see?"] {hero} looked. {friend}'s [eyes were on the ground|mouth
was turned down|chin was shaking]. [? Swinging was not so much fun now.|{hero} put {his} feet down
and stopped.|{hero} remembered a day when {he} had waited and waited too.] ["It is your turn," {he}
said.|"I am sorry. Please, take it," said {hero}.] {friend} [sat down|climbed on], but {friend.his}
legs [were too short to push|could not reach the ground]. The swing hung still.

["Do you want a push?" asked {hero}.|"Hold on tight," said {hero}.] {He} gave {friend} a push,
and then another. [? "Higher!" called {friend}.|"I can touch the sky!" called {friend}.] [? The
{thing} flapped like a flag.|{friend}'s laugh went up and down with the swing.] And {hero} found
that it was fun to push, too. [Then {friend} pushed {him}, and {he} flew higher than ever
before.|"Now I will push you," said {friend}. And {hero} went higher than {he} had ever been
alone.] [? They counted out loud: ten for you, ten for me.|They took turns until it was time to
go home.] [When you share a swing, it goes up twice as high.|"I like taking turns," said {hero}.
"You get a swing and a friend."|{hero} learned that a turn is more fun when you give one away.]
{@friends_end})T"},

      {"left_out", "hero=child friend=child toy=toy place=outside pet=pet", R"T(
{@intro} {@oneday} {hero} saw some children {place.in}. They were playing [tag|pirates|hide and
seek|a game with a rope]. ["Can I play too?" asked {hero}.|{hero} stood near them and hoped that
they would ask {him}.] ["We have enough players," said a tall boy.|"You are too small," said a tall
girl.|But nobody saw {him}, and nobody asked.] {@sad} {He} went away and sat down on a bench.

[After a while,|Soon] {hero} saw somebody else sitting alone. It was a {friend.boy} with {toy.a}. [?
The {friend.boy} was drawing lines in the dust.|{friend.He} was kicking a small stone.] {hero} [knew
that feeling|knew just how that was]. {He} walked over. ["My name is {hero}," {he} said. "What is
yours?"|"I am {hero}. Do you want to play with me?" {he} asked.] ["I am {friend}," said the
{friend.boy}. ["They did not let me play."|"Nobody asked me to play."]|"My name is {friend}," said
the {friend.boy}. "I did not think anyone would ask."]

{hero} and {friend} [made up a new game|made a game of their own]. [w: The {toy} was a treasure, and
one of them had to guard it with eyes closed.|They were explorers, and the {toy} was the king of a
secret island.| The {toy} was lost in space, and they had to bring it home in a rocket made of
boxes.] [w: It was very hard not to laugh.|They sailed over the grass and fought with the
waves.|They counted down from ten and flew to the moon.] {pet}, a [friendly|funny] {pet.kind} from
down the road, [wanted to play too|came and joined in]. [? "{pet.Sound}!" said {pet}.|They laughed
so loudly that everybody could hear.] One by one, the other children stopped and looked. [? "What
are you playing?" asked one.|"That looks like fun," said another.]

["Can we play with you?" they asked.|Then they came over. "May we play too?" they asked.]
{friend} looked at {hero}. [? They could say no.|{hero} remembered how it felt to hear no.|Now
it was {his} turn to choose.] ["Yes," said {hero}. "Everyone can play."|"There is room for all,"
said {hero}.] [? So they all played, big ones and small ones, and {pet} too.|And it became the
biggest game that anyone had ever seen.] ["I am sorry we did not ask you before," said the tall
one.|"We were not nice to you," said one of the others. "We are sorry."] ["Let us start again,"
said {hero}.|"That is all right," said {hero}. "Now you know a new game."] [From then on, nobody
there had to sit alone.|It feels bad to be left out, so {hero} never left anyone out.]
{@friends_end})T"},

      {"borrowed_thing", "hero=child friend=child gift=gift parent=parent place=water", R"T(
{@intro} {His} friend {friend} had {gift.a}. [? It was brand new.|It was a gift from {friend.his}
grandpa.| {friend} took very good care of it.] ["May I borrow your {gift}?" asked {hero}. "Just for
one day?"|"Can I take your {gift} home, only for today?" asked {hero}.] {friend} [thought for a
while|was not sure]. "All right," {friend.he} said, "but please be careful with it." ["I will," said
{hero}.|"Of course," said {hero}.]

{hero} took the {gift} and went to play {place.in}. [? {He} had a lot of fun.|{He} felt very grand
with it.] But when {he} jumped from stone to stone, [the {gift} fell into the mud|{he} slipped and
dropped the {gift}]. [One side was bent, and it was all brown.|There was a big scratch on it, and it
was all wet.] {@scared} ["{friend} will never lend me anything again," {he} thought.|"What will
{friend} say?" {he} whispered.] [? Maybe {he} could just leave it at {friend}'s door and run
away.|{He} could say that it was like that before.] But {he} knew that was wrong.

At home, {he} told {parent}. ["First we clean it," said {parent}, "and then you must tell
{friend}."|"What would you want a friend to do?" asked {parent}.] [{hero} washed off the mud|{hero}
wiped it with a soft cloth], and {parent} [bent it back into shape|helped to fix the worst part].
But you could still see the mark. Then {hero} [filled a jar with all the coins from {his} bank|chose
the best of {his} own toys] and went to {friend}'s house. [? It was a long walk, even though it was
not far.|{His} feet felt as heavy as stones.]

["I dropped your {gift}," {he} said. "I am very sorry. Please take this too."|"I was not
careful," {he} said. "Your {gift} has a mark now. I am sorry. This is for you."] {friend} looked
at the {gift} for a long time. [? Then {friend.he} looked at {hero}'s sad face.|{friend.He}
touched the mark with one finger.] ["It still works," said {friend}. "And you did not run
away."|"I am a little sad," said {friend}, "but I am glad that you told me."] {friend} gave
{him} back [the present|what {he} had brought]. ["Keep it," {friend.he} said. "Let us play with
both."|"You do not have to pay me," said {friend}. "Just be more careful."] [The mark is still
there, and it looks a bit like a smile.|After that, {hero} took care of borrowed things even
better than of {his} own.|{hero} learned that a thing can be fixed, if you are honest about it.])T"},

      {"jealous", "hero=child friend=child prize=keepsake teacher=teacher instrument=instrument",
       R"T(
{@intro} {hero} loved to paint. {@oneday} {teacher} said, ["Everybody, paint the most beautiful
thing you know."|"Today we will paint a picture of something we love."] {hero} painted [the sea with
a ship on it|a garden full of birds|a big, golden sun]. [? {He} worked very hard.|{He} used every
color in the box.] But at the end, {teacher} held up {friend}'s picture. ["Look, what a lovely
picture!" said {teacher}.|"This one will hang by the door, where all can see it," said {teacher}.]
Everybody clapped. {friend} got to wear {prize.a} for the rest of the day, as a prize.

{hero} did not clap. [? Something hot and small sat in {his} chest.|{He} felt green inside, like an
old frog.| {His} own picture looked ugly to {him} now.] ["It is not that good," {he} said[ to the
others|].|{hero} pushed {his} picture under the table.] {friend} heard it and looked [hurt|sad].
[{friend} took off the {prize} and put it away.|{friend} did not smile any more.] {hero} thought
that would make {him} feel better, but {he} felt worse.

{teacher} sat down beside {him}. ["Do you know what {friend} told me yesterday?" asked {teacher}.
"{friend} wishes to play the {instrument} as well as you do."|"You play the {instrument} better than
anyone here," said {teacher}. "Did you know that {friend} listens at the door?"] {hero} was
surprised. [? {He} had never thought of that.|"Really?" {he} asked.] ["Each of us shines in a
different way," said {teacher}.|"A garden needs more than one kind of flower," said {teacher}.]
{@think} Then {he} went to {friend}. ["I said a mean thing, and it was not true," said {hero}. "Your
picture is beautiful."|"I am sorry," said {hero}. "I wished that I had painted it. It is so good."]

{friend} [smiled a little|looked up]. ["Will you show me how you paint the light?" asked
{hero}.|"Can you teach me?" asked {hero}.] ["Yes," said {friend}, "if you teach me to play."|"If
you show me how to play the {instrument}," said {friend}.] So after school they sat together.
{friend} showed {him} how to mix the colors, and {hero} showed {friend} how to make the
{instrument} go "{instrument.play}." [It sounded awful, and they laughed until they cried.|It
was hard for both of them, and it was fun.] [? Later, {hero}'s new picture hung next to
{friend}'s.|Then {friend} put the {prize} on both their heads at once.] ["We both win," said
{friend}.|When we are glad for a friend, there is twice as much to be glad about.|{hero} did not
feel green any more.])T"},

      {"secret_helper", "hero=child friend=child neighbor=neighbor cake=cake thing=lost_thing", R"T(
{@intro} On {his} street lived {neighbor}, who [was old and walked with a stick|lived all
alone|never smiled]. [? Some children were a little afraid of {neighbor.him}.|"{neighbor} is
grumpy," said the other children.] {@oneday} {hero} and {friend} saw {neighbor} [walk up and down
the street|look under the hedge]. ["What is {neighbor.he} doing?" whispered {friend}.|"{neighbor.He}
looks sad," said {hero}.] ["Did you lose something?" asked {hero}.|{hero} was a bit scared, but {he}
asked, "Can we help you?"] ["I lost {thing.a}," said {neighbor}. "It was from someone dear to
me."|"My {thing} is gone," said {neighbor}. "I have had it for fifty years."]

[? All afternoon, {hero} and {friend} looked for it.|"We will find it," {hero} told {friend}.] [2&
They looked along the path.|They looked in the wet grass.|They looked under the dry leaves.|They
asked the mail carrier.] They did not find it that day. But they saw that {neighbor}'s [mess: garden
was full of weeds|yard was full of leaves]. ["Let us do something nice," said {friend}.|"I have a
plan," said {hero}. "But it must be a secret."] Very early the next morning, before {neighbor} was
awake, they came back. [mess: They pulled out the weeds, as quiet as mice.|They raked and swept, and
nobody heard them.]

And there, under [an old pot|[mess: the last weed|the very last leaf]], lay {thing.a}! [? "Is that
it?" whispered {friend}.|"Look!" whispered {hero}.] They cleaned it [with a sleeve|until it was
shiny], put it on the doorstep, rang the bell and hid behind the hedge. {neighbor} opened the door.
[{neighbor.He} picked up the {thing} and held it to {neighbor.his} heart.|A tear ran down
{neighbor.his} cheek, but it was a happy one.] Then {neighbor.he} saw the clean garden. "Who did all
this?" {neighbor.he} asked. [{friend} tried so hard not to laugh that a squeak came out.|Just then,
{hero} had to sneeze. Achoo!]

["Come out, little helpers," said {neighbor}, and {neighbor.his} eyes were kind.|"I think my
hedge just made a noise," said {neighbor}, and for the first time, {neighbor.he} smiled.]
{neighbor} asked them in and gave them {cake.a}. [And {neighbor} was not grumpy at all.
{neighbor.He} knew a hundred good stories.|{neighbor.He} told them how {neighbor.he} got the
{thing}, when {neighbor.he} was as small as they were.] [? After that, they went to visit every
week.|From that day on, {neighbor} was never alone on Sundays.] [? Behind a sad face, there is
often a kind heart.|The best gifts are the ones you give in secret.|{@forever}])T"},
  };
  return plots;
}

}  // namespace xlstm::data
