"""The problem frames of the arithmetic tasks: stories with slots for names, things and numbers.

a, b, c, d stand for amounts, k, m, n for smaller factors, w, x, y and z for numbers that do not matter.
`steps` is the worked solution: r1 is the result of the first step, r2 of the second. The sentences
are ours; from the published tasks comes only the kind of problem.
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


@dataclass(frozen=True)
class Chain:
    """A story that can stop after any of its events: (sentence, step, question if it stops here)."""

    name: str
    events: tuple[tuple[str, str, str], ...]


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

# Two to six steps (the shape of GSM8K): a level tells more or fewer of the events.
GSM8K_CHAINS = (
    Chain(
        "gsm8k-bakery",
        (
            ("{name} bakes {k} trays with {m} rolls on each tray.", "k * m", "How many rolls does {name} bake?"),
            ("{He} keeps {n} rolls for {his} family and sells the others.", "r1 - n", "How many rolls does {he} sell?"),
            ("A roll costs {p} dollars.", "r2 * p", "How many dollars does {he} take in?"),
            ("From this {he} pays {a} dollars for flour.", "r3 - a", "How many dollars are left after that?"),
            ("{He} does exactly the same on {q} days.", "r4 * q", "How many dollars are left from all {q} days?"),
            ("{He} saves half of this money.", "r5 / 2", "How many dollars does {he} save?"),
        ),
    ),
    Chain(
        "gsm8k-reading",
        (
            (
                "{name} reads {k} pages every morning and {m} pages every evening.",
                "k + m",
                "How many pages is that a day?",
            ),
            (
                "{He} does this for {n} days and then the book is finished.",
                "r1 * n",
                "How many pages does the book have?",
            ),
            ("The next book is {a} pages longer.", "r2 + a", "How many pages does the next book have?"),
            ("The third book is twice as long as the next book.", "r3 * 2", "How many pages does the third book have?"),
            (
                "In the third book {b} pages are pictures.",
                "r4 - b",
                "How many pages of the third book are not pictures?",
            ),
            ("{name} reads those in {p} equal parts.", "r5 / p", "How many pages is each part?"),
        ),
    ),
    Chain(
        "gsm8k-orchard",
        (
            ("An orchard has {k} rows of {m} trees.", "k * m", "How many trees are there?"),
            ("A storm fells {n} of the trees.", "r1 - n", "How many trees still stand?"),
            ("Every standing tree gives {p} baskets of fruit.", "r2 * p", "How many baskets does the orchard give?"),
            ("{a} more baskets come from a neighbor.", "r3 + a", "How many baskets are there in all?"),
            ("A van takes {q} baskets at a time, and every load is full.", "r4 / q", "How many loads are there?"),
            ("Each load is sold for {b} dollars.", "r5 * b", "How many dollars do the loads bring?"),
        ),
    ),
    Chain(
        "gsm8k-savings",
        (
            (
                "{name} puts {a} dollars into a box and {his} aunt adds {b} dollars.",
                "a + b",
                "How many dollars are in it?",
            ),
            (
                "An uncle then adds as much as is in the box, so it holds twice as much.",
                "r1 * 2",
                "How many dollars is that?",
            ),
            ("{name} takes {n} dollars out for a gift.", "r2 - n", "How many dollars stay in the box?"),
            ("The rest buys books for {k} dollars each, and nothing is left.", "r3 / k", "How many books are bought?"),
            ("{name} reads each book in {m} days.", "r4 * m", "How many days does {he} need for the books?"),
            ("{other} reads the same books in {c} days more than that.", "r5 + c", "How many days does {other} need?"),
        ),
    ),
    Chain(
        "gsm8k-trip",
        (
            ("{k} classes of {m} pupils go on a trip.", "k * m", "How many pupils go on the trip?"),
            ("{n} teachers go with them.", "r1 + n", "How many people go on the trip?"),
            ("A seat on the train costs {p} dollars for everyone.", "r2 * p", "How many dollars do the seats cost?"),
            ("The school pays {a} dollars of this.", "r3 - a", "How many dollars are still to be paid?"),
            ("Half of the remaining sum comes from a fund.", "r4 / 2", "How many dollars come from the fund?"),
            ("The fund makes {q} such gifts a year.", "r5 * q", "How many dollars does the fund give in a year?"),
        ),
    ),
    Chain(
        "gsm8k-eggs",
        (
            ("{name} keeps {k} hens, and each lays {m} eggs a week.", "k * m", "How many eggs does {name} get a week?"),
            ("{He} collects the eggs for {p} weeks.", "r1 * p", "How many eggs does {he} collect?"),
            ("{a} of the eggs break.", "r2 - a", "How many whole eggs are there?"),
            (
                "The whole eggs are packed into cartons of {q}, with none left over.",
                "r3 / q",
                "How many cartons are there?",
            ),
            ("A carton sells for {n} dollars.", "r4 * n", "How many dollars do the cartons bring?"),
            ("From this {name} buys feed for {b} dollars.", "r5 - b", "How many dollars are left?"),
        ),
    ),
    Chain(
        "gsm8k-printer",
        (
            ("A printer prints {k} pages a minute and runs for {m} minutes.", "k * m", "How many pages does it print?"),
            (
                "A second printer prints {a} pages more than that.",
                "r1 + a",
                "How many pages does the second one print?",
            ),
            ("The pages of both are put together.", "r1 + r2", "How many pages do both print?"),
            ("{b} pages are blurred and thrown away.", "r3 - b", "How many good pages are left?"),
            ("The good pages are bound into booklets of {n} pages.", "r4 / n", "How many booklets are there?"),
            ("Each booklet needs {p} staples.", "r5 * p", "How many staples are needed?"),
        ),
    ),
    Chain(
        "gsm8k-training",
        (
            (
                "{name} prepares for a race with {k} kilometers on each of {m} days.",
                "k * m",
                "How many kilometers does {he} run on these days?",
            ),
            (
                "On one more day {he} runs {n} kilometers.",
                "r1 + n",
                "How many kilometers does {he} run before the race?",
            ),
            (
                "{He} prepares in this way for {p} races.",
                "r2 * p",
                "How many kilometers does {he} run for these races?",
            ),
            ("{other} runs {a} kilometers less than that.", "r3 - a", "How many kilometers does {other} run?"),
            ("Both of their distances are added up.", "r3 + r4", "How many kilometers do the two run together?"),
            ("For every kilometer a sponsor gives {q} dollars.", "r5 * q", "How many dollars does the sponsor give?"),
        ),
    ),
    Chain(
        "gsm8k-tiles",
        (
            ("A wall has {k} rows of {m} tiles.", "k * m", "How many tiles are on the wall?"),
            ("A room has {p} walls like this.", "r1 * p", "How many tiles are in the room?"),
            ("{name} orders {n} tiles more than the room needs.", "r2 + n", "How many tiles does {name} order?"),
            ("The tiles come in packs of {q}, all of them full.", "r3 / q", "How many packs come?"),
            ("Each pack costs {b} dollars.", "r4 * b", "How many dollars do the packs cost?"),
            ("{name} has a voucher for {a} dollars.", "r5 - a", "How many dollars does {name} pay?"),
        ),
    ),
    Chain(
        "gsm8k-candles",
        (
            ("{name} melts {a} grams of old wax and {b} grams of new wax.", "a + b", "How many grams of wax is that?"),
            (
                "{He} pours it into molds of {k} grams, and nothing is left.",
                "r1 / k",
                "How many candles does {he} get?",
            ),
            ("{He} sells each candle for {m} dollars.", "r2 * m", "How many dollars do the candles bring?"),
            ("The wax had cost {n} dollars.", "r3 - n", "How many dollars are left once the wax is paid?"),
            ("{He} repeats all this {p} times in a year.", "r4 * p", "How many dollars are left over in a year?"),
            (
                "{other} earns {c} dollars a year more than {name}.",
                "r5 + c",
                "How many dollars does {other} earn in a year?",
            ),
        ),
    ),
    Chain(
        "gsm8k-tank",
        (
            (
                "A tank holds {a} liters, and a tap adds {k} liters an hour for {m} hours.",
                "k * m",
                "How many liters does the tap add?",
            ),
            ("Nothing is taken out in this time.", "a + r1", "How many liters are in the tank then?"),
            ("Afterwards the garden takes {n} liters.", "r2 - n", "How many liters are in the tank after that?"),
            ("The farm has {p} tanks that are just as full.", "r3 * p", "How many liters are in these tanks together?"),
            ("The water is shared equally among {q} fields.", "r4 / q", "How many liters does each field get?"),
            (
                "One of the fields gets {b} liters of rain as well.",
                "r5 + b",
                "How many liters does that field get in all?",
            ),
        ),
    ),
    Chain(
        "gsm8k-concert",
        (
            ("A choir sells {k} tickets at {m} dollars each.", "k * m", "How many dollars does the choir take in?"),
            ("At the bar it takes in {a} dollars more.", "r1 + a", "How many dollars does it take in altogether?"),
            ("The hall costs {b} dollars.", "r2 - b", "How many dollars are left after paying for the hall?"),
            ("A sponsor adds the same sum again, so there is twice as much.", "r3 * 2", "How many dollars is it then?"),
            ("The sum is shared equally among {n} singers.", "r4 / n", "How many dollars does each singer get?"),
            (
                "{name}, one of the singers, adds {c} dollars of {his} own.",
                "r5 + c",
                "How many dollars does {name} have?",
            ),
        ),
    ),
)
