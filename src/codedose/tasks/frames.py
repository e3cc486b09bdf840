"""The problem frames of the arithmetic tasks: stories with slots for names, things and numbers.

a, b, c, d stand for amounts, k, m, n, p, q for smaller factors, u and v for prices, s and t for measures, h for
percent, f for a fraction; g, j, w, x, y and z for numbers that do not matter. `steps` is the worked solution: r1 is
the result of the first step, r2 of the second; "h of a" takes a part. These frames are those of level 1; wider.py
and chains.py hold what comes from level 2 on. The sentences are ours; from the published tasks comes only the
kind of problem.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """One kind of problem. `things` are plural nouns for {things}, of which {others} is another;
    `asides` are sentences with numbers that do not matter, for {aside}."""

    name: str
    text: str
    steps: tuple[str, ...]
    things: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()


TOYS = ("marbles", "stickers", "shells", "buttons", "postcards", "beads")
FRUIT = ("apples", "pears", "plums", "lemons", "peaches", "mangoes")
FLOWERS = ("tulips", "roses", "daisies", "lilies", "poppies")

# Two numbers matter, one operation; the aside adds numbers that do not (the shape of SVAMP).
SVAMP_FRAMES = (
    Frame(
        "svamp-find",
        "{name} had {a} {things}.{aside} At the beach {name} found {b} more {things}. "
        "How many {things} does {name} have now?",
        ("a + b",),
        TOYS,
        (" {name} also had {x} {others}.", " {other} had {x} {things}."),
    ),
    Frame(
        "svamp-lose",
        "There were {a} {things} in a jar.{aside} {name} took {b} {things} out of the jar. "
        "How many {things} are still in the jar?",
        ("a - b",),
        TOYS,
        (" There were {x} {others} in a box.", " The jar stood on a shelf with {z} books."),
    ),
    Frame(
        "svamp-rows",
        "A gardener planted {k} rows of {things} with {m} {things} in each row.{aside} "
        "How many {things} did the gardener plant?",
        ("k * m",),
        FLOWERS,
        (" The garden also has {x} {others}.", " It took {z} days."),
    ),
    Frame(
        "svamp-share",
        "{name} put {a} {things} into {k} baskets, the same number in every basket.{aside} "
        "How many {things} are in each basket?",
        ("a / k",),
        FRUIT,
        (" {other} has {x} {others}.", " Each basket can hold up to {z} kilograms."),
    ),
    Frame(
        "svamp-more",
        "{name} picked {a} {things} and {other} picked {b} {things}.{aside} "
        "How many more {things} did {name} pick than {other}?",
        ("a - b",),
        FRUIT,
        (" They also picked {x} {others} together.", " The orchard has {z} trees."),
    ),
    Frame(
        "svamp-price",
        "One ticket for the fair costs {k} dollars.{aside} {name} buys {m} tickets. How many dollars does {name} pay?",
        ("k * m",),
        (),
        (" The fair lasts {z} days.", " Last year {x} people came to the fair."),
    ),
    Frame(
        "svamp-bags",
        "A shop sells {things} in bags of {k}.{aside} {name} needs {a} {things}. How many bags should {name} buy?",
        ("a / k",),
        FRUIT,
        (" It sells {others} in bags of {x}.", " The shop has {z} shelves."),
    ),
    Frame(
        "svamp-before",
        "{name} gave {a} {things} to {other} and has {b} {things} left.{aside} "
        "How many {things} did {name} have at first?",
        ("a + b",),
        TOYS,
        (" {other} already had {x} {things}.", " {name} has {x} {others} too."),
    ),
    Frame(
        "svamp-missing",
        "{name} has a puzzle with {a} pieces.{aside} {name} has already placed {b} pieces. "
        "How many pieces does {name} still have to place?",
        ("a - b",),
        (),
        (" {other} has a puzzle with {x} pieces.", " The picture shows {z} ships."),
    ),
    Frame(
        "svamp-speed",
        "A machine fills {k} bottles in a minute.{aside} How many bottles come out in {m} minutes?",
        ("k * m",),
        (),
        (" Another machine fills {x} cans in a minute.", " There are {z} workers beside it."),
    ),
    Frame(
        "svamp-both",
        "On Monday {a} people visited the museum and on Tuesday {b} people did.{aside} "
        "How many people visited the museum on these two days?",
        ("a + b",),
        (),
        (" The museum shows {z} paintings.", " On Monday the zoo had {x} visitors."),
    ),
    Frame(
        "svamp-grew",
        "A tree was {b} centimeters tall when {name} planted it.{aside} Now this tree is {a} centimeters tall. "
        "By how many centimeters has it grown?",
        ("a - b",),
        (),
        (" It stands {z} meters from the house.", " The tree next to it has {z} branches."),
    ),
    Frame(
        "svamp-seats",
        "A hall has {a} seats in {k} equal rows.{aside} How many seats are there in one row?",
        ("a / k",),
        (),
        (" The stage is {z} steps wide.", " Last night {x} guests came."),
    ),
    Frame(
        "svamp-needed",
        "{name} wants to collect {a} {things}. {He} has {b} {things} so far.{aside} "
        "How many more {things} does {name} need?",
        ("a - b",),
        TOYS,
        (" {name} has {x} {others} as well.", " {other} has collected {x} {things}."),
    ),
    Frame(
        "svamp-trips",
        "A ferry carries {k} cars on every trip.{aside} How many trips does it need for {a} cars?",
        ("a / k",),
        (),
        (" A trip takes {z} minutes.", " There are {z} seats on the ferry."),
    ),
    Frame(
        "svamp-spent",
        "{name} had {a} dollars and spent {b} dollars on a coat.{aside} How many dollars does {name} have left?",
        ("a - b",),
        (),
        (" The coat has {z} buttons.", " {other} spent {x} dollars on a hat."),
    ),
)

# One operation, everyday wording (levels 1 and 2 of asdiv).
ASDIV_SIMPLE = (
    Frame(
        "asdiv-bowl",
        "A bowl holds {a} {things} and {b} {others}. How many fruits are in the bowl?",
        ("a + b",),
        FRUIT,
    ),
    Frame(
        "asdiv-bus",
        "{a} people were on a bus. {b} of them got off. How many people stayed on the bus?",
        ("a - b",),
    ),
    Frame(
        "asdiv-legs",
        "{name} sets {k} candles on each of {m} cakes. How many candles are there on the cakes?",
        ("k * m",),
    ),
    Frame(
        "asdiv-teams",
        "{a} children form teams of {k}. How many teams are there?",
        ("a / k",),
    ),
    Frame(
        "asdiv-taller",
        "{name} is {a} years old. {other} is {b} years older. How old is {other}?",
        ("a + b",),
    ),
    Frame(
        "asdiv-twice",
        "{name} wrote {a} letters. {other} wrote twice as many. How many letters did {other} write?",
        ("a * 2",),
    ),
    Frame("asdiv-half", "{name} baked {a} pies and sold half of them. How many pies did {name} sell?", ("a / 2",)),
    Frame(
        "asdiv-week",
        "A lamp burns for {k} hours a day. For how many hours does it burn in a week?",
        ("k * 7",),
    ),
    Frame(
        "asdiv-rope",
        "A rope of {a} meters is cut into {k} equal pieces. How many meters long is each piece?",
        ("a / k",),
    ),
    Frame(
        "asdiv-fewer",
        "{name} counted {a} {things} in the garden and {b} fewer {others}. How many {others} were there?",
        ("a - b",),
        FLOWERS,
    ),
)

# Two operations (levels 3 and 4 of asdiv).
ASDIV_DOUBLE = (
    Frame(
        "asdiv-rectangle",
        "A field is {a} meters long and {b} meters wide. "
        "A fence runs along both long sides and both short sides. How many meters of fence are there?",
        ("a + b", "r1 * 2"),
    ),
    Frame(
        "asdiv-change",
        "{name} buys {k} notebooks for {m} dollars each and pays with {a} dollars. "
        "How many dollars does {name} get back?",
        ("k * m", "a - r1"),
    ),
    Frame(
        "asdiv-sum-split",
        "{a} boys and {b} girls form {k} equal groups. How many children are in each group?",
        ("a + b", "r1 / k"),
    ),
    Frame(
        "asdiv-dozen",
        "{name} has {k} dozen eggs and breaks {b} of the eggs. How many whole eggs are left?",
        ("k * 12", "r1 - b"),
    ),
    Frame(
        "asdiv-together",
        "{name} walked {a} meters. {other} walked {b} meters more than {name}. "
        "How many meters did they walk altogether?",
        ("a + b", "a + r1"),
    ),
    Frame(
        "asdiv-weeks",
        "A painter paints {k} doors every day. How many doors are painted in {m} weeks?",
        ("k * 7", "r1 * m"),
    ),
    Frame(
        "asdiv-remaining",
        "Of {a} {things}, {b} were rotten. The good ones were packed into boxes of {k}. How many boxes were filled?",
        ("a - b", "r1 / k"),
        FRUIT,
    ),
    Frame(
        "asdiv-rate",
        "A pump moves {a} liters in {k} minutes, at an even pace. How many liters does it move in {m} minutes?",
        ("a / k", "r1 * m"),
    ),
)

# Two operations (the shape of MultiArith).
MULTIARITH_FRAMES = (
    Frame(
        "multiarith-combine",
        "{name} collected {a} {things} and {other} collected {b}. Together they gave {c} {things} away. "
        "How many {things} do they have left?",
        ("a + b", "r1 - c"),
        TOYS,
    ),
    Frame(
        "multiarith-boxes",
        "{name} filled {k} boxes with {m} {things} each and had {a} {things} left over. "
        "How many {things} were there at first?",
        ("k * m", "r1 + a"),
        FRUIT,
    ),
    Frame(
        "multiarith-pages",
        "A book has {a} pages. {name} has read {b} pages and reads {k} pages a day from now on. "
        "How many days will the rest take?",
        ("a - b", "r1 / k"),
    ),
    Frame(
        "multiarith-tables",
        "At a party {a} adults and {b} children sit down at tables for {k}, and every table is full. "
        "How many tables are there?",
        ("a + b", "r1 / k"),
    ),
    Frame(
        "multiarith-each",
        "{name} makes {k} necklaces. Each needs {m} red beads and {n} white beads. How many beads does {name} need?",
        ("m + n", "k * r1"),
    ),
    Frame(
        "multiarith-broken",
        "A box held {a} glasses, and {b} of them broke. {name} sold the others for {k} dollars each. "
        "How many dollars did {he} get?",
        ("a - b", "r1 * k"),
    ),
    Frame(
        "multiarith-sold",
        "{name} had {a} {things}, sold {b} of them and then bought {c} new ones. "
        "How many {things} does {name} have now?",
        ("a - b", "r1 + c"),
        TOYS,
    ),
    Frame(
        "multiarith-bunches",
        "{name} picked {a} {things}, but {b} of them wilted. {He} ties the others into bunches of {k}. "
        "How many bunches does {he} get?",
        ("a - b", "r1 / k"),
        FLOWERS,
    ),
    Frame(
        "multiarith-wages",
        "{name} earns {k} dollars an hour. {He} worked {m} hours and bought a bag for {b} dollars. "
        "How many dollars of the wages are left?",
        ("k * m", "r1 - b"),
    ),
    Frame(
        "multiarith-shelves",
        "A shop puts {k} toys on each shelf. It has {m} shelves of cars and {n} shelves of dolls. "
        "How many toys are on the shelves?",
        ("m + n", "k * r1"),
    ),
    Frame(
        "multiarith-cost",
        "A cap costs {a} dollars and a scarf costs {b} dollars. {name} buys {k} sets of one cap and one scarf. "
        "How many dollars does {name} pay?",
        ("a + b", "r1 * k"),
    ),
    Frame(
        "multiarith-left-each",
        "{name} shared {a} {things} equally among {k} friends. "
        "One of these friends, {other}, then lost {b} of them. How many of the {things} does {other} still have?",
        ("a / k", "r1 - b"),
        TOYS,
    ),
    Frame(
        "multiarith-two-days",
        "A cafe served {a} guests on Friday and {b} more than that on Saturday. "
        "How many guests did it serve on the two days?",
        ("a + b", "a + r1"),
    ),
    Frame(
        "multiarith-rounds",
        "{name} scored {a} points in {k} rounds of a game, the same in each. "
        "The last round also brings a bonus of {b} points. How many points does the last round bring in all?",
        ("a / k", "r1 + b"),
    ),
    Frame(
        "multiarith-difference",
        "{name} has {k} packs of {m} {things}. {other} has {b} single {things}. "
        "How many more {things} does {name} have?",
        ("k * m", "r1 - b"),
        TOYS,
    ),
    Frame(
        "multiarith-rides",
        "{name} has {a} tickets for the fair and wins {b} more. Every ride costs {k} tickets. "
        "How many rides can {he} take?",
        ("a + b", "r1 / k"),
    ),
)
