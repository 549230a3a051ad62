// The nouns of the bundled stories, by the list from which a plot draws its slots.
// Attributes (in, to, sound, ...) follow a colon; a place without them says "in the X", "to the X".
#include "data/stories/lexicon.h"

namespace xlstm::data {

const std::vector<NounList>& story_nouns() {
  static const std::vector<NounList> lists = {
      // People.
      {"girl", "<PERSON>", "f", "",
       "Mia, Lucy, Anna, Ella, Nora, Zoe, Ruby, Emma, Sara, Molly, Hannah, Clara, Ivy, Maya, Lena, "
       "Julia, Tara, Bella, Nina, Kate, Rosie, Amy, Eva, Lola, Polly, Wendy, Alma, Freya, Tilly, "
       "Maria, Gina, Olga, Stella, Betty, Dora, Heidi, Ada, Leah, Carmen, Yuki"},
      {"boy", "<PERSON>", "m", "",
       "Tom, Ben, Sam, Leo, Max, Jack, Finn, Noah, Oscar, Adam, Peter, Henry, Luke, Theo, Eric, "
       "Hugo, Otto, Paul, David, Simon, Danny, Felix, Jacob, Omar, Kenji, Ivan, Toby, Billy, Nico, "
       "Martin, Anton, Ravi, Joe, George, Milo, Victor, Rory, Dylan, Emil, Carlo"},
      {"parent", "<PERSON>", "n", "", "Mom:gender=f, Dad:gender=m"},
      {"elder", "<PERSON>", "n", "", "Grandma:gender=f, Grandpa:gender=m"},
      {"family", "<PERSON>", "n", "",
       "Mom:gender=f, Dad:gender=m, Grandma:gender=f, Grandpa:gender=m"},
      {"aunt", "<PERSON>", "n", "",
       "Aunt Rita:gender=f:role=aunt, Aunt Jo:gender=f:role=aunt, Aunt Vera:gender=f:role=aunt, "
       "Uncle Bob:gender=m:role=uncle, "
       "Uncle Ray:gender=m:role=uncle, Uncle Phil:gender=m:role=uncle"},
      {"neighbor", "<PERSON>", "n", "",
       "Mrs. Hill:gender=f, Mrs. Park:gender=f, Mrs. Bell:gender=f, Mrs. Lopez:gender=f, "
       "Mr. Brown:gender=m, Mr. Green:gender=m, Mr. Kim:gender=m, Mr. Novak:gender=m"},
      {"teacher", "<PERSON>", "n", "",
       "Miss Lake:gender=f, Miss Garcia:gender=f, Miss Wood:gender=f, Mr. Stone:gender=m, "
       "Mr. Field:gender=m, Mr. Chan:gender=m"},

      // Animals. Pets and woodland animals get a name of their own from "pet_name".
      {"pet_name", "<ANIMAL>", "n", "",
       "Biscuit, Pip, Button, Socks, Pepper, Ginger, Coco, Bramble, Patch, Waffles, Nutmeg, "
       "Toffee, "
       "Muffin, Pickle, Hazel, Dot, Sunny, Misty, Rusty, Fern, Bean, Pebble, Clover, Maple, Oats, "
       "Fudge, Poppy, Twig, Mango, Noodle"},
      {"pet", "<ANIMAL>", "?", "",
       "dog:sound=woof:home=basket:treat=bone, puppy:sound=yip:home=basket:treat=biscuit, "
       "cat:sound=meow:home=basket:treat=piece of fish, "
       "kitten:sound=mew:home=basket:treat=bowl of milk"},
      {"critter", "<ANIMAL>", "?", "",
       "rabbit:home=burrow, fox:home=den, mouse:home=hole, hedgehog:home=nest, squirrel:home=tree, "
       "badger:home=den, mole:home=tunnel, otter:home=den, raccoon:home=den, "
       "beaver:home=lodge, chipmunk:home=burrow, weasel:home=den, skunk:home=burrow"},
      {"bird_hero", "<ANIMAL>", "?", "",
       "owl, robin, sparrow, crow, duckling, blackbird, finch, chick"},
      {"hurt", "<ANIMAL>", "n", "little, tiny, small, young",
       "robin:hurt=wing:joy=sang a bright song, sparrow:hurt=wing:joy=chirped three times, "
       "squirrel:hurt=leg:joy=flicked its bushy tail, rabbit:hurt=leg:joy=wiggled its nose, "
       "hedgehog:hurt=foot:joy=made a happy snuffling sound, "
       "duckling:hurt=foot:joy=gave a cheerful quack, turtle:hurt=leg:joy=nodded its wrinkled "
       "head"},
      {"shy", "<ANIMAL>", "n", "little, gray, brown, shy, soft",
       "rabbit, squirrel, fox, deer, cat, duck, goat, lamb, pony"},
      {"parent_bird", "<PERSON>", "n", "", "mother:gender=f, father:gender=m"},
      {"farm", "<ANIMAL>", "n", "brown, white, spotted, big, old",
       "cow:sound=moo:food=hay, sheep:sound=baa:food=grass:s=sheep, horse:sound=neigh:food=apples, "
       "goat:sound=maa:food=leaves, donkey:sound=hee-haw:food=carrots, "
       "pig:sound=oink:food=turnips"},
      {"bug", "<ANIMAL>", "n", "small, tiny, little",
       "ant, beetle, ladybug, snail, bee, butterfly, caterpillar, grasshopper, spider, worm"},
      {"sea", "<ANIMAL>", "?", "",
       "crab, fish, seal, dolphin, turtle, seahorse, starfish, octopus, shrimp"},

      // Places.
      {"outside", "<PLACE>", "n", "",
       "park, garden, meadow, playground, schoolyard, yard, field, square"},
      {"nature", "<PLACE>", "n", "",
       "woods, forest, meadow, valley, hills:in=in the hills, orchard"},
      {"water", "<PLACE>", "n", "",
       "river:in=by the river, lake:in=by the lake, pond:in=by the pond, stream:in=by the stream"},
      {"swimming", "<PLACE>", "n", "", "pool, lake, bay"},
      {"hiding", "<PLACE>", "n", "",
       "bed:under=under the bed, sofa:under=behind the sofa, table:under=under the table, "
       "bath:under=in the bath, closet:under=in the closet, kitchen:under=in the kitchen, "
       "shed:under=in the shed, laundry basket:under=in the laundry basket, "
       "porch:under=on the porch, stairs:under=under the stairs, toy box:under=in the toy box, "
       "curtain:under=behind the curtain, piano:under=behind the piano, "
       "garden bench:under=under the garden bench, apple tree:under=under the apple tree"},
      {"shop", "<PLACE>", "n", "",
       "market:in=at the market, bakery:in=at the bakery, shop, toy store, bookstore, "
       "supermarket, fair:in=at the fair"},
      {"trip", "<PLACE>", "n", "",
       "beach:in=at the beach, zoo:in=at the zoo, farm:in=on the farm, lake:in=at the lake, "
       "museum:in=at the museum, fair:in=at the fair, castle:in=at the castle"},

      // Objects.
      {"toy", "<OBJECT>", "n",
       "red, blue, green, yellow, orange, purple, pink, white, brown, striped, spotted, old, tiny",
       "ball, doll, teddy bear, toy car, toy train, toy boat, toy dragon, robot, puppet, yo-yo, "
       "drum, toy truck, toy rabbit, toy plane, toy elephant, spinning top, toy horse, toy duck"},
      {"keepsake", "<OBJECT>", "n", "red, blue, green, yellow, orange, purple, pink, white, gray",
       "scarf, hat, cap, coat, jacket, poncho"},
      {"windy", "<OBJECT>", "n", "red, blue, green, yellow, orange, purple, pink, white, striped",
       "scarf, hat, cap, shawl, ribbon"},
      {"cloak", "<OBJECT>", "n", "red, blue, green, golden, orange, purple, silver, white",
       "cape, cloak, scarf, shawl, coat, robe"},
      {"treasure", "<OBJECT>", "n", "shiny, smooth, pretty, round, little, golden, old",
       "shell, stone, button, coin, key, marble, feather, bell, acorn"},
      {"vehicle", "<OBJECT>", "n", "red, blue, green, yellow, orange, purple, silver",
       "bike, scooter, wagon"},
      {"bicycle", "<OBJECT>", "n", "red, blue, green, yellow, orange, purple, silver",
       "bike, scooter"},
      {"instrument", "<OBJECT>", "n", "old, new, little, shiny, wooden",
       "drum:play=boom boom, flute:play=toot toot, guitar:play=plink plonk, "
       "piano:play=plink plink plonk, violin:play=eek eek, trumpet:play=toot toot toot, "
       "horn:play=honk honk"},
      {"cake", "<OBJECT>", "n", "big, warm, sweet, round",
       "apple pie, carrot cake, lemon cake, banana bread, chocolate cake, plum pie, honey cake, "
       "cherry pie, pumpkin pie, orange cake"},
      {"fruit", "<OBJECT>", "n", "ripe, sweet, juicy, big, fine",
       "apple, pear, peach, plum, melon, orange, mango, banana"},
      {"treat", "<OBJECT>", "n", "big, sweet, warm, tasty",
       "cookie, muffin, pancake, cupcake, bun, waffle, sandwich, pretzel"},
      {"soup", "<OBJECT>", "n", "warm, hot, tasty",
       "tomato soup, carrot soup, pumpkin soup, noodle soup, bean soup, onion soup"},
      {"seed", "<OBJECT>", "n", "small, round, brown, tiny, flat",
       "sunflower seed:plant=sunflower, bean:plant=bean plant, pumpkin seed:plant=pumpkin plant, "
       "apple seed:plant=apple tree, tulip bulb:plant=tulip, pea:plant=pea plant, "
       "carrot seed:plant=carrot plant"},
      {"breakable", "<OBJECT>", "n", "blue, white, tall, pretty, green, yellow",
       "vase, lamp, plate, teapot, cup, bowl, jar, clock, mirror"},
      {"gift", "<OBJECT>", "n", "red, blue, green, yellow, orange, purple, little, new",
       "book, puzzle, kite, music box, paint set, drum, telescope, teddy bear, hat, lantern"},
      {"kite", "<OBJECT>", "n", "red, blue, green, yellow, orange, purple, striped, big",
       "kite, balloon, paper plane"},
      {"cart", "<OBJECT>", "n", "small, old, wooden, red, green", "cart, wagon, basket, barrow"},
      {"made", "<OBJECT>", "n", "big, fine, funny, strong, crooked",
       "tower, bridge, castle, boat, rocket, tent, fort, house"},
      {"lost_thing", "<OBJECT>", "n", "red, blue, brown, green, old, little, black",
       "wallet, purse, watch, ring, glove, key, letter, bag"},
      {"food", "<OBJECT>", "n", "fresh, ripe, fat, big, crunchy",
       "carrot, turnip, cabbage, pear, nut, mushroom, berry, apple, pumpkin"},
  };
  return lists;
}

// Nouns that stand as plain words in the plots. The masked text hides these too, so that two
// stories which differ only in such a word count as one.
std::string_view plain_story_nouns() {
  return "mom:<PERSON>, dad:<PERSON>, grandma:<PERSON>, grandpa:<PERSON>, mother:<PERSON>, "
         "father:<PERSON>, sister:<PERSON>, brother:<PERSON>, baby:<PERSON>, teacher:<PERSON>, "
         "neighbor:<PERSON>, aunt:<PERSON>, uncle:<PERSON>, doctor:<PERSON>, farmer:<PERSON>, "
         "baker:<PERSON>, friend:<PERSON>, boy:<PERSON>, girl:<PERSON>, child:<PERSON>, "
         "children:<PERSON>, man:<PERSON>, woman:<PERSON>, people:<PERSON>, driver:<PERSON>, "
         "family:<PERSON>, class:<PERSON>, "
         "house:<PLACE>, home:<PLACE>, room:<PLACE>, bedroom:<PLACE>, kitchen:<PLACE>, "
         "garden:<PLACE>, street:<PLACE>, road:<PLACE>, town:<PLACE>, village:<PLACE>, "
         "school:<PLACE>, hill:<PLACE>, path:<PLACE>, floor:<PLACE>, sky:<PLACE>, sea:<PLACE>, "
         "wall:<PLACE>, corner:<PLACE>, hallway:<PLACE>, library:<PLACE>, "
         "bird:<ANIMAL>, animal:<ANIMAL>, frog:<ANIMAL>, puppy:<ANIMAL>, kitten:<ANIMAL>, "
         "tree:<OBJECT>, branch:<OBJECT>, leaf:<OBJECT>, leaves:<OBJECT>, flower:<OBJECT>, "
         "grass:<OBJECT>, door:<OBJECT>, window:<OBJECT>, bed:<OBJECT>, pillow:<OBJECT>, "
         "blanket:<OBJECT>, chair:<OBJECT>, table:<OBJECT>, box:<OBJECT>, bowl:<OBJECT>, "
         "spoon:<OBJECT>, cup:<OBJECT>, pot:<OBJECT>, oven:<OBJECT>, coat:<OBJECT>, hat:<OBJECT>, "
         "boot:<OBJECT>, shoe:<OBJECT>, sock:<OBJECT>, pocket:<OBJECT>, bag:<OBJECT>, "
         "basket:<OBJECT>, book:<OBJECT>, picture:<OBJECT>, paper:<OBJECT>, lamp:<OBJECT>, "
         "light:<OBJECT>, candle:<OBJECT>, rope:<OBJECT>, ladder:<OBJECT>, string:<OBJECT>, "
         "stick:<OBJECT>, stone:<OBJECT>, rock:<OBJECT>, cake:<OBJECT>, bread:<OBJECT>, "
         "milk:<OBJECT>, cookie:<OBJECT>, water:<OBJECT>, sun:<OBJECT>, moon:<OBJECT>, "
         "star:<OBJECT>, cloud:<OBJECT>, rain:<OBJECT>, snow:<OBJECT>, bus:<OBJECT>, toy:<OBJECT>, "
         "shelf:<OBJECT>, bench:<OBJECT>, log:<OBJECT>, bush:<OBJECT>, swing:<OBJECT>, "
         "slide:<OBJECT>, bell:<OBJECT>, clock:<OBJECT>, nest:<OBJECT>, towel:<OBJECT>";
}

}  // namespace xlstm::data
