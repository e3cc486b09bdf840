"""The words that generated items are made of: first names, things, animals. Chosen by us, in no order that matters."""

WOMEN = tuple(
    """Abigail Ada Agnes Alma Amara Anja Astrid Audrey Beatrix Bianca Brenda Bridget Camille Carmen Cecilia Celeste
    Chiara Claire Clara Cora Daphne Delia Diana Edith Elena Eliza Elsa Esme Eva Fatima Faye Fiona Flora Freya Gemma
    Gloria Greta Hana Harriet Hazel Helga Ida Imogen Ines Ingrid Irene Iris Isla Ivy Jasmine Joan Josie June Kira
    Lara Leila Lena Lila Lucia Lydia Mabel Maeve Marta Maya Mei Mina Nadia Naomi Nina Noor Nora Odette Olga Orla
    Paloma Penny Petra Priya Rosa Ruth Sabine Selma Sofia Sylvia Tamar Tess Thea Uma Vera Wanda Yara Zoe""".split()
)

MEN = tuple(
    """Abel Adrian Ahmed Alan Albert Amir Andre Anton Arno Arthur Axel Basil Bruno Caleb Carl Cedric Clive Conrad
    Cyrus Damian Darius Dexter Diego Duncan Edgar Edwin Elias Emil Enzo Erik Ernest Felix Finn Floyd Fritz Gareth
    Gavin Gilbert Gordon Gustav Hamid Harvey Hector Hugo Ian Idris Igor Ivan Jasper Joel Jonas Jorge Julian Kaito
    Karl Kenji Kofi Lars Leon Lionel Louis Luca Magnus Malik Marco Mateo Milan Miles Nico Nigel Noel Olaf Omar Oscar
    Otto Pablo Pedro Percy Quentin Rafael Ralph Ravi Reuben Roland Rufus Samir Simon Stefan Sven Tariq Theo Tobias
    Uri Victor Walter Xavier Yusuf Zane""".split()
)

NAMES = WOMEN + MEN

# Single words whose first and last letters spread over the alphabet.
WORDS = tuple(
    """acorn album amber anchor apricot arrow attic autumn bagel balcony bamboo banjo barrel basil beacon blanket
    bishop bonus branch breeze bronze bucket cabin cactus camel candle canvas carpet cello chalk cherry cliff cobweb
    comet copper coral cotton crayon dagger daisy desert diamond dragon drum eagle early eleven ember engine epoch
    fabric falcon feather fiddle flag flute forest fossil fresco galaxy garden ghost giraffe glove goblet granite
    gravel guitar hammer harbor harp hawk helmet hero honey icicle igloo indigo insect iris island ivory jacket jaguar
    jelly jigsaw jungle kayak kernel kettle kimono kitten koala ladder lagoon lantern lemon lilac lizard logic lotus
    magnet mango maple marble meadow melon mirror motto muffin napkin nectar needle nickel noodle nugget nylon oak
    oasis ocean olive opal orbit orchid otter oxygen paddle panda parrot peach pebble pencil piano pillow planet
    quartz quilt quiz rabbit radish rainbow raven ribbon river robin rocket ruby saddle salad salmon scarf shovel
    silk sketch spoon squid stamp sugar sunset table tempo thumb tiger toast topaz trumpet tulip tunnel turban
    umbrella unicorn uncle urban vacuum valley vanilla velvet violin voyage waffle walnut walrus willow window wizard
    wolf wool xylem yacht yarn yeast yellow yoga zebra zenith zigzag""".split()
)

THINGS = tuple(
    """apple backpack ball banana basket bell belt bicycle blanket book boot bottle bowl box bracelet brick broom
    button cake calendar candle card chair clock coat coin comb cookie cup curtain desk dish doll door drum envelope
    fan flag flower fork glove guitar hammer hat helmet jar jug kettle key kite knife ladder lamp leaf lemon magnet
    map marble mask melon mirror mug nail needle notebook orange paddle paper pear pen pillow pin plate plum pot puzzle
    radio ring robe rope ruler sandal scarf shell shirt shoe shovel sock soap sofa spoon sponge stamp stone stool
    string table tent ticket towel toy tray vase wallet whistle wheel""".split()
)

LONG_THINGS = (
    "alarm clock", "bread knife", "bus ticket", "butter dish", "camping stove", "coffee mug", "desk lamp", "door key",
    "fishing rod", "frying pan", "garden hose", "ice cube", "jewel case", "map of Norway", "music stand", "oil lamp",
    "paper clip", "photo frame", "picture book", "pocket watch", "rocking chair", "sewing needle", "shopping bag",
    "silver ring", "snow globe", "soup bowl", "sun hat", "tennis racket", "toy train", "wine glass", "wool sweater",
)  # fmt: skip

# singular: plural
ANIMALS = {
    "cat": "cats",
    "mouse": "mice",
    "sheep": "sheep",
    "wolf": "wolves",
    "fox": "foxes",
    "goat": "goats",
    "bear": "bears",
    "horse": "horses",
}

KINDS = {**ANIMALS, "swan": "swans", "lion": "lions", "frog": "frogs", "rhino": "rhinos", "parrot": "parrots"}

COLOURS = ("white", "gray", "green", "yellow", "brown", "black")
