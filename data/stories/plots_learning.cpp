// Plots about learning something new, at school and elsewhere.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<Plot>& learning_plots() {
  static const std::vector<Plot> plots = {
      {"learning_to_swim", "hero=child friend=child parent=family toy=toy place=swimming", R"T(
{@intro} All summer long, {he} sat by the {place} and watched the others swim. [? {friend} could
swim like a fish.|{friend} could even swim under water.] [? "Come in!" called {friend}.|"The water
is so nice!" called {friend}.] But {hero} only put in {his} toes. ["It is too cold," {he}
said.|"Maybe tomorrow," {he} said.|"I am not hot," {he} said, but {he} was.] The truth was that {he}
was afraid.

{@sunny} {parent} sat down next to {him}. ["What are you afraid of?" asked {parent}.|"I was afraid
too, when I was small," said {parent}.] ["What if I sink?" asked {hero}.|"The water is so deep,"
said {hero}.] ["Then I will hold you," said {parent}. "I will not let go until you say so."|"We can
start where your feet touch the ground," said {parent}.] {hero} held on to {parent}'s hand and [took
one step, and one more|went in up to {his} knees, and then up to {his} tummy]. [{@scared}|The water
was cold, and then it was not.]

["First, blow bubbles," said {parent}. {hero} put {his} mouth in the water and blew. Blub, blub,
blub!|First {hero} learned to put {his} face in the water.] ["Now lie on your back, like a leaf,"
said {parent}. {hero} looked at the sky, and the water carried {him}.|Then {hero} held {his}
{toy.full} in front of {him} and kicked. Splash, splash!] [? {He} swallowed some water and
coughed.|Some water went up {his} nose.] ["I cannot do it!" {he} said.|"I want to go out," {he}
said.] ["You did three kicks already," said {friend}. "I had to learn it too."|"Yesterday you only
put in your toes," said {parent}. "Look where you are now."] {@tryagain}

Day after day, {he} came back. [? One day {he} swam as far as {his} own arm.|First {he} swam two
strokes, then five, then ten.] At last {hero} said, "You can let go now." {parent} let go, and
{hero} [swam all alone|swam all the way to {friend}]! ["I am swimming! I am swimming!" {he}
shouted, and got a mouth full of water.|"You did it!" cried {friend}.] {@proud} [Now {hero} and
{friend} swim like two fish.|And after that, {parent} could hardly get {him} out of the water.]
[? You do not have to be brave all at once. A little each day is enough.|{hero} learned that
fear gets smaller when you take small steps.|{@forever}])T"},

      {"learning_to_ride", "hero=child vehicle=bicycle parent=family friend=child place=outside",
       R"T(
{@intro} {hero} got a new {vehicle.full}. It was [big and shiny|bright and beautiful], and it had a
little bell. [Ring, ring!|] ["Now I can ride with {friend}!" {he} said.|{hero} could not wait to
ride it.] But riding was not easy. {He} sat down, pushed off, and fell [over to the left|into the
grass|with a bump].

["Everybody falls at first," said {parent}.|"I will hold you," said {parent}.] {parent} held the
seat and ran along behind {him}. [? They went up and down the path {place.in}.|They went around and
around {place.in}.] When {parent} let go, {hero} [fell again|went three feet and fell]. [? Now {his}
knee was red.|There was a hole in {his} pants.|{His} hands were dirty, and {his} elbow hurt.] ["I
hate this {vehicle.kind}!" {he} said.|"I will never learn it!" {he} cried.] {He} left it lying in
the grass and went away. {@sad}

{friend} came by and sat down with {him}. [falls: "Do you see this?" asked {friend}, and showed
{him} an old mark on {friend.his} knee. "I fell twenty times."|"I fell into a bush on my first day,"
said {friend}. "And into a pond on my second."] [falls: "Twenty times?" asked {hero}.|"Into a pond?"
asked {hero}, and {he} had to laugh.] [w: "Look far ahead and not down at your feet," said
{friend}.|"Do not stop pushing," said {friend}. "When you go fast, you do not fall."|"Sing a song
while you ride," said {friend}. "Then you forget to be afraid."] {@think} [falls: "How many times
did I fall?" {he} asked. "Six," said {parent}. "Then I have some left," said {hero}.|"One more
time," said {hero}.]

{hero} got on again. [w: {He} looked far ahead, at a big tree.|{He} pushed and pushed and did
not stop.|{He} began to sing, a bit too loud.] [{parent} ran behind {him}, and then {parent} ran
more slowly, and then {parent} stopped.|{He} did not even notice that {parent} had let go.] The
{vehicle.kind} went on all by itself! ["I am riding!" {he} shouted.|"Look at me! Look at me!"
{he} called.] [? The wind was in {his} hair.|{He} rang the bell for every bird.] {@proud} [?
After that, {hero} and {friend} rode everywhere together.|From that day on, you could hear the
bell all over the street.] [? You only lose when you stop trying.|Falling down is a part of
learning to ride.|And when a smaller child fell down, {hero} said, "I fell seven times. Keep
going."])T"},

      {"learning_to_read", "hero=child elder=elder teacher=teacher pet=pet gift=treasure", R"T(
{@intro} Every night, {elder} read to {him} from a big book. [{hero} loved the stories, but the
letters looked like ants.|"How do you know what it says?" asked {hero}.|{hero} looked at the black
marks and wondered.] At school, the others began to read, but {hero} could not. [? The letters
jumped around.|To {him}, a B looked just like a D.] [? Once somebody laughed when {he} read a word
wrong.|When it was {his} turn, {he} looked at the floor.] {@sad} ["I am not smart," {he}
said.|"Reading is not for me," {he} said.]

["You are very smart," said {teacher}. "Your eyes just need some time."|"Every flower opens on its
own day," said {teacher}.] [{teacher} thought for a moment. "Find a friend who listens and never
laughs, and read to that friend every day," {teacher.he} said.|{teacher} gave {him} a thin book to
take home. "Read it to someone who will not laugh," {teacher.he} said.] {hero} thought about it. Who
would never laugh? Then {he} knew. {He} went to {pet}, {elder}'s old {pet.kind}.

[{pet} lay down and put {pet.his} head on {his} knee.|{pet} sat down next to {him} and waited.]
{hero} opened the book and began. "The c-c-cat s-sat." ["{pet.Sound}," said {pet}, as if to say, "Go
on."|{pet} did not laugh. {pet} just listened.] [? It took all afternoon to read one page.|Some
words were very hard, but {he} took them letter by letter.] {He} did it the next day, and the next.
[2& The letters stopped jumping.|Soon {he} could read a whole line.|{He} used a stick to point at
each word.|{pet} liked the story about the fish the best.|When {he} got stuck, {he} found {gift.a}
to mark the place, and tried again later.]

One night, {elder} sat down to read, but [{elder.his} glasses were lost|{elder.his} eyes were
tired]. ["Oh dear," said {elder}. "No story tonight."|"I am sorry," said {elder}. "I cannot see
the words."] ["Then I will read to you," said {hero}.|"Give me the book," said {hero}.] And {he}
read, slowly and clearly, right to the end. {elder} [had tears in {elder.his} eyes|could not
believe it]. ["When did you learn that?" asked {elder}.|"Who taught you this?" asked {elder}.]
["{pet} helped me," said {hero}.|{hero} pointed at {pet}, who was fast asleep.] {@proud} [? A
friend who listens is a great help.|Now there was one more reader in the house, and many more
stories.|{hero} knew now that slow is not the same as never.])T"},

      {"music", "hero=child instrument=instrument neighbor=neighbor family=family pet=pet", R"T(
{@intro} {@oneday} {hero} found {instrument.a} [in the attic|in an old box]. ["May I keep it?" {he}
asked.|"Whose is this?" {he} asked.] ["It was mine when I was little," said {family}. "Now it is
yours."|"Nobody has played it for years," said {family}. "You may have it."] {hero} began to play.
"{instrument.Play}!" went the {instrument}. [It was not very nice.|It sounded like a sick goose.|It
sounded like a door that needs oil.]

{pet} the {pet.kind} [hid under the bed|ran out of the room|put {pet.his} paws over {pet.his} ears].
["Is something broken?" called {neighbor} over the fence.|"What is that noise?" called {neighbor}
through the wall.] {hero}'s cheeks turned red. [? {He} put the {instrument} back in its box.|{He}
did not want to play any more.] ["I am no good at it," {he} told {family}.|"It is too hard," {he}
said.] ["Nobody is good on the first day," said {family}. "Try one small song, a bit every
day."|"When a baby says its first word, it is not perfect either," said {family}. "But we are happy
to hear it."]

So {hero} tried. {He} took one small song and played it [every day after school|each evening, for as
long as it took a candle to grow a little shorter]. "{instrument.Play}." [On Monday it was bad. On
Tuesday it was a little less bad.|At first it was wrong, and then it was half wrong.] [2& {His}
fingers hurt, but {he} did not stop.|{He} listened very closely.|{He} counted with {his} foot, one,
two, three.|{He} played it slowly, and then a bit faster.] One day, {pet} did not run away. [? {pet}
came and lay down at {his} feet.|{pet} sat in the doorway and tilted {pet.his} head.] {hero} smiled
and went on.

[A few weeks later|When spring came], {neighbor} was [sick|sad], and all the windows were
closed. {hero} sat down on the steps and played the small song from the start to the end,
without one mistake. A window opened. ["Who is playing so well?" asked {neighbor}.|"Please, play
it again," said {neighbor}.] ["It is me," said {hero}.|"It is only me and my {instrument}," said
{hero}.] [? {neighbor} came out and clapped.|{neighbor} began to hum, and then to sing.]
{@proud} ["Your noise has turned into music," said {neighbor}.|"You have made my day bright,"
said {neighbor}.] [? Little by little, noise becomes a song.|{hero} bowed, and {pet} said,
"{pet.Sound}."|Now {hero} plays every Sunday, and all the windows on the street are open.])T"},

      {"school_play", "hero=child friend=child teacher=teacher thing=cloak parent=parent", R"T(
{@intro} {His} class was going to put on a play. [{hero} hoped to be the {hero.king}.|{hero} wanted
the biggest part of all.|{hero} dreamed of wearing a crown.] But {teacher} gave that part to
{friend}. ["You will be a tree," {teacher} told {him}.|"And you, {hero}, will be the tree," said
{teacher}.] A tree! [? A tree has nothing to say.|A tree only stands there.] {@sad} ["I do not want
to be a tree," {he} told {parent}.|"It is the smallest part in the play," {he} said at home.] ["A
forest is made of trees," said {parent}. "Be the best tree you can be."|"There are no small parts,"
said {parent}. "Stand tall and keep your eyes open."]

So {hero} practiced. [? {He} stood still for ten minutes, even when {his} nose itched.|{He} learned
how trees move in the wind.] [{He} made leaves out of green paper.|{parent} made {him} a coat of
brown paper.] And because {he} had nothing to say, {he} listened, and soon {he} knew all the words
of the whole play.

The big night came. [? All the seats were full.|The room was dark and full of people.] {friend}
stepped out in a crown and {thing.a}. {friend} opened {friend.his} mouth, and nothing came out.
[{friend} had forgotten every word!|{friend.His} face turned white.] [? It was so quiet that you
could hear the clock.|Everybody waited.] {friend} looked around with big eyes. [The tree was
standing right behind {friend.him}.|And who stood right behind? The tree!] {hero} leaned over, just
like a tree in the wind, and whispered the first words. ["My good people..." said {friend}.|{friend}
heard it and took a breath.] And then the words came back, and {friend} did not forget any more.

At the end, everybody clapped and clapped. {friend} took {hero}'s hand and pulled {him} to the
front. ["This tree saved the play!" said {friend}.|"Please clap for the tree," said {friend},
"because without it, I would still be standing there."] [? And they clapped even
louder.|{parent} stood up and shouted, "Hooray for the tree!"] {friend} put the {thing} around
{hero}'s paper branches. {@proud} [{hero} never again thought that a part was too small.|It does
not matter how big your part is, but how well you play it.|"Next year," said {hero}, "I want to
be a rock."])T"},

      {"tying_shoes", "hero=child friend=child elder=elder place=trip", R"T(
{@intro} {hero} had new shoes with long, white laces. [But {he} did not know how to tie them.|"Can
you tie them for me?" {he} asked, ten times a day.] Somebody always had to help. [{friend} could tie
{friend.his} own shoes already.|"I can do it with my eyes closed," said {friend}.] {@oneday} the
class went {place.to}, and {hero}'s laces [came undone|were loose]. {hero} did not want to ask in
front of everyone. [? {He} put the ends into {his} shoes.|{He} tied a big, fat knot.] Then {he}
stepped on a lace, and down {he} went. Bump! {@sad}

At home, {hero} sat down on {elder}'s lap. ["Teach me, please," {he} said.|"I want to learn it
today," {he} said.] {elder} took [a long piece of string|an old shoelace|the belt of a coat]. [w:
"Make two ears, like a rabbit," said {elder}. "Cross the ears. One ear goes into the hole, and then
pull."|"Here is a tree," said {elder}. "The squirrel runs around the tree, goes into the hole, and
comes out on the other side."|"Make a bridge," said {elder}. "The train goes around the hill,
through the tunnel, and out again. Choo, choo!"] {hero} tried. [w: One ear fell off.|The squirrel
fell out of the tree.|The train got stuck in the tunnel.] [? It was just a knot again.|It all came
apart.]

{@tryagain} [{He} tried at breakfast. {He} tried in the bath. {He} tried in bed.|{He} tied
everything in the house: the chair, the spoon, even {elder}'s big toe.] "[w: Two ears, cross them,
into the hole, and pull|Around the tree, into the hole, and out|Around the hill, through the tunnel,
and out]," {he} said again and again. [One evening|On the third day], {he} pulled, and it held. It
was a bow! [? A small, crooked, lovely bow.|It was a little crooked, but it was a bow.] ["I did it!
I did it!" {he} shouted.|{@happy}] ["Look at that!" said {elder}. "Your shoes are proud of
you."|{elder} clapped until {elder.his} hands were red.]

The next day at school, {hero} saw a small child with open laces. [? The child was trying not to
cry.|"I do not know how," the child whispered.] {hero} knelt down. ["It is easy," {he} said.
"[w: Make two ears, like a rabbit|There is a squirrel, and it runs around the tree|There is a
train, and it goes around the hill]."|"I will show you a trick," {he} said. "[w: First, you need
a rabbit|First, you need a squirrel|First, you need a train]."] [? {friend} watched and
smiled.|And {friend} said, "You are a good teacher."] [When you learn a thing, you can give it
away and still keep it.|{@proud}|It is good to learn, and even better to teach.])T"},

      {"counting_stars", "hero=child elder=family friend=child treat=treat", R"T(
{@intro} {He} had just learned to count. [? {He} counted spoons. {He} counted stairs. {He} counted
peas.|All day long, {he} counted everything: steps, birds and buttons.] ["I can count everything in
the world," {he} said.|"There is nothing that I cannot count," {he} told {friend}.] ["Can you count
the stars?" asked {friend}.|"Then count the stars," said {friend}.] "Of course I can," said {hero}.

{@evening} {hero} sat down [in the grass|on the steps] with {elder} and began. "One, two, three,
four..." [? A cloud came, and some stars went away.|Every time {he} blinked, there were more of
them.] At forty, {he} [lost {his} place|forgot which ones {he} had counted]. ["I must start again,"
{he} said.|"One, two, three..." {he} began again.] At sixty, {he} [had to yawn|saw a bat and forgot
the number]. [? Again and again {he} tried.|{He} tried from the left side, and then from the right.]
["They will not stand still!" {he} said.|"There are too many," {he} said, and {he} was close to
tears.]

["Shall I tell you a secret?" asked {elder}. "Nobody has ever counted them all."|"Even the wisest
people cannot count them," said {elder}.] ["Nobody?" asked {hero}.|{hero} looked up. "Not even you?"
{he} asked.] "[Nobody|Not even me]," said {elder}. ["Some things are there to be counted, and some
are there to be looked at."|"But you can count the ones that you love best."] {hero} was quiet.
[Then {he} lay down on {his} back and just looked.|Then {he} leaned on {elder} and looked up.] [?
The sky was so wide and so full of light.|The stars winked at {him}, first one and then another.]
{He} felt very small, and very safe.

The next day, {friend} asked, ["How many stars are there?"|"Well? How many did you count?"]
["Enough for everyone," said {hero}.|"I stopped counting," said {hero}, "because they were too
pretty."] Then {he} took {treat.a} out of {his} bag. ["But I can count this," {he} said. "One
{treat}, two friends. So each gets a half."|"Here is something I can count," {he} said. "Half
for you, and half for me."] [? And that was just right.|That night, they looked at the stars
together.] [You do not have to count a thing to love it.|Sometimes it is better to look than to
count.|{@forever}])T"},

      {"first_day", "hero=child friend=child parent=parent toy=toy teacher=teacher", R"T(
{@intro} Tomorrow was {his} first day of school. [? {hero} had a new bag and a new pencil.|{His} new
bag stood ready by the door.] But {hero} [could not sleep|had a funny feeling in {his} tummy].
[fear: "What if nobody likes me?" {he} asked {parent}.|"What if I get lost?" {he} asked
{parent}.|"What if I have to go to the bathroom?" {he} asked {parent}.] [fear: "Everybody there will
be new, just like you," said {parent}. "They all want a friend."|"Then you ask for help," said
{parent}. "That is what teachers are for."|"Then you tell the teacher," said {parent}. "Teachers
know all about that."] ["May I take my {toy}?" asked {hero}. "It can ride in your bag," said
{parent}.|{parent} put {his} {toy.full} into the bag. "Now you will not be alone," {parent} said.]

In the morning they walked to school, hand in hand. [? The door was big and green.|There were so
many children.|It was very loud.] {hero} held {parent}'s hand tighter and tighter. ["Good morning,
{hero}," said {teacher}. "We have been waiting for you."|{teacher} bent down and smiled. "Hello,
{hero}. I am {teacher}," {teacher.he} said.] [? Then it was time to say good-bye.|{parent} gave
{him} a kiss and went to the door.] {@scared} {hero} put {his} hand into the bag and felt the {toy}.
[? That helped a little.|It was still there, and that was good.]

Then {hero} heard a sniff. Next to {him} stood a {friend.boy} [with wet cheeks|who was crying very
quietly]. ["I want to go home," said the {friend.boy}.|"I do not know anyone," said the
{friend.boy}.] {hero} forgot about {his} own tummy. ["Do you want to see what is in my bag?" {he}
asked.|"I have a secret," {he} whispered. "Look."] {He} took out the {toy}. ["This is my {toy}. It
is a bit scared today," said {hero}. "Can you help me hold it?"|"It is its first day too," said
{hero}. "Will you be its friend?"] The {friend.boy} [wiped {friend.his} nose and nodded|stopped
crying]. ["I am {friend}," {friend.he} said.|"All right," {friend.he} said. "My name is {friend}."]

[They sat down side by side, with the {toy} in the middle.|So the {toy} sat between them all
day.] [2& They painted a picture with their fingers.|They sang a song about a bear.|They built a
road of blocks.|They ate their apples together.|They listened to a story.] When {parent} came
back, {hero} [did not want to go home|was in the middle of a game]. ["Already?" {he} asked.|"Can
I come back tomorrow?" {he} asked.] ["How was it?" asked {parent}. "The {toy} was scared," said
{hero}, "but we took good care of it."|"Were you afraid?" asked {parent}. "Only until I met
{friend}," said {hero}.] [When you help someone be brave, you become brave
too.|{@bedtime}|{@friends_end}])T"},
  };
  return plots;
}

}  // namespace xlstm::data
