// Plots that happen outside, in all weathers.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<Plot>& outdoor_plots() {
  static const std::vector<Plot> plots = {
      {"kite_in_a_tree", "hero=child kite=kite friend=child helper=neighbor place=outside", R"T(
{@intro} {hero} had {kite.a}. [? {He} had made it all by {himself}.|It was a gift from {his}
grandma.|It was the thing {he} loved best.]

{@sunny} {hero} took the {kite} {place.to}. [? The wind was strong and warm.|A good wind was
blowing.] The {kite} [went up, up, up|danced in the air|flew higher than the houses]. [? "Look at it
go!" {he} shouted.|{hero} ran and laughed.] Then the wind turned, and the {kite} flew right into a
tall tree. [? It was stuck.|There it hung, high up between the leaves.] {@sad}

[1& {hero} jumped, but {he} was much too small.|{hero} threw a stick at it, but the stick got stuck
too.|{hero} shook the tree, but only leaves came down.] Just then {friend} came by. ["What are you
looking at?" asked {friend}.|"Do you need help?" asked {friend}.] {hero} pointed up. ["My {kite} is
in the tree," said {hero}.|"My {kite} went up, but it will not come down," said {hero}.] [? {hero}
stood on {friend}'s shoulders, but it was still too high.|{friend} tried to climb, but the branches
were too thin.|They called to the wind to blow it down, but the wind did not listen.] ["We need
somebody taller," said {friend}.|"We need a ladder," said {hero}.]

So they went to {helper}, who [had a long ladder|had a garden next door with a long ladder|was
painting the fence and had a ladder]. ["Please, can you help us?" they asked.|They asked as nicely
as they could.] {helper} [carried the ladder to the tree|laughed and came along], climbed up, and
took the {kite} down. [? It had only one small hole.|It was not even torn.|There were two leaves on
it, but it was fine.] ["Thank you so much!" said {hero}.|"Thank you, thank you!" said {hero} and
{friend}.] {@happy}

[Then {hero} gave {friend} the first turn.|"Now you hold it," {hero} said to {friend}.|All
afternoon, the two of them took turns.] [? They stayed far away from the trees.|This time they
went to the middle, where there were no trees.] And [high above them, the {kite} danced with the
clouds|the {kite} flew until the sun went down]. [When a thing is too high for one, ask a
friend.|It is good to ask for help.|{@forever}])T"},

      {"rain_and_puddles", "hero=child friend=child thing=keepsake parent=parent bug=bug", R"T(
{@intro} {hero} wanted to [play in the yard|go to the park|ride {his} bike], but when {he} woke up,
it was raining. [? Plip, plop, plip!|The rain ran down the window.|The sky was gray from one side to
the other.] ["Bad rain!" said {hero}.|"Go away, rain," said {hero}.|"Now the day is spoiled," said
{hero}.] {He} sat by the window [with {his} chin on {his} hands|and did not want to play inside].

[Then {hero} saw {friend} out on the street.|Then there was a knock, and there stood {friend}.]
{friend} had big boots and [a big smile|wet hair]. ["Come out!" called {friend}. "It is the best day
for puddles!"|"Why are you inside?" asked {friend}. "The puddles are as big as lakes today!"] {hero}
looked at {parent}. ["Put on your boots and your {thing.full}," said {parent}.|"Go on," said
{parent}, and held out {his} {thing.full}. "A little rain never hurt anyone."]

[Splash! {hero} jumped into the first puddle.|{hero} put one foot into a puddle. Then {he} jumped
with both feet. Splash!] [2& They made boats out of leaves.|They caught the rain on their
tongues.|They sang as loud as they could.|They built a dam of mud and stones.|They jumped until the
puddles were empty.] Then {hero} saw {bug.a} [on a leaf in the middle of a puddle|on a little stick,
with water all around it]. It [could not get out|was in trouble]. [? "Oh no, it cannot swim," said
{friend}.|"It needs a bridge," said {hero}.] {hero} [laid a long stick over the water|held out a
leaf], and the {bug} [climbed onto it|came across], step by step, until it was safe.

[Just then the rain stopped|At last the sun came out], and there was a rainbow [over the
roofs|from one end of the town to the other]. ["Look!" said {friend}. "The rain made that."|"No
rain, no rainbow," said {friend}.] {hero} went home [wet and muddy|with water in {his}
boots|with a red nose] and very happy. ["How was the bad rain?" asked {parent}. "It was a good
rain after all," said {hero}.|"I hope it rains tomorrow too!" {he} told {parent}.|{hero} learned
that a gray day can be full of fun.])T"},

      {"planting_a_seed", "hero=child seed=seed elder=elder friend=child", R"T(
{@intro} {@oneday} {elder} gave {hero} {seed.a}. ["It looks like nothing," said {hero}.|"What does
it do?" asked {hero}.|"It is so small," said {hero}.] ["Wait and see," said {elder}.|"There is a
surprise sleeping inside," said {elder}.|"Put it in the ground, and you will see," said {elder}.]

{hero} dug a little hole in the garden, [put the {seed} in|laid the {seed} inside], and covered it
with soft earth. Then {he} gave it some water. [The next morning|When {he} woke up the next day],
{hero} ran out to look. There was [nothing|only brown earth]. {He} looked the day after, and the day
after that. Still nothing! [? "Maybe it is asleep," {he} said.|"Grow!" {he} told it, but it did not
grow.|{hero} wanted to dig it up, just to take a look.] {friend} came by and said, ["Nothing will
grow there."|"I think it is broken."|"Why do you water dirt?"] {@sad}

["It is working, down in the dark, where you cannot see it," said {elder}.|"A seed has its own
clock," said {elder}.|"Do not give up," said {elder}. "Good things grow slowly."] So {hero} [watered
it every day|brought it water every morning|kept on caring for it]. [? {He} sang to it.|{He} pulled
out the weeds.| {He} told it about {his} day.|When the sun was too hot, {he} gave it some shade.]
Then, one morning, there was [a tiny green tip|a little green leaf, as small as a fingernail]! ["It
woke up!" {he} cried.|"Hello, little one!" {he} whispered.] {@happy}

[Week after week|Day after day], it grew taller and taller, until it was a fine {seed.plant}.
{friend} came to see it and said, ["I was wrong. It is beautiful!"|"Wow! How did you do that?"]
["I waited," said {hero}, "and I gave it water."|"I just did not stop," said {hero}.] Then
{hero} gave {friend} a {seed} too. [Soon there were two gardens on the street.|"You have to be
patient," {hero} said. "There is a surprise inside."] [? Little by little, small things become
big.|{elder} smiled, because not only the plant had grown.|{hero} learned to wait, and that is
not easy to learn.])T"},

      {"snowman", "hero=child friend=child thing=keepsake parent=parent badge=treasure", R"T(
{@intro} {@cold} {hero} looked out of the window. [? Everything was white!|Snow lay on the roofs,
the cars and the trees.|It had snowed all night long.] ["Snow! Snow!" {he} shouted.|{He} put on
{his} boots so fast that they were on the wrong feet.]

{hero} and {friend} rolled a big ball of snow, and then a smaller one, and then a [very small
one|head]. [Soon they had a snowman.|They put them on top of each other, and there was a snowman.]
They gave him [two stones|two bits of coal] for eyes, a carrot for a nose and {badge.a} to wear on
his chest. [? "He looks happy," said {friend}.|"He looks like my uncle," said {friend}.] ["But he
looks cold," said {hero}.|"But I think that he is cold," said {hero}.] So {hero} took off {his}
{thing.full} and gave it to the snowman. [? "Now he is warm," {he} said.|"He needs it more than I
do," {he} said.]

At night the wind [howled|blew hard], and {hero} could not sleep. [{He} thought about the snowman,
all alone out there.|"Is he lonely?" {he} asked {parent}.] ["Snowmen love the cold," said {parent}.
"It is what they are made of."|"He is watching the stars," said {parent}.] The next day, {hero} and
{friend} built [a snow dog|a snow cat|a little snow boy] next to him, so that he would not be alone.

Then the days grew warm. [? Drip, drip, drip.|Every day the snowman was a little smaller.] One
morning, he was gone. [There was only a puddle and a carrot.|Only the {thing}, the carrot and
the {badge} were left.] {@sad} [? "He did not even say good-bye," said {hero}.|"I miss him,"
said {hero}.] {parent} put an arm around {him}. ["He went into the ground, to help the flowers,"
said {parent}. "And next winter, he will come back."|"He is in the river now, and then in the
clouds," said {parent}, "and one day he will fall as snow again."] {hero} picked up the {thing}
and the {badge}. ["Then I will keep these for him," {he} said.|"See you next winter," {he}
whispered.] [And when the first spring flower came up just there, {hero} said hello to
it.|{friend} took {his} hand, and they went to look for the first flower.|And you can guess what
{hero} did when the next snow fell.])T"},

      {"river_boat", "hero=child boat=toy friend=child water=water treasure=treasure", R"T(
{@intro} {@sunny} {hero} and {friend} [went to play|took a walk|had a picnic] {water.in}. {hero}
[built a little boat|made a little boat] out of [a piece of wood and a leaf|bark and a stick|an old
box], and {he} put {his} {boat.full} on it as the captain. [? "Sail away, captain!" {he} said.|"Have
a good trip, captain!" said {friend}.] The boat [rocked on the water|sailed along very well|turned
around once and set off].

But then [the wind pushed it away from the shore|a little wave carried it off]. [Farther and farther
it went.|It went too far to reach.] ["Come back!" cried {hero}.|"My {boat}! It is floating away!"
cried {hero}.] [{hero} wanted to run into the water.|{hero} took a step into the water.] ["No,
wait!" said {friend}. "It is too deep."|{friend} held on to {his} sleeve. "Stop! The water is deep
there," {friend.he} said.] {@sad}

{@think} [w: "We need a long stick," said {hero}.|"What if we make waves?" said {friend}.|"Let us
run ahead of it," said {hero}.] [w: They found the longest stick they could, but the boat was just
out of reach.|They threw stones to make waves, but the waves went the wrong way.|They ran along the
shore, over roots and stones, but the boat was faster.] Then they saw [an old fallen tree that lay
over the water|a small wooden bridge]. [? "Over there!" said {friend}.|"Quick!" said {hero}.] {hero}
lay down flat, and {friend} held {his} feet. The boat came nearer and nearer. [{hero} reached out
and caught it!|Just as it went by, {hero} grabbed it!]

[The captain was wet|The {boat} was dripping wet], but safe. ["Thank you for holding me," {hero}
said.|"I could not do it without you," said {hero}.] {@happy} On the way home, they [tied a long
string to the boat|put the boat on a long string], so that it could never sail away again.
{hero} gave {friend} {treasure.a} that {he} had found [in the sand|between the stones]. [? "For
the bravest sailor," {he} said.|"This is for saving me and the captain," {he} said.]
{@friends_end})T"},

      {"sandcastle", "hero=child friend=child pet=pet treasure=treasure parent=parent", R"T(
{@intro} {@sunny} {hero} went to the beach with {parent} and {pet} the {pet.kind}. {hero} built a
castle in the sand. [? It had four towers and a gate.|It had a tall tower and a deep ditch around
it.|It was as high as {his} knees.] On the top {he} put {treasure.a}. [? "It is the finest castle in
the world," {he} said.|"Nobody may touch it," {he} said.]

A {friend.boy} with a [bucket: red|blue|green] bucket came by. [{friend.His} name was {friend}.|"I
am {friend}," said the {friend.boy}.] ["Can I help you?" asked {friend}.|"May I build too?" asked
{friend}.] ["No," said {hero}. "It is mine, and it is done."|"No, you might break it," said {hero}.]
{friend} [walked away and sat alone|looked sad and went away]. Then [a big wave came|{pet} ran after
a gull, right through the castle|{pet} began to dig, right under the castle]. [? Splash!|Oh no!] The
castle was [gone|flat]. {@sad}

[{hero} looked for the {treasure}, but it was under the sand.|Even the {treasure} was gone.] [?
{pet} gave {him} a wet kiss, but it did not help.|"You can build another," said {parent}. But {hero}
was too tired to start again alone.] Then somebody held out a [bucket: red|blue|green] bucket. It
was {friend}. ["I am good at digging," said {friend}.|"Two can build faster," said {friend}.] {hero}
felt [bad|a little ashamed]. ["I was not nice to you," {he} said. "I am sorry."|"I am sorry I said
no," {he} said.] ["That is all right," said {friend}.|"I know how it feels when a castle falls,"
said {friend}.]

So they began. [2& {friend} dug a deep ditch to stop the waves.|{hero} made a wall of
stones.|They built a bridge out of a stick.|They made a road with shells on both sides.|{friend}
made a tower that was taller than {pet}.] And as they dug, they found the {treasure}! ["You put
it on the top," said {hero}.|"Let us both put it on the top," said {hero}.] [? The new castle
was twice as big as the old one.|This castle was strong. When a wave came, it did not fall.]
{pet} [barked at the waves|sat in front of it like a guard|slept in the shade of the tower].
[{hero} found that it is more fun to build with a friend.|When they went home, {hero} and
{friend} waved to each other for a long time.|"Will you come back tomorrow?" asked {hero}.
"Yes!" said {friend}.])T"},

      {"camping", "hero=child elder=family pet=pet thing=toy nature=nature", R"T(
{@intro} {@oneday} {he} went camping in the {nature} with {elder} and {pet} the {pet.kind}. [? They
put up a small tent.|They carried a tent, two blankets and a pot.] [{hero} brought {his}
{thing.full} too.|{hero} put {his} {thing.full} in the tent first of all.] They [cooked beans over a
fire|ate bread and cheese|roasted apples], and [the smoke smelled sweet|the sparks flew up like tiny
stars].

When it grew dark, it was time to sleep. {elder} began to snore. [? Snore, snore!|"Hrrr, hrrr!"] But
{hero} lay awake. [? It was so quiet and so big outside.|There was no lamp, no wall, no door.|"I
miss my bed," {he} thought.] {He} reached for {pet}, but {pet} was not there! {@scared} ["{pet}?"
{he} whispered.|"{elder}, {pet} is gone!" {he} said.] {elder} woke up and took the flashlight. ["We
will look together," said {elder}.|"Stay close to me," said {elder}.]

They [looked behind the bushes|called {pet.his} name]. [? An owl called back. Hoo, hoo!|Only the
crickets sang.] They walked [to the stream|around the tent|along the path], step by step. [? {hero}
was afraid, but {he} was more worried about {pet}.|"I must be brave for {pet}," thought {hero}.]
Then they heard a soft "{pet.sound}." [And there sat {pet} on a big rock|And there was {pet}, on top
of a little hill], looking up. {hero} looked up too. ["Oh!" {he} said.|And then {he} forgot to be
afraid.] The sky was full of stars, [more than {he} could ever count|thousands and thousands of
them|as if somebody had spilled sugar].

["{pet} wanted to show us," said {hero}.|"In town, the lamps hide them," said {elder}.|"They are
there every night," said {elder}, "but we forget to look."] They sat down all together, with the
blanket around them, and [counted the stars|gave names to the stars|looked for pictures in the
stars]. [? {hero} saw a shooting star and made a wish.|"That one looks like my {thing}," said
{hero}.] [Soon {he} fell asleep, right there, with {pet} warm beside {him}.|{hero} was not
afraid of the big night any more.|In the morning, {hero} said, "Can we stay one more night?"])T"},

      {"picnic", "hero=child friend=child treat=treat fruit=fruit bug=bug nature=nature", R"T(
{@intro} {@sunny} {hero} and {his} friend {friend} wanted to have a picnic in the {nature}. {hero}
[packed the basket|filled a basket]. In went {treat.a}, {fruit.a}, [some cheese|a bottle of juice]
and a blanket. [? "Do not forget the cups," said {friend}.|"I am hungry already," said {friend}.]

They walked [up a hill and over a bridge|along a winding path] until they found the right place, [in
the shade of an old oak|between the yellow flowers]. They put down the basket and [ran off to roll
down the hill|went to pick flowers|chased each other around]. When they came back, the basket was
open, and the {treat} was gone! ["Who took it?" asked {hero}.|"Our {treat}!" cried {hero}.] [blame:
"I did not take it," said {friend}.|{friend} looked at {hero}. "Did you eat it?" {friend.he} asked.]
[blame: "Maybe you did," said {hero}.|"No! Did you?" said {hero}.] [? They turned their backs to
each other.|They almost had a fight.]

Then {hero} saw {bug.a} [with a crumb on its back|next to a crumb]. ["Look!" said {hero}. "Here is a
clue."| "Wait, look at that," said {hero}.] There was another crumb, and another. [They followed the
crumbs on their hands and knees.|They went from crumb to crumb, very quietly.] The crumbs led
[around the tree|through the grass], under a bush, to a small hole. And there sat [a mother mouse
with five little ones|a family of mice], eating the {treat}. [? They had crumbs on their
whiskers.|One of them was asleep in the middle of it.]

["They look so hungry," whispered {friend}.|"They needed lunch too," whispered {hero}.] [Nobody
was angry any more.|They both had to smile.] [w: "I am sorry I thought it was you," said
{friend}.|"I am sorry that I blamed you," {hero} said.] "Me too," said [w: {hero}|{friend}]. So
they shared the {fruit}, half and half. [? It was the sweetest {fruit} they ever ate.|It was
sweet, and the juice ran down their chins.] [? Before they went home, they left the last bite
for the mice.|"Next time, we will bring two of everything," said {hero}, "and some for the
mice."] [It is wise to look for the truth before you blame a friend.|And they went home hand in
hand.|])T"},

      {"runaway_hat", "hero=child thing=windy animal=farm neighbor=neighbor elder=elder", R"T(
{@intro} {elder} had made {him} {thing.a}. [? {hero} wore it everywhere, even in bed.|It was soft,
and it smelled like {elder}.|It was the only one like it in the world.]

{@oneday} {hero} walked [to the top of a windy hill|along the road to the farm|over the windy
field]. The wind blew [harder and harder|and blew]. Whoosh! It took the {thing} right out of {his}
hands. ["Hey! Give that back!" {he} shouted.|"Stop, wind!" {he} cried.] The {thing}
[rolled|flew|tumbled] away over the grass. {hero} ran after it. [? Every time {he} came near, it
flew off again.|{He} almost had it, and then it was gone again.] It flew over a fence [and into a
yard|and across a brook], and {he} could not see it any more. {@sad}

{hero} met {neighbor}. ["Did you see {thing.a}?" {he} asked.|"Please, did my {thing} come this way?"
{he} asked.] ["I saw something fly to the barn," said {neighbor}.|"Something went by very fast,"
said {neighbor}. "Try the barn."] So {hero} went to the barn. There stood {animal.a}, and it was
chewing. ["Oh no!" thought {hero}. "Did you eat my {thing}?"|{@scared} "Are you eating my {thing}?"
{he} asked.] [? "{animal.Sound}," said the {animal}.|The {animal} looked at {him} with big calm
eyes.]

But the {animal} was only eating {animal.food}. [Then it turned around, and there was the
{thing}, hanging on its tail!|Then {hero} saw that the {animal} was lying on something. It was
the {thing}!|Then it moved a little to the side. The {thing} was lying in the hay behind it!]
{hero} began to laugh. ["You kept it warm for me," {he} said.|"You look very nice, but that is
mine," {he} said.] {He} gave the {animal} [a pat on the neck|some more {animal.food}] and took
the {thing} back. {@happy} [? {elder} sewed a button on it, so that the wind could not steal it
again.|After that, {hero} held on to it with both hands on windy days.|And whenever {he} passed
the barn, {hero} waved to the {animal}.] [? It was a good thing that {he} had not given
up.|{@bedtime}])T"},

      {"steep_hill", "hero=child friend=child vehicle=vehicle parent=family place=nature", R"T(
{@intro} {His} {vehicle.full} was the fastest in the whole street. [? {He} had painted it
{himself}.|{He} cleaned it every evening.]

{@oneday} {hero} and {friend} went to the big hill [near the {place}|behind the school]. [? It was
so high that the houses looked like toys.|It was the highest hill around.] ["I am not afraid," said
{hero}.|"I can go down faster than anyone," said {hero}.] ["I think we should start halfway," said
{friend}.|"It looks steep," said {friend}. "Maybe we should start lower."] ["You are just scared,"
said {hero}.|{hero} laughed. "Starting low is for babies," {he} said.] {friend} said nothing and
went to the middle of the hill.

{hero} sat on the {vehicle} at the very top, and off {he} went. [? Faster and faster!|The wind
screamed in {his} ears.] {@scared} [? {He} could not stop.|{He} forgot how to steer.] [There was a
bump, and {he} flew through the air.|The {vehicle} hit a root and turned over.] [Plop! {He} landed
in a bush.|Bump! {He} landed in a heap of leaves.|Down {he} fell, right into a hedge.] {friend} came
running. ["Are you hurt?" asked {friend}.|"{hero}! Can you move?" called {friend}.] {hero} had [a
scratch on {his} knee|a leaf in {his} mouth|a bump on {his} head] and tears in {his} eyes. [The
{vehicle} had a bent corner.|]

["You were right," said {hero}. "I was not brave. I was silly."|"I should have listened to you,"
said {hero}.] {friend} [helped {him} up|cleaned {his} knee]. ["I was scared at the top too,"
said {friend}. "That is how I knew it was too high."|"Being scared is not bad," said {friend}.
"It tells you to be careful."] [Then they started from halfway, one after the other.|They went
to the middle of the hill and tried from there.] [? It was fast, but not too fast.|{hero} could
steer, and {he} laughed all the way down.] Each time, they went up a little higher. [At the end
of the day, they came down from the very top, together, and did not fall.|Before the sun set,
{hero} could ride from the top, and {he} knew how to stop.] ["Step by step," said {hero}.|{hero}
learned that it is smart to start small.|"How was it?" asked {parent} at home. "Ask {friend},"
said {hero}. "{friend} is the wise one."])T"},

      {"tall_tree", "hero=child friend=child pet=pet parent=parent fruit=fruit", R"T(
{@intro} In {his} garden stood a big, old tree[ with low branches|]. [? It was good for
climbing.|{hero} liked to sit under it.|The birds sang in it every morning.] "[You may climb to the
third branch|You may climb as high as my head], but not higher," said {parent}.

{@sunny} {hero} sat on a branch with {fruit.a}. [? {friend} stood below.|{friend} sat on the grass
and looked up.] [dare: "I bet you cannot climb to the top," said {friend}.|"What can you see from up
there?" asked {friend}.] [{hero} forgot what {parent} had said.|{hero} looked up. It did not look so
far.] {He} climbed [higher and higher|one branch, and another, and another]. Soon {he} could see
[the roof|the whole town|the river, as thin as a ribbon]. [? "I am taller than a giant!" {he}
called.|"I can see everything!" {he} called.] Then {he} looked down. [? The ground was so far
away.|{friend} was as small as a doll.] {@scared} ["I cannot come down!" {he} cried.|{He} held on to
the tree and could not move.]

{pet} the {pet.kind} ran around the tree and called, "{pet.Sound}, {pet.sound}!" [{friend} ran to
get {parent}.|"I will get help!" said {friend}, and ran as fast as {friend.he} could.] {parent} came
and looked up. {parent} was not angry. ["Do not look down. Look at your hands," said {parent}.|"Hold
on tight and listen to me," said {parent}.] {hero} nodded. ["Now put your left foot on the branch
below," said {parent}. "Good. Now the other foot."|"There is a branch just under your foot," said
{parent}. "Feel it? Good. Now the next one."] [Slowly, very slowly, {hero} came down.|Branch by
branch, {hero} came down.] [? It took a long time.|{pet} watched every step.]

[At last {he} fell into {parent}'s arms.|At last {his} feet touched the grass.] ["I went too
high. I am sorry," said {hero}.|"I forgot the rule," said {hero}. "I am sorry."] [dare: "I
should not have said that you cannot do it," said {friend}.|"It was my fault too," said
{friend}.] ["Now you know why we have the rule," said {parent}.|"The tree will wait until you
are bigger," said {parent}.] [{hero} shared the {fruit} with {friend}, safe on the lowest
branch.|Then all three sat in the grass, and {pet} went to sleep on {hero}'s feet.] [? And the
third branch, {hero} found, was high enough.|{hero} learned that rules can keep us safe.| From
there, the view was very nice too.])T"},
  };
  return plots;
}

}  // namespace xlstm::data
