// Plots that happen in town: shops, buses, neighbors.
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<Plot>& town_plots() {
  static const std::vector<Plot> plots = {
      {"lost_at_the_market",
       "hero=child parent=family fruit=fruit seller=neighbor toy=toy thing=keepsake", R"T(
{@intro} {@oneday} {hero} went to the market with {parent}. [It was loud and full of good
smells.|There were so many people, and so much to see.] ["Stay close to me," said {parent}.|"Do not
let go of my hand," said {parent}.] {hero} wore {his} {thing.full}[, so that {parent} could see
{him} from far away|]. [2& They bought bread.|They looked at the fish.|They smelled the
flowers.|They tasted the cheese.]

Then {hero} saw {toy.a} in a shop window. [It was so pretty that {he} had to stop.|{He} let go of
{parent}'s hand, just for a moment.] {He} looked at the {toy} for a long time. When {he} turned
around, {parent} was gone! [{hero} saw only legs and bags.|All around {him} were strangers.]
["{parent}?" {he} called, but no one answered.|{He} ran to the left. {He} ran to the right. No
{parent}!] {@scared}

{hero} remembered [what {parent} had told {him}|a rule]: if you are lost, stand still and ask
someone who works there. {He} wiped {his} eyes and went to a fruit stand. ["Please, I am lost," {he}
said.|"Excuse me," {he} said. "I cannot find {parent}."] The woman at the stand came around to
{him}. ["You did the right thing," she said.|"Do not worry," she said. "We will wait here
together."] [She asked for {his} name|Then she asked for {his} name], and she gave {him} {fruit.a}
to hold. Then {seller}, who sold brooms and had the loudest voice in town, called out, ["Who is
looking for {hero}? {hero} is here!"|"A {hero.boy} in {thing.a} is here! {His} name is {hero}!"]

[Not one minute later|Very soon], {parent} came running [through the crowd|between the stands].
["There you are!" cried {parent}, and held {him} tight.|{parent} dropped the bags and hugged
{him}.] ["I let go of your hand," said {hero}. "I am sorry."|"I only looked at the {toy}," said
{hero}, "and then you were gone."] ["You stood still and asked for help," said {parent}. "That
was very smart."|"I was scared too," said {parent}. "But you knew just what to do."] ["You must
thank them both," said {parent}, and {hero} did.|"Thank you," {hero} said to the woman and to
{seller}.] On the way home, {hero} [ate the {fruit} with one hand|carried the {fruit} in one
hand], and with the other {he} held {parent}'s hand. [{He} did not let go, not even
once.|{@bedtime}|When you are lost, stay calm and ask for help.])T"},

      {"found_wallet", "hero=child friend=child thing=lost_thing shop=shop toy=toy owner=neighbor",
       R"T(
{@intro} {hero} wanted to buy {toy.a}[ that {he} had seen in a window|]. [{He} saved every coin in a
jar.|But it cost a lot, and {he} had only three coins.] {@oneday} {hero} and {friend} were walking
[to school|home] when they saw {thing.a} on the ground. ["What is this?" asked {friend}.|"Look at
that!" said {hero}.] {hero} picked it up. [? It was pretty, and it looked as if it cost a lot.|There
was no name on it.]

["You could sell it," said {friend}, "and then you could buy the {toy}!"|"Finders keepers," said
{friend}. "Now you can get your {toy}."] {hero} [looked at the {thing}|turned it over and over]. [?
It would be so easy.|Nobody had seen them.] {@think} ["Somebody is looking for this right now," {he}
said.|"If I lost my {toy}, I would want it back," {he} said.] [? "You are right," said
{friend}.|{friend} nodded slowly.] So they began to ask. [2& They asked the bus driver. "Not mine,"
he said.|They asked a man with a hat. "Not mine," he said.|They asked a lady with a big bag. "Not
mine," she said.|They asked the mail carrier. "Not mine," she said.] [? "Maybe we will never find
the owner," said {friend}.|Their feet were tired.]

Then, {shop.in}, they saw {owner}. {owner} was looking under [the shelves|a table], and {owner.his}
face was [sad|pale]. ["Did you lose something?" asked {hero}.|"What are you looking for?" asked
{hero}.] ["My {thing}," said {owner}. "I have looked for it all day."|"I have lost my {thing}," said
{owner}, "and it means so much to me."] {hero} held out {his} hand. "Is this it?" {He} did not have
to ask twice. [{owner} laughed and cried at the same time.|{owner}'s face lit up like a lamp.] [?
"You dear children!" said {owner}. "How can I thank you?"|"There are honest people in the world,"
said {owner}.]

[{hero} did not want any money. "It was yours," {he} said.|"We only did what is right," said
{hero}.] But {owner} [was the one who made the toys in the window|had a workshop full of wood
and paint]. [The next week|A few days later], there was a box at {hero}'s door. Inside was
{toy.a}, [just like the one in the window|made by hand], and a note that said, ["For an honest
{hero.boy}."|"From someone who is glad that you were there."] {@happy} [And there was a second
one, for {friend}.|{hero} and {friend} played with it that very day.] [Being honest is its own
reward, but a {toy} is nice too.|{hero} would have been happy without the {toy}, and that is the
best part.|What is not yours should find its way home.])T"},

      {"bus_ride", "hero=child elder=elder toy=keepsake place=trip friend=child", R"T(
{@intro} {@oneday} {hero} and {elder} took the bus {place.to}. [? {hero} sat by the window.|{hero}
had never been on a bus before.|{hero} counted all the red cars.] {He} had {his} {toy.full} with
{him}[, because it was a gift from {elder}|]. ["Do not leave your {toy} on the bus," said
{elder}.|"Look after your {toy}," said {elder}.] [? The bus went up a hill and down again.|At every
stop, the doors went whoosh.] {hero} put the {toy} down on the seat, because there was so much to
see.

They had a fine day {place.in}. [? They ate ice cream, and {elder} got some on {elder.his}
nose.|They saw so many things that {hero}'s head was full.] On the way back to the bus, {hero} felt
cold, and {he} [looked for|reached for] {his} {toy}. [It was not there!|{His} hands were empty!]
["My {toy}! I left it on the bus!" {he} cried.|"Oh no! It is still on the bus!" {he} cried.] {@sad}
["That bus is far away now," said {elder}.|"There are so many buses," said {elder}.]

They went to the bus stop and waited. [? One bus came. It was the wrong one.|Two buses came, but
they were the wrong ones.] A {friend.boy} was standing in line behind them. [{friend.His} name was
{friend}.|{friend.He} was called {friend}.] ["Why are you sad?" asked the {friend.boy}.|"Did
something happen?" asked the {friend.boy}.] {hero} told {friend.him}. [{friend} thought for a
moment. "My|"Wait," said {friend}. "My] mom drives a bus. She has a radio and can talk to all the
other drivers!" [Just then, her bus came around the corner.|And here came her bus.] {friend}'s mom
[spoke into the radio|called all the drivers]. ["Has anyone seen {toy.a}?" she asked.|"Hello,
everybody. I am looking for {toy.a}," she said.] The radio went crackle, crackle. [Then a voice
said, "It is here! It sat on my bus all day and saw the whole town."|Then a deep voice said, "Yes!
It is on seat nine, all by itself."]

At the next stop, the two buses met, and the driver handed over the {toy} [through the
window|with a bow]. {@happy} ["Thank you, {friend}!" said {hero}.|"You and your mom are the
best," {hero} told {friend}.] They sat together all the way home. [? {friend} showed {him} where
to press the bell. Ding!|{friend} knew the name of every stop.] ["Your {toy} had a bigger trip
than you did," said {elder}.|"Next time, hold it tight," said {elder}, and winked.] [? And
{hero} did.|{hero} learned that it is good to tell people what is wrong, because somebody may
know what to do.|{@bedtime}])T"},

      {"doctor", "hero=child parent=parent toy=toy doctor=aunt treat=treat", R"T(
{@intro} {@oneday} {hero} [had a bad cough|had a sore ear|had a hot head]. [? It hurt a lot.|{He}
did not even want to play.] ["We will go to the doctor," said {parent}.|"The doctor can help you,"
said {parent}.] ["No!" said {hero}. "I do not want to go."|"I am not sick any more," said {hero}
very fast, but {he} looked pale.] {hero} was afraid. [? {He} did not know what the doctor would
do.|{He} thought of cold things and pointed things.] {He} took {his} {toy.full} and held it tight
all the way there.

[? The waiting room was white and smelled of soap.|In the waiting room, a clock went tick, tock.]
Then a door opened. ["Next, please!" somebody called.|"{hero}, please come in," said a voice.]
{@scared} The doctor was a friend of the family, and all the children called {doctor.him} {doctor}.
["Well, who is the sick one here?" asked {doctor}.|{doctor} looked at {him} with kind eyes. "Who
needs my help today?" {doctor.he} asked.] {hero} did not dare to say anything. {He} held up the
{toy}. ["My {toy} is sick," {he} said in a small voice.|"It is the {toy}," {he} whispered.]

["I see," said {doctor}. "Then I will look at the {toy} first."|"Oh dear," said {doctor}. "Let me
see the poor thing."] [2& {doctor} listened to its heart. "Very good," {doctor.he} said.|{doctor}
looked into its ears with a little light.|{doctor} put a bandage on it.|{doctor} tapped it on the
back. Tap, tap.] ["The {toy} was very brave," said {doctor}. "Will you show me that you are just as
brave?"|"It did not hurt at all," said {doctor}. "Did you see?"] {hero} thought about it. [Then {he}
nodded.|Then {he} opened {his} mouth and said, "Aaah!"] {doctor} did the same with {him}. [? The
light tickled in {his} ear.|It was a little cold, and that was all.] ["All done!" said
{doctor}.|"That was it," said {doctor}.] [? "Already?" asked {hero}.|"Is that all?" asked {hero}.]

{doctor} gave {parent} some medicine for {him}. [? "One spoon for {hero}, and a hug for the
{toy}, three times a day," said {doctor}.|It tasted like cherries.] [{hero} got a sticker with a
star on it, and so did the {toy}.|On the way home, {parent} bought {treat.a} for the bravest
patient in town.] In a few days {hero} was well again. {@proud} ["I was not scared," {he} told
everyone. "Only the {toy} was. But I helped it."|The next time, {he} went in all by
{himself}.|Now {hero} plays doctor every day, and the {toy} is never afraid.] [Many things look
scary until we know them.|])T"},

      {"library", "hero=child friend=child lady=neighbor pet=pet parent=parent", R"T(
{@intro} {hero} loved books. Every week, {he} went to the library[, where {lady} sat behind a big
desk|]. {lady}, who worked there, [knew every book|could find any story]. {@oneday} {hero} took home
a book about [pirates|dragons|the moon|whales]. [? It was the best book {he} ever read.|It had gold
letters and wonderful pictures.] ["Please bring it back on Friday," said {lady}.|"Take good care of
it," said {lady}. "It is the only one we have."]

{hero} read it in the kitchen. {He} read it in the bath. {He} read it under the blanket. But one day
{he} left it on the floor, and {pet} the {pet.kind} found it. [Chew, chew, rip!|{pet} thought it was
a toy.] [When {hero} came back, one corner was gone, and two pages were torn.|When {hero} saw it,
there were tooth marks all over it.] [? "{pet}! What have you done?" cried {hero}.|"Oh no, oh no, oh
no!" said {hero}.] {pet} [wagged {pet.his} tail|looked very pleased] and said, "{pet.Sound}." {@sad}

["I cannot go back to the library," {he} told {friend}. "{lady} will be so angry."|"Now I can never
borrow a book again," {he} told {friend}.] ["We could hide it," said {friend}. Then {friend.he}
shook {friend.his} head. "No. Let us fix it."|"Let us try to fix it," said {friend}.] They used
[glue and clear tape|a ruler, glue and tape]. [{friend} held the pages, and {hero} stuck them
together.|It took them the whole afternoon.] It looked better, but it did not look new. On Friday,
{hero} took a deep breath and went in. [? {friend} came along, to hold {his} hand.|{His} heart was
beating fast.]

["I left it on the floor, and my {pet.kind} chewed it," said {hero}. "It was my fault. I am
sorry."|{hero} put the book on the desk. "I did not take good care of it," {he} said. "I am very
sorry."] {lady} looked at the tape and the glue. [? {lady.He} turned every page.|{lady.He} was
quiet for a long time.] ["I have seen many torn books," said {lady}, "but not one that was fixed
with so much love."|"You could have hidden it," said {lady}, "but you came and told me."] ["We
have a whole box of torn books here," said {lady}. "Would you two like to help me fix them?"|"I
need somebody who can use glue so well," said {lady}. "Would you like to be my helpers?"]
{@proud} So every Friday, {hero} and {friend} [mended books|fixed old books] at the library. [?
And at home, the books stood on the highest shelf, where {pet} could not reach them.|And {pet}
got a toy of {pet.his} own to chew.] [A mistake can open a new door.|If you tell the truth, you
can hold your head high.|])T"},

      {"bakery_helper", "hero=child aunt=aunt treat=treat friend=child child2=neighbor", R"T(
{@intro} {His} {aunt.role} had a bakery. [? It smelled of sugar and warm bread.|People came from all
over town for the {treat.s}.] {@oneday} {aunt} said, ["I have so much to do today. Will you help me,
{hero}?"|"My helper is sick. Can you help me today?"] ["Yes!" said {hero}. "I am a good
helper."|{hero} put on a white hat that fell over {his} eyes.] [? "Bring one {treat} to each table,"
said {aunt}.|"Put the {treat.s} in the window, please," said {aunt}.]

Everything went well until a hungry [man|woman] came in with a thin coat and no money. ["They smell
so good," the stranger said, and looked at the {treat.s} through the glass.|The stranger only stood
by the door, where it was warm.] {hero} looked at the stranger's cold hands. ["{aunt} did not say
that I may give them away," {he} thought.|{He} wanted to give away a {treat}, but they were not
{his} to give.] {@think} {aunt} had promised {him} [a {treat} of {his} own for {his} work|one
{treat} at the end of the day]. It was the one thing that {he} [wanted most|had been thinking of all
morning]. {hero} went and got it. ["Here," {he} said. "This one is mine, so I can give it to
you."|"Please take it," {he} said. "I am not so hungry." That was not quite true.]

The stranger ate it slowly, with closed eyes. ["Thank you, little baker," said the stranger. "I will
not forget this."|"That was the kindest thing anyone did for me all year," said the stranger.]
{friend}, who was sitting at a table with {child2}, had seen it all. [{friend} pulled {child2} by
the sleeve and whispered something.|"Did you see that?" {friend} asked {child2}.] [? Soon everybody
in the shop was talking about it.|And the people in the shop put coins in a cup, and bought the
stranger a whole bag of bread.] That evening, {aunt} sat down next to {hero}. ["Where is your
{treat}?" asked {aunt}.|"You did not eat your {treat}," said {aunt}.] "[I gave it away|Somebody
needed it more]," said {hero}. "I hope that is all right."

{aunt} [only smiled and|stood up and|said nothing and] went into the kitchen and came back with
a tray. [On it was a {treat} as big as a plate, with {his} name on it in sugar.|On it was the
biggest {treat} that {hero} had ever seen.] ["Bread is for bellies," said {aunt}, "but kindness
is for hearts."|"You are a real baker now," said {aunt}, "because a real baker feeds people."]
{@happy} {hero} broke it in [two|three] and shared it with {aunt} [and {friend}|]. [And since
then, there is a basket by the door of the bakery, for anyone who is hungry.|It tasted better
than any other {treat} in the world.|What you give away has a way of coming back.])T"},

      {"train_trip", "hero=child elder=elder parent=parent toy=toy fruit=fruit friend=child", R"T(
{@intro} {@oneday} {parent} took {him} on a train to visit {elder}. [? Choo, choo!|The train was
long and silver.] {hero} had a window seat, {his} {toy.full} and a bag with {fruit.a}. [2& They saw
cows in a field.|They went over a high bridge.|They went through a dark tunnel.|A man with a cap
came to look at their tickets.|They saw a boat on a river.] ["Are we there yet?" asked {hero}. "Not
yet," said {parent}.|"How many more stops?" asked {hero}. "Seven," said {parent}.]

Suddenly the train stopped. [There was no town and no station, only fields.|It stood still in the
middle of nowhere.] ["A tree has fallen on the track," said a voice. "We have to wait."|"We are
sorry," said a voice. "The train is broken. Please be patient."] [? People began to grumble.|"Oh
no!" said everybody.|A baby began to cry.] A {friend.boy} across from {him} [was close to
tears|kicked the seat]. ["I am hungry, and I want to get out," said the {friend.boy}.|"I am so
bored," said the {friend.boy}.] {hero} was hungry too. {He} looked at {his} {fruit}. [? There was
only one.|{He} had wanted to save it.]

{@think} Then {he} asked {parent} to cut the {fruit} into [two|many] pieces. ["Would you like some?"
{he} asked. "I am {hero}."|"Here, this is for you," {he} said. "What is your name?"] ["I am
{friend}," said the {friend.boy}. "Thank you!"|"Thank you! My name is {friend}," said the
{friend.boy}, chewing.] Then {hero} [made the {toy} dance on the table|made the {toy} talk in a
funny voice]. {friend} laughed. [People turned around to see what was so funny.|The people in the
next seats looked over and smiled.] ["Do it again!" said {friend}.|"What can it do next?" asked
{friend}.] [Soon the whole car was watching.|An old man took out a mouth organ and began to play.|A
lady gave out cookies to everyone.] [? Nobody grumbled any more.|It was almost like a party.]

When the train began to move, everybody said, ["Oh! Already?"|"So soon?"] [? The hour had gone
by like a minute.|They had all forgotten that they were waiting.] At the station stood {elder}
with open arms. ["You poor dear, you had to wait so long!" said {elder}.|"What a long, bad trip
you had!" said {elder}.] ["It was the best part!" said {hero}.|"It was a party," said {hero},
"and my {toy} was the star."] {hero} and {friend} waved to each other until the train was gone.
[Waiting is short when you share it.|It is up to you to make a long wait a good one.|{@forever}])T"},
  };
  return plots;
}

}  // namespace xlstm::data
