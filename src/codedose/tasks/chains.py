"""The stories of gsm8k: chains of events that can stop after any of them, and short problems of several steps.

Slots and steps are those of frames.py. The sentences are ours; from GSM8K comes only the kind of problem.
"""

from dataclasses import dataclass

from codedose.tasks.frames import FRUIT, TOYS, Frame


@dataclass(frozen=True)
class Chain:
    """A story that can stop after any of its events: (sentence, step, question if it stops here)."""

    name: str
    events: tuple[tuple[str, str, str], ...]


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

# From level 2 on: percent, fractions, prices with cents, measures.
GSM8K_WIDER = (
    Chain(
        "gsm8k-library",
        (
            ("A library has {a} books, and {h} of them are novels.", "h of a", "How many novels are there?"),
            ("{f} of the novels are on loan.", "f of r1", "How many novels are on loan?"),
            ("The other novels stand on the shelves.", "r1 - r2", "How many novels stand on the shelves?"),
            ("Every shelf holds {k} novels and is full.", "r3 / k", "How many shelves are there?"),
            ("Each shelf is {s} meters long.", "r4 * s", "How many meters of shelves are there?"),
            ("{t} meters of empty shelves stand beside them.", "r5 + t", "How many meters of shelves is that?"),
        ),
    ),
    Chain(
        "gsm8k-market",
        (
            ("{name} sells {k} jars of honey for {u} dollars each.", "k * u", "How many dollars does the honey bring?"),
            ("{He} also sells {m} candles for {v} dollars each.", "m * v", "How many dollars do the candles bring?"),
            ("The money for honey and candles goes into a box.", "r1 + r2", "How many dollars go into the box?"),
            ("The stall costs {h} of this money.", "h of r3", "How many dollars does the stall cost?"),
            ("{name} pays for the stall out of the box.", "r3 - r4", "How many dollars stay in the box?"),
            ("{He} does all of this in {n} different towns.", "r5 * n", "How many dollars stay from all the towns?"),
        ),
    ),
    Chain(
        "gsm8k-hike",
        (
            ("{name} hikes {s} miles on each of {k} days.", "s * k", "How many miles does {name} hike?"),
            ("On one more day {he} hikes {t} miles.", "r1 + t", "How many miles does {name} hike altogether?"),
            ("{other} hikes twice as far as that.", "r2 * 2", "How many miles does {other} hike?"),
            ("{f} of what {other} hikes is uphill.", "f of r3", "How many miles does {other} hike uphill?"),
            ("The other miles of {other} are easy.", "r3 - r4", "How many miles of {other} are easy?"),
            ("An easy mile takes {other} {m} minutes.", "r5 * m", "How many minutes do the easy miles take?"),
        ),
    ),
    Chain(
        "gsm8k-band",
        (
            ("A school has {a} pupils, and {h} of them play music.", "h of a", "How many pupils play music?"),
            ("{f} of these pupils are in the band.", "f of r1", "How many pupils are in the band?"),
            ("Each of them pays {u} dollars a month.", "r2 * u", "How many dollars does the band get in a month?"),
            ("They pay in every month of the year.", "r3 * 12", "How many dollars does the band get in a year?"),
            ("From this the band spends {b} dollars.", "r4 - b", "How many dollars does the band have left?"),
            ("A gift of {v} dollars comes on top.", "r5 + v", "How many dollars does the band have with the gift?"),
        ),
    ),
)

# Two to four steps in few sentences, from level 2 on.
GSM8K_FRAMES = (
    Frame(
        "gsm8k-change",
        "{name} buys {k} shirts for {u} dollars each and pays with {a} dollars. How many dollars does {he} get back?",
        ("k * u", "a - r1"),
    ),
    Frame(
        "gsm8k-discount",
        "A coat has cost {a} dollars until now and is sold at a discount of {h} this week. "
        "How many dollars does {name} pay for {k} such coats?",
        ("h of a", "a - r1", "r2 * k"),
    ),
    Frame(
        "gsm8k-pupils",
        "Of the {a} pupils of a school {h} walk to school. Of the others {f} take the bus, and the rest come by "
        "bicycle. How many pupils come by bicycle?",
        ("h of a", "a - r1", "f of r2", "r2 - r3"),
    ),
    Frame(
        "gsm8k-overtime",
        "{name} earns {u} dollars an hour, and {v} dollars for every hour of overtime. Last week {he} worked {k} "
        "regular hours and {m} hours of overtime. How many dollars did {he} earn last week?",
        ("u * k", "v * m", "r1 + r2"),
    ),
    Frame(
        "gsm8k-clovers",
        "In a field of {a} clovers {h} have four leaves, and {f} of these are purple. "
        "How many clovers in the field are purple and have four leaves?",
        ("h of a", "f of r1"),
    ),
    Frame(
        "gsm8k-ages",
        "{name} is {k} times as old as {other}, and {other} is {m} years old now. How old will {name} be in {n} years?",
        ("m * k", "r1 + n"),
    ),
    Frame(
        "gsm8k-flour",
        "A cake takes {s} cups of flour. {name} has {a} cups of flour, and {b} of them must be kept for bread. "
        "How many cakes can {he} bake with the rest, so that nothing is left over?",
        ("a - b", "r1 / s"),
    ),
    Frame(
        "gsm8k-miles",
        "{name} runs {s} miles on each of {k} days and {t} miles on each of {m} days. "
        "{other} runs {n} miles less than {name} in all. How many miles does {other} run?",
        ("s * k", "t * m", "r1 + r2", "r3 - n"),
    ),
    Frame(
        "gsm8k-rolls",
        "A bakery sells {k} dozen rolls a day at {u} dollars each. How many dollars do the rolls bring in a week?",
        ("k * 12", "r1 * u", "r2 * 7"),
    ),
    Frame(
        "gsm8k-twice",
        "{name} has {a} {things}, and {other} has twice as many. Together they give {f} of all their {things} away. "
        "How many {things} do they keep?",
        ("a * 2", "a + r1", "f of r2", "r2 - r3"),
        TOYS,
    ),
    Frame(
        "gsm8k-budget",
        "Every month {name} spends {f} of a budget of {a} dollars on food and {h} of the budget on rent. "
        "How many dollars of the budget are left for other things?",
        ("f of a", "h of a", "a - r1", "r3 - r2"),
    ),
    Frame(
        "gsm8k-pens",
        "If {k} pens of one kind cost {u} dollars, how many dollars do {m} pens of that kind cost?",
        ("u / k", "r1 * m"),
    ),
    Frame(
        "gsm8k-dinner",
        "The dinner of {name} costs {a} dollars. The tax is {h} of that, and {he} leaves {b} dollars as a tip. "
        "How many dollars does {name} pay in all?",
        ("h of a", "a + r1", "r2 + b"),
    ),
    Frame(
        "gsm8k-snacks",
        "Snacks come in packs of {k}, and there are {a} children, {m} coaches and {n} helpers. "
        "How many packs are needed, so that everybody gets one snack and none is left over?",
        ("a + m", "r1 + n", "r2 / k"),
    ),
    Frame(
        "gsm8k-fruit",
        "{name} shares {a} {things} equally among {k} friends. {other} is one of them and eats {f} of the share. "
        "How many {things} does {other} eat?",
        ("a / k", "f of r1"),
        FRUIT,
    ),
)
