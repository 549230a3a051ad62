// Plots that happen at home.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<Plot>& home_plots() {
  static const std::vector<Plot> plots = {
      {"lost_toy", "hero=child toy=toy spot1=hiding spot2=hiding spot3=hiding parent=family", R"T(
{@intro} {hero} had {toy.a} that {he} [took everywhere|loved more than anything|played with every
day|got for {his} birthday].

{@oneday} {hero} [could not find the {toy}|looked around and the {toy} was gone|woke up and the
{toy} was not there]. [{@sad}|"Where is my {toy}?" {he} cried.|"Oh no! My {toy} is lost!" {he}
said.] [{hero} looked {spot1.under}, but [it was not there|there was only dust|all {he} found was an
old sock].|First, {he} looked {spot1.under}. No {toy}!] [Then {he} looked {spot2.under}. [It was not
there either|Still no {toy}|There was nothing but a lost crayon].|{He} looked {spot2.under} too, but
the {toy} was not there.]

["What is the matter?" asked {parent}.|{parent} saw {his} sad face. "What is wrong?" {parent}
asked.|{hero} ran to {parent} and told {parent.him} what had happened.] ["I lost my {toy}," said
{hero}.|"I have looked for my {toy} everywhere," said {hero}.] ["Let us think," said {parent}.
"Where did you play with it last?"|"When did you see it last?" asked {parent} [in a gentle
voice|softly].| "Close your eyes," said {parent}. "Where did you have it last?"]

{@think} ["I know!" {he} said.|Then {he} jumped up. "I remember now!"|All at once, {he} knew.]
{hero} [ran|hurried|rushed] to look {spot3.under}. [And there it was!|There was the {toy}!|There it
sat, as if it had been waiting.] {@happy} ["I will never lose you again," {he} told the {toy}.|{He}
gave the {toy} a big hug.|"Thank you for helping me think," {he} said to {parent}.]

[From then on, {hero} put the {toy} [in the same place every night|next to {his} pillow before
bed|back on the shelf after every game].|{hero} learned that [it helps to stop and think|a calm
head finds more than a worried one].|{@bedtime}])T"},

      {"afraid_of_the_dark", "hero=child toy=toy parent=parent", R"T(
{@intro} {hero} was [brave in the daytime|not afraid of dogs or big slides|happy all day long], but
at night {he} was [afraid of the dark|scared of the dark].

{@evening} {parent} turned off the light. [? The room was as black as ink.|It was very dark.|The
room looked strange and still.] {hero} saw [a tall shape in the corner|a big shape by the
door|something with long arms near the window]. {@scared} ["{parent}! Come quickly!" {he}
called.|"{parent}! There is a monster in my room!" {he} shouted.|"Help!" {he} called in a small
voice.]

{parent} came [right away|in with soft steps|and sat on the bed]. ["Tell me what you see," {parent}
said.|"Where is it?" asked {parent}.] {hero} pointed with [a shaking|one small] finger. ["Let us
look at it together," said {parent}.|"Shall we say hello to it?" asked {parent}.] {parent} turned on
the little lamp. It was not a monster at all. It was [{his} coat, [hanging on a hook|hanging on the
door]!|{his} own chair with a heap of clothes on it!| {his} {toy}, sitting on top of a box!] {hero}
[laughed|giggled|let out a long breath and laughed]. ["A thing looks bigger when we cannot see it
well," said {parent}.|"The dark only hides things," said {parent}. "It does not change them."|"The
room is the same at night," said {parent}. "It is just sleeping too."]

[? Then {parent} gave {hero} [a tiny night light|a small flashlight] to keep by the bed.|Then
{parent} opened the curtain a little, so that the moon could look in.|Then {hero} took the
{toy.full} into bed and held it tight.] ["Good night, room," said {hero}. "Good night, coat.
Good night, chair."|"Good night, dark," said {hero}. "You can stay."|"I am not scared now,"
{hero} whispered.] [And soon {he} was fast asleep.|{He} closed {his} eyes and slept until the
sun came up.|And {he} slept all night long.])T"},

      {"baking", "hero=child cake=cake elder=family friend=child", R"T(
{@intro} {He} loved [to help in the kitchen|the smell of warm cake|to cook with {elder}].

{@oneday} {elder} said, ["Let us bake {cake.a}!"|"Today we will make {cake.a}."|"Who wants to help
me bake {cake.a}?"] ["Hooray!" said {hero}.|{hero} put on an apron that was much too long.|{hero}
washed {his} hands and climbed on a chair.] [3& {hero} poured the flour[, and a white cloud filled
the air|].|{hero} broke the eggs, one, two, three.|{hero} stirred and stirred until {his} arm was
tired.|{elder} added the butter and the sugar.|{hero} licked the spoon when {elder} was not
looking.|They sang a song while they mixed.] Then the {cake} went into the hot oven.

[w: But {hero} was in a hurry. "Is it ready yet?" {he} asked. "Not yet," said {elder}. {hero} asked
again and again.|But {hero} and {elder} went outside to look at the flowers, and they forgot the
time.|But when it came out, {hero} bumped the table, and a big piece fell on the floor.] [w: {He}
wanted to open the oven door. "If we open it too soon, the {cake} will fall flat," said {elder}.
"Good things take time."|Soon {hero} smelled something. "The {cake}!" {he} shouted. They ran inside.
The top was [very dark|almost black].|"Oh no!" cried {hero}. "I broke our {cake}!"] [w: So {hero}
sat on {his} hands and counted to one hundred. It was hard, but {he} waited.|{@sad} "We can fix
this," said {elder}. They cut off the dark part and put cream on top.|"It is only a corner," said
{elder}. "It will taste just as good." {elder} put berries over the broken part.]

[At last, it was ready|Then it was time to eat]. {hero} took a big slice to {friend}, who lived
next door. ["This is the best {cake} in the world!" said {friend}.|{friend} took one bite, and
then another. "Yum!" said {friend}.|"Did you make this?" asked {friend}. "It is so good!"]
{@proud} [w: {hero} had learned that it is worth the wait.|{hero} had learned that a small
mistake can still end well.|{hero} had learned that a cake does not have to be perfect to be
good.] [{@forever}|])T"},

      {"broken_vase", "hero=child thing=breakable ball=toy owner=family", R"T(
{@intro} In {his} house there was {thing.a} that belonged to {owner}. [? It was very old.|{owner}
loved it very much.|"Please be careful with it," {owner} always said.|It stood on a shelf by the
window.]

{@rainy} {hero} was playing with {his} {ball.full} inside. [? {He} knew it was not allowed.|"Just
once," {he} thought.|{He} ran and jumped and laughed.] [Bump! The|Then the] {ball} hit the shelf,
and the {thing} fell down. Crash! [It broke into many pieces.|It lay on the floor in five
pieces.|Now there were only pieces on the floor.] {@scared}

[{hero} wanted to hide the pieces [under the rug|behind the sofa|in a box].|{hero} thought, "I could
say that the wind did it."|"Nobody saw me," thought {hero}. "I could just go away."] But [{his}
tummy did not feel good|it did not feel right|that made {him} feel even worse]. {@think} Then {he}
went to {owner}. ["I have to tell you something," {he} said[ in a very small voice|, and looked at
the floor]. "I broke your {thing}. I am sorry."|"I was playing inside, and I broke your {thing},"
{he} said. "I am so sorry."]

{owner} was quiet for a moment. [? Then {owner} took {his} hand.|Then {owner} gave {hero} a
hug.|Then {owner} sat down next to {hero}.] ["I am sad about the {thing}," said {owner}. "But I am
glad that you told me the truth."|"Thank you for being honest," said {owner}. "A {thing} can break,
but I can trust you."|"That was brave," said {owner}. "It is not easy to tell the truth."] [Together
they picked up the pieces and glued them, one by one.|They got the glue and put the pieces together
like a puzzle.|{owner} swept the floor, and {hero} held the bag.] [The {thing} had lines all over it
now, but {owner} said that it was [even prettier|more special] than before.|In the end, it did not
look new, but it stood on the shelf again.]

[After that, {hero} played with the {ball} outside.|From then on, the {ball} stayed
outside.|{hero} felt light again, because the truth was out.|And {hero} learned that the truth
is the best way, even when it is hard.])T"},

      {"tidying", "hero=child toy=toy keepsake=keepsake parent=parent friend=child", R"T(
{@intro} {His} room was [a big mess|never tidy|full of things on the floor]. [? There were blocks on
the bed and socks on the lamp.|There were books on the floor and crumbs on the chair.|You could not
see the floor at all.]

{@oneday} {parent} said, ["Please tidy your room, {hero}."|"{hero}, it is time to tidy up."]
["Later," said {hero}.|"I do not want to," said {hero}.|"It is not that messy," said {hero}.] Just
then {friend} came to the door. ["Come and play outside! Bring your {toy}!" said {friend}.|"Can you
come out with your {toy}?" asked {friend}.] {hero} [looked for {his} {toy.full}|ran to get {his}
{toy.full}], but {he} could not find it [in the mess|under all those things]. [? {He} stepped on a
block. "Ouch!"|{He} looked here and there. [{He} only found a banana peel.|{He} only found one
sock.]|{He} dug like a dog in the sand, but it was no use.] {@sad}

["I will help you," said {friend}. "Two can tidy faster than one."|"Let us make it a game," said
{friend}. "Who can pick up more things?"|"May I help?" asked {friend}. "Then we will find it soon."]
[2& They put the blocks in the box.|They put the books back on the shelf.|They made the bed.|They
threw the dirty socks in the basket.|{hero} swept the floor, and {friend} held the bag.] [They even
found {his} {keepsake.full}, which had been lost for weeks.|Behind the bed, they found {his}
{keepsake.full}.|] And at the very bottom [of the pile|of the heap], there was the {toy}!

[? "Hooray!" they shouted.|"Found it!" said {hero}.|{@happy}] {parent} came in and [could not
believe {parent.his} eyes|clapped]. [? "What a lovely room!" said {parent}.|"I can see the
floor!" said {parent}. "Hello, floor!"] [Then {hero} and {friend} ran outside with the
{toy}.|Then the two friends went out to play until dinner.] [Now {hero} tidies a little every
day. That way, it is never too much.|{hero} learned that when each thing has a place, nothing
gets lost.|From then on, {hero} put {his} things away before bed.])T"},

      {"moving_house", "hero=child toy=toy parent=parent friend=child", R"T(
{@intro} {@oneday} {parent} said, ["We are going to move to a new house."|"Soon we will live in a
new house, in a new town."] {@sad} ["I do not want to go," {he} said. "I like it here."|"But I like
my old room," said {hero}.|"Who will play with me there?" asked {hero}.]

They put all their things in boxes. {hero} held {his} {toy.full} and did not let go. [? A big truck
came and took the chairs, the beds and the table.|The big truck was full, right up to the roof.] [?
{hero} waved to {his} old window.|"Good-bye, house," {hero} said.|{hero} walked through the empty
rooms one last time.] [Then they drove for a long, long time.|The drive was long, and it rained.|]

The new house was [big and quiet|cold and strange|tall and full of echoes]. [? {His} new room had
bare walls.|The stairs went creak.|Nothing smelled like home.] {hero} sat on a box and hugged the
{toy}. ["I do not like it here," {he} whispered to the {toy}.|"Do you miss our old room too?" {he}
asked the {toy}.] Then there was a knock at the door. [A {friend.boy} stood outside.|Outside stood a
{friend.boy} with [a plate of cookies|muddy boots|a big smile].] "Hello! I am {friend}," {friend.he}
said. "I live [next door|across the street|in the house with the red door]. [Do you want to see my
tree house?|Do you want to play?|There is a very good hill behind your house.]"

{hero} looked at {parent}, and {parent} nodded. ["May my {toy} come too?" asked {hero}. "Of
course!" said {friend}.|"I have {toy.a}," said {hero}. "Then we can all play together!" said
{friend}.] They [rolled down the hill|climbed the old tree|ran around the new garden] until the
sun went down. [When {hero} came home, {parent} had put {his} bed by the window.|That evening,
{hero} and {parent} put [pictures|paper stars] on the bare walls.] [? "You know," said {hero},
"I think this house likes us."|"It is starting to feel like home," said {hero}.|"I like it here
now," said {hero}.] {@bedtime} [A new place is only strange until you have a friend there.|])T"},

      {"night_noises", "hero=child pet=pet parent=parent", R"T(
{@intro} {He} had {pet.a} named {pet}.

{@evening} {hero} heard a noise. [Scratch, scratch!|Thump, thump!|Tap, tap, tap!|Creak, creak!]
["What is that?" whispered {hero}.|{hero} sat up in bed.|{hero} pulled the blanket up to {his}
nose.] {@scared} [? The noise came again, a little louder.|Then it was quiet. Then it came again.]
[? Maybe it was a bear! Maybe it was a giant!|"It must be a ghost," thought {hero}.|"Is it a
robber?" {hero} wondered.]

{hero} [went to wake {parent}|tiptoed to {parent}'s room|called {parent}]. ["There is something in
the house," {he} said.|"Something is making a noise," {he} said.] {parent} [rubbed {parent.his} eyes
and took a flashlight|took {his} hand]. "Let us find out together," said {parent}. [? Step by step,
they went down the dark stairs.|They walked along the hallway on their toes.|They went slowly, hand
in hand.] [2& They looked behind the door. Nothing.|They looked under the table. Nothing.|They
looked out of the window. There was only the moon.|They looked in the closet. There were only
coats.] The noise [grew louder and louder|was very near now]. It came from the kitchen!

{parent} turned on the light, and there was {pet}! [The {pet.kind} had {pet.his} head stuck in a
paper bag.|{pet} was pushing {pet.his} empty bowl across the floor.|{pet} was playing with a
{pet.treat} under the chair.|{pet} was trying to open the cookie jar.] [? "{pet}! It was you!"
{hero} laughed.|{hero} laughed so hard that {he} had to sit down.] {pet} looked up and said,
"{pet.Sound}?" [? "[Our night monster has a tail|That is a very small monster]," said
{parent}.|"[Somebody was hungry|Somebody wanted a snack]," said {parent}.] [{hero} gave {pet} a
hug and carried {pet.him} upstairs.|{hero} gave {pet} [a little snack|some water] and a pat on
the head.] [That night, {pet} slept at the end of {hero}'s bed, and there were no more
noises.|After that, when {hero} heard a noise at night, {he} only said, "Good night,
{pet}!"|{hero} learned that many scary things are funny when you turn on the light.])T"},

      {"soup_for_the_sick", "hero=child sick=elder soup=soup parent=parent gift=treasure", R"T(
{@intro} {He} [went to see {sick} every Sunday|loved to visit {sick}, who lived nearby].

{@oneday} {sick} did not [come to the door|open the door with a laugh]. {sick} was sick in bed[ with
a cold|, with a red nose and a cough|]. "[Achoo!|Oh dear.] I cannot play with you today," said
{sick} in a [weak|low|tired] voice. {@sad} ["How can I help?" {he} wondered.|{hero} wanted to make
{sick} feel better.]

{hero} [ran home to|went to ask] {parent}. ["When I was sick, you made me soup," {he} said. "Can we
make some for {sick}?"|"What makes a sick person feel better?" {he} asked. "{soup.A}," said
{parent}, "and a kind heart."] So they made {soup.a}. [2& {hero} washed the vegetables.|{hero} put
in a little salt.|{hero} stirred the big pot.|{parent} cut everything into small pieces.] [? It
smelled wonderful.| Soon the whole house smelled good.] {parent} put the soup in a jar, and {hero}
carried it with both hands. [? {He} walked very slowly, so that not one drop was lost.|On the way,
{he} found {gift.a}, and {he} put it in {his} pocket for {sick}.]

{sick} ate [one spoon, then two, then the whole bowl|every drop]. ["Mmm," said {sick}. "That goes
right down to my toes."|"This is the best {soup} I ever had," said {sick}.] [{hero} sat by the bed
and told {sick} a story about a {@silly_animal}.|{hero} sang [{sick}'s favorite song|a funny song]
until {sick} smiled.|{hero} drew a picture of the two of them in the sun.] [? Little by little, the
color came back to {sick}'s cheeks.|Soon {sick} was laughing again.]

[In a few days|Three days later|By the end of the week], {sick} was [up and well|dancing in the
kitchen|back in the garden]. ["Do you know what made me well?" {sick} asked. "It was the soup,
and it was you."|"You are the best doctor in town," {sick} told {hero}.] {@proud} [A little care
can be the best medicine.|{hero} learned that you are never too small to help.|])T"},

      {"lost_tooth", "hero=child fruit=fruit friend=child parent=family box=treasure", R"T(
{@intro} {hero} had a loose tooth. [? It went wiggle, wiggle, wiggle.|{He} could push it with {his}
tongue.|It had been loose for a whole week.] All {his} friends had lost a tooth, and {hero} wanted
to lose one too. [? But {he} was also a little afraid.|"Will it hurt?" {he} asked {friend}. "Only a
tiny bit," said {friend}.|"When will it come out?" {he} asked every day.]

{@oneday} {parent} gave {him} {fruit.a}. {hero} took a big bite. [Crunch!|Pop!] {He} felt something
hard. [{hero} looked at the {fruit}, and there was the tooth!|The tooth was out!] [? "My tooth! My
tooth!" {he} shouted.|{@happy}] {He} showed it to {friend}, and {friend} said, ["Now you look like a
pirate!"|"Now you can whistle!"|"You have a window in your smile!"]

But on the way home {hero} ran and jumped, and the tooth fell [into the tall grass|into a heap of
leaves|in the sand]. [{He} looked and looked, but it was so small and white.|{He} got down on {his}
knees and looked, but it was gone.] {@sad} ["We will find it," said {friend}.|{friend} got down to
look too.] They looked [behind every stone|under every leaf]. [They found {box.a}, but no
tooth.|They found two ants and {box.a}, but no tooth.] [? "It is too small," said {hero}.|"I will
never find it," said {hero}.]

{parent} had an idea. ["Write a letter and say what happened," said {parent}.|"Let us put the
{box} under your pillow instead," said {parent}, "with a note."] So {hero} wrote, with
{friend}'s help, "Dear Tooth Fairy, I lost my tooth two times. [I hope you can find it.|Please
take this {box}.]" [In the morning, there was a silver coin under the pillow.|When {he} woke up,
there was a bright coin under {his} pillow.] And there was a tiny note. It said, ["I found it!
Love, T. F."|"Thank you for telling me. Keep smiling!"] {hero} ran to the mirror and smiled [the
biggest smile with the biggest gap|as wide as {he} could].)T"},

      {"new_baby", "hero=child toy=toy parent=parent", R"T(
{@intro} {hero} had a new baby sister. [? Everybody came to see the baby.|Everybody brought gifts
for the baby.|The house was full of baby things.] ["What a sweet baby!" they all said.|"Look at her
tiny hands!" they all said.] Nobody looked at {hero}. [When {he} wanted to play, {parent} said, "Not
now. The baby is sleeping."|When {he} sang, {parent} said, "Hush, the baby is asleep."|"Will you
read to me?" {he} asked. "In a little while," said {parent}.] {@sad}

{@oneday} the baby began to cry. [? She cried and cried.|"Waa, waa, waa!" she cried.|Her face turned
red like a tomato.] {parent} [rocked her|sang to her|gave her a bottle], but she did not stop. [?
{hero} put {his} hands over {his} ears.|{hero} wished that the baby would go back where she came
from.|"She is so loud," thought {hero}.] Then {he} looked at her little wet face. ["Maybe she is
lonely too," {he} thought.|Maybe she felt sad, just like {him}.]

{hero} got {his} {toy.full}[, the one that nobody else could touch|]. {He} made it [dance|hop|fly]
in front of the baby. ["Look, baby! This is my {toy}," {he} said.|"Do not cry. Here is my {toy},"
{he} said.] [? The baby stopped crying.|The crying grew softer, and then it stopped.] She looked at
the {toy}. Then she looked at {hero}, and she [smiled her very first smile|laughed her very first
laugh]!

["Did you see that?" cried {parent}. "She smiled at you!"|"You made her smile!" said {parent}.
"Nobody else could do that."] {parent} gave {hero} a long hug. ["I have missed you," said
{parent}. "Tonight I will read to you, just you and me."|"There is enough love for two," said
{parent}. "There always will be."] {@proud} [From that day on, when the baby cried, {hero} came
with the {toy}.|"I am a big {hero.brother} now," {he} said.|"When you are big," {hero} told the
baby, "I will teach you everything."] [It is not so bad to share, when you get a smile back.|])T"},

      {"birthday_surprise", "hero=child parent=parent friend=child gift=gift cake=cake", R"T(
{@intro} It was {his} birthday. {hero} woke up early and [ran to the kitchen|jumped out of bed|put
on {his} best clothes]. But nobody said, "Happy birthday!" [{parent} only said, "Eat your
oatmeal."|{parent} was reading and did not look up.|{parent} just washed the cups.] [{friend} did
not come to play.|{hero} saw {friend} on the street, but {friend} ran away.|{hero} went to see
{friend}, but {friend} said, "I am busy today."] {@sad} "They forgot," {he} [thought|said to
{himself}].

{hero} went [for a walk|to sit under a tree|out to the swing] all alone. [? {He} kicked a little
stone along the path.|{He} watched the clouds go by.|{He} sang the birthday song to {himself}, very
softly.] [After a while|Then], {parent} called, ["{hero}, come home now, please!"|"{hero}! Can you
help me carry something?"] {hero} [walked slowly home|went back with {his} head down]. [? The house
was dark and quiet.| All the curtains were closed.|It was strangely quiet inside.] {He} opened the
door.

"Surprise!" [The light went on, and all {his} friends were there!|Everybody jumped up from behind
the sofa!|Ten friends in paper hats jumped out!] [? There were balloons on every chair.|There were
paper stars on all the walls.] On the table stood {cake.a} with candles on top. ["You did not
forget!" said {hero}.| {hero} could not say a word.] ["Forget you? Never!" said {parent}.|"It was so
hard not to tell you!" said {friend}.|"I almost told you ten times," said {friend}.]

{hero} closed {his} eyes, made a wish and blew out the candles. [Whoosh!|Puff!|] Then {friend}
gave {him} a box with a bow. Inside was {gift.a}. [? It was just what {he} had wished for.|"I
picked it myself," said {friend}.] {@happy} [? They ate the {cake} until only crumbs were
left.|They played games until the stars came out.|They danced and sang until it was late.]
["This is the best birthday ever," said {hero}.|And {hero} knew that good friends do not
forget.|{@forever}])T"},

      {"blanket_fort", "hero=child sibling=child toy=toy parent=parent", R"T(
{@intro} {@rainy} {he} and {his} {sibling.brother} {sibling} [could not go outside|had nothing to
do|were stuck inside]. ["I am bored," said {sibling}.|"There is nothing to do," said {sibling}.]
{hero} looked at the [chairs|sofa] and the blankets. "[I know!|I have an idea!] Let us build a
fort!"

[They put a big blanket over two chairs.|They took all the pillows from the sofa.|They pulled the
table to the wall and hung a sheet over it.] [? It was [dark and cozy|warm and soft] inside.|It
looked like a real castle.] But then they began to fight. ["I am the {hero.king}!" said
{hero}.|"This is my side," said {sibling}.|"You take up too much room," said {sibling}.] ["No, I am
the {sibling.king}!" said {sibling}.|"No, it was my idea," said {hero}.] {sibling} pulled the
blanket on one side, and {hero} pulled on the other. [Rip!|Crash!|Whoosh!] [Down came the whole
fort|The fort fell down on their heads].

[? They sat in the mess and did not speak.|For a long time, nobody said a word.] [{hero} heard a
small sound. {sibling} was crying.|Only the rain went tap, tap, tap.] Then {hero} said, ["I am
sorry. It is no fun to be {hero.king} alone."|"I am sorry. Let us build it again, for two."] ["I am
sorry too," said {sibling}.|{sibling} wiped {sibling.his} nose. "Me too," {sibling.he} said.] So
they built it again, and this time they helped each other. [? {hero} held the blanket, and {sibling}
put books on the corners.| {sibling} made a roof, and {hero} made a door.] [? It was twice as big as
before.|It was even better than the first one.] They put the {toy.full} in front [to guard the
door|as a guard].

{parent} came by and [knocked on a pillow|looked in]. ["Who lives here?" asked {parent}. "Two
rulers live here," said {hero}.|"You may come in," said {sibling}, "if you have cookies."]
{parent} [brought cookies and milk|crawled in with a plate of cookies], and they all sat inside
and listened to the rain. [A fort needs more than one pair of hands.|It was the best rainy day
ever.|{hero} thought that [sharing|being together] was the best part.])T"},

      {"last_cookie", "hero=child treat=treat pet=pet parent=family", R"T(
{@intro} {@oneday} {parent} made [twelve|ten|six] [big|warm|sweet] {treat.s}. [? They smelled so
good!| The smell went all through the house.] ["Please do not eat them yet," said {parent}. "They
are for tonight."|"They are for the party," said {parent}. "Please wait."] {hero} [nodded|said yes].
But when {he} was alone in the kitchen, {he} [took just one|ate one. Then {he} ate one more|could
not stop looking, and then {he} could not stop eating].

[Soon|Later], {parent} came back and counted. ["Somebody ate some of my {treat.s}," said {parent}.
"Who was it?"|"Some of my {treat.s} are gone," said {parent}. "{hero}, do you know where they
went?"] {hero}'s face turned [hot|red]. "It was {pet}," {he} said. {pet} was {his} {pet.kind}. ["Bad
{pet}!" said {parent}. "You must go outside."|{parent} looked at the {pet.kind}. "Out with you,"
said {parent}.] {pet} looked at {hero} with [big|sad|round] eyes [and said, "{pet.Sound}."|and hung
{pet.his} head.]

{hero} [could not play|sat on the stairs]. [? {He} looked through the window at {pet}, sitting all
alone.|{His} tummy hurt, and it was not because of the {treat.s}.|All {he} could think of was poor
{pet}.] [? "{pet} did nothing wrong," {he} thought.|It was not fair.] {@think} [{He} went to
{parent} and said,|{He} pulled at {parent}'s sleeve and said,] ["It was not {pet}. It was me. I am
sorry."|"I told a lie. I ate the {treat.s}, and {pet} did nothing."]

[? {parent} sat down so that their eyes met.|{parent} was quiet for a while.] ["Thank you for
telling me," said {parent}. "What should we do now?"|"That was hard to say," said {parent}. "I
am glad you said it."] ["First I will say sorry to {pet}," said {hero}, "and then I will help
you make more."|"I will give {pet} a {pet.treat}," said {hero}. "And I will help you bake."] [So
that is what {he} did.|And so {he} did.] {pet} licked {his} nose, because {pet} was not angry at
all. [? That night, {hero} did not eat a single {treat}, and {he} did not mind.|The new
{treat.s} were even better than the old ones.] [A lie makes a small thing big, and the truth
makes it small again.|{hero} never let {pet} take the blame again.|It feels good to set things
right.])T"},

      {"bath_time", "hero=child toy=toy parent=parent", R"T(
{@intro} {hero} liked mud, [sand and paint|leaves and grass], but {he} did not like baths. ["Water
is wet," {he} always said.|"I will be dirty again tomorrow," {he} always said.]

{@oneday} {hero} [fell into a big puddle|rolled down a muddy hill|made mud pies all day]. {He} was
brown from head to toe. [? There was mud in {his} ears.|There was mud in {his} hair, and a leaf
too.|Even {his} {toy.full} was covered in mud.] ["It is time for a bath," said {parent}.|"Into the
bath with you!" said {parent}.] "No!" said {hero}, and {he} ran [up the stairs|under the bed|around
the table]. {He} left [brown feet all over the floor|a muddy hand on every door].

{parent} did not [shout|run]. {parent} just [looked at the {toy}|picked up the {toy}] and said,
["Poor {toy}. It is so dirty, and it is afraid to go in alone. Who can show it that water is
nice?"|"This {toy} wants to sail on the sea. But who will be the captain?"|"Oh dear, the {toy} needs
a bath. I wonder who can wash it?"] {hero} [peeked out|stopped and looked]. ["I could help," {he}
said slowly.|"I can do that," {he} said. "Only for the {toy}."]

So {hero} climbed into the warm water. [2& {He} washed the {toy} from top to bottom.|{He} made a
hat of bubbles.|{He} made big waves, splish, splash.|{He} made a bubble beard and talked like an
old man.|{He} blew a bubble as big as {his} head.] {hero} [laughed and laughed|forgot that {he}
did not like baths]. When the water was [cold|brown], {parent} said, "Time to get out." ["No!"
said {hero}. "Not yet!"|"So soon?" said {hero}.] {parent} laughed. ["First you do not want to go
in, and then you do not want to get out!"|"Who is this {hero.boy} who loves the bath?"] {hero}
was clean, and the {toy} was clean, and they both smelled like [soap|flowers|lemons]. {@bedtime})T"},

      {"letter", "hero=child elder=elder toy=toy neighbor=neighbor", R"T(
{@intro} {His} {elder.role} lived [far away|on the other side of the sea|many hours away], and
{hero} missed {elder.him} very much. [? {elder} told the best stories.|{elder} gave the best
hugs.|{elder} knew every bird by its song.]

{@oneday} {hero} decided to send {elder} a letter. [{He} could not write many words yet|{He} only
knew some of the letters], so {he} drew a big picture. [2& {He} drew the house with smoke coming
out.|{He} drew {his} {toy.full}.|{He} drew a sun with a face.|{He} drew {elder} and {himself},
holding hands.|{He} drew a rainbow over the hill.] At the bottom, {he} wrote "I miss you!" in [big
crooked|blue] letters. Then {he} [ran|skipped|walked] to the mailbox. But a strong wind [came around
the corner|began to blow]. Whoosh! It pulled the letter out of {his} hand!

[? "Come back!" cried {hero}.|"Stop, letter!" shouted {hero}.] {He} ran after it. The letter flew
over [a fence|a hedge] and [under a parked car|across the street], and then it was gone. {@sad}
{hero} went home slowly. [? All that work was lost.|{He} did not even want dinner.|"Now {elder} will
never see it," {he} said.]

But {neighbor} found the letter [in the rose bush|in {neighbor.his} garden|on the doorstep]. [?
{neighbor} looked at the picture and smiled.|There was no stamp on it, but {elder}'s name was on
the back.] {neighbor} [put it in a clean envelope|wiped off the mud], put a stamp on it, and
sent it away. {hero} did not know. [A week|Five days|Many days] later, there was a knock at the
door. It was {elder}, with a bag in one hand and the picture in the other! ["I got your letter,"
said {elder}, "and I missed you so much that I came."|"A letter like this needs an answer," said
{elder}. "I am the answer!"] {@happy} ["But how did it find you?" asked {hero}.|"But the wind
took it!" said {hero}.] Outside, {neighbor} [just smiled|waved from the garden] and said
nothing. [? A kind deed does not need a name.|And they all had cake together.|{@bedtime}])T"},
  };
  return plots;
}

}  // namespace xlstm::data
