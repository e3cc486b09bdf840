"""What the arithmetic tasks ask from level 2 on, beside the frames of level 1, and the scenes before a problem.

The slots are those of frames.py. With these frames the levels together reach as far as the published
tasks do: money with cents, percent, fractions, measures, longer stories (benchmarks/twins.py compares them).
"""

from codedose.tasks.frames import FLOWERS, TOYS, Frame

SVAMP_WIDER = (
    Frame(
        "svamp-got-off",
        "{a} children were riding on the bus to school.{aside} At the next stop some of them got off, and then {b} "
        "children were left on the bus. How many children got off at that stop?",
        ("a - b",),
        (),
        (" The bus has {x} seats.", " {z} trees stood at the stop."),
    ),
    Frame(
        "svamp-aunt",
        "{name} had {a} {things}. {He} gave {b} of them to {other} and later got {c} {things} from an aunt.{aside} "
        "How many {things} does {name} have now?",
        ("a - b", "r1 + c"),
        TOYS,
        (" The aunt also has {x} {others}.", " {other} had {x} {others}."),
    ),
    Frame(
        "svamp-lost",
        "During the school year {name} gave {a} {things} to {his} friends, and {he} lost {b} {things} as well.{aside} "
        "How many more {things} did {he} give away than lose?",
        ("a - b",),
        TOYS,
        (" {He} kept {x} {others}.", " {name} has {z} friends."),
    ),
    Frame(
        "svamp-emails",
        "{name} received {a} emails in the morning and {b} emails in the evening.{aside} "
        "How many emails did {name} receive in the morning and in the evening together?",
        ("a + b",),
        (),
        (" {He} received {x} emails in the afternoon.", " {He} wrote {z} letters that day."),
    ),
    Frame(
        "svamp-shirts",
        "A shop made {a} dollars by selling {k} shirts, all of them at the same price.{aside} "
        "What was the price of one shirt, in dollars?",
        ("a / k",),
        (),
        (" It also sold {x} hats.", " The shop is open for {z} hours a day."),
    ),
    Frame(
        "svamp-crates",
        "{k} crates hold {m} bottles each.{aside} {b} of the bottles are empty. How many of the bottles are full?",
        ("k * m", "r1 - b"),
        (),
        (" There are {x} cups beside the crates.", " It took {z} people to carry them."),
    ),
    Frame(
        "svamp-cave",
        "A cave is {a} feet deep.{aside} {name} has already walked {b} feet into it. "
        "How many feet is it from there to the end of the cave?",
        ("a - b",),
        (),
        (" Another cave is {x} feet deep.", " {name} carries {z} lamps."),
    ),
    Frame(
        "svamp-park",
        "{name} collects {things}. {He} found {b} of them at the park, and now there are {a} {things} in {his} "
        "collection.{aside} How many {things} were there before?",
        ("a - b",),
        TOYS,
        (" {He} has {x} {others} too.", " At the park {he} also found {x} {others}."),
    ),
)

ASDIV_WIDER_SIMPLE = (
    Frame(
        "asdiv-shoes",
        "A store sold {a} pairs of sneakers, {b} pairs of sandals and {c} pairs of boots. "
        "How many pairs of shoes did it sell?",
        ("a + b", "r1 + c"),
    ),
    Frame(
        "asdiv-weights",
        "One box weighs {s} kilograms, and another weighs {t} kilograms. How many kilograms do they weigh together?",
        ("s + t",),
    ),
    Frame(
        "asdiv-prices",
        "A book costs {u} dollars, and a magazine costs {v} dollars. How many dollars more does the book cost?",
        ("u - v",),
    ),
    Frame(
        "asdiv-pages",
        "A book has {a} pages, and {name} has read {f} of them. How many pages has {name} read?",
        ("f of a",),
    ),
    Frame(
        "asdiv-film",
        "A film lasts {a} minutes. {name} has already watched {b} minutes of it. How many minutes are left?",
        ("a - b",),
    ),
    Frame(
        "asdiv-boats",
        "For a trip to the lake the class of {name} rented {k} boats. There were {m} children in each of the boats, "
        "and nobody was left behind on the shore. How many children went on the trip?",
        ("k * m",),
    ),
    Frame(
        "asdiv-librarian",
        "The librarian has {a} books to put onto shelves. If {k} books fit on one shelf, how many shelves are filled?",
        ("a / k",),
    ),
    Frame(
        "asdiv-pencils",
        "If {name} buys {k} pencils for {u} dollars each, how many dollars does {he} spend?",
        ("k * u",),
    ),
    Frame(
        "asdiv-thrice",
        "{name} has {a} {things}, and {other} has three times as many. How many {things} does {other} have?",
        ("a * 3",),
        TOYS,
    ),
    Frame(
        "asdiv-area",
        "The floor of a room is {a} feet long and {k} feet wide. How many square feet of carpet cover the floor?",
        ("a * k",),
    ),
    Frame(
        "asdiv-won",
        "{name} and {other} won some tickets at the fair. {name} won {a} tickets, and together they won {b} tickets "
        "more than that. How many tickets did they win together?",
        ("a + b",),
    ),
)

ASDIV_WIDER_DOUBLE = (
    Frame(
        "asdiv-average",
        "{name} scored {a}, {b} and {c} points in three games. What was {his} average number of points in a game?",
        ("a + b", "r1 + c", "r2 / 3"),
    ),
    Frame(
        "asdiv-two-prices",
        "{name} buys a book for {u} dollars and a pen for {v} dollars, and pays with {a} dollars. "
        "How many dollars does {he} get back?",
        ("u + v", "a - r1"),
    ),
    Frame(
        "asdiv-sale",
        "A bicycle costs {a} dollars. In the sale its price is lower by {h}. "
        "How many dollars does it cost in the sale?",
        ("h of a", "a - r1"),
    ),
    Frame(
        "asdiv-kept",
        "{name} had {a} {things} and gave {f} of them to {other}. How many {things} did {name} keep?",
        ("f of a", "a - r1"),
        TOYS,
    ),
    Frame(
        "asdiv-visitors",
        "{a} people came to the fair on Friday, {b} people came on Saturday and {c} people came on Sunday. "
        "How many more people came on the first two days together than on Sunday?",
        ("a + b", "r1 - c"),
    ),
    Frame(
        "asdiv-fewer-both",
        "{name} planted {a} {things}. {other} planted {b} fewer {things} than that. "
        "How many {things} did the two of them plant in all?",
        ("a - b", "a + r1"),
        FLOWERS,
    ),
)

MULTIARITH_WIDER = (
    Frame(
        "multiarith-shirts",
        "While shopping for clothes, {name} bought {a} plain shirts and {b} striped shirts. {He} then gave {c} of the "
        "shirts back to the shop because they did not fit. How many shirts did {name} keep?",
        ("a + b", "r1 - c"),
    ),
    Frame(
        "multiarith-decks",
        "A magician was selling decks of magic cards for {k} dollars each. If the magician started with {a} decks and "
        "had {b} decks left by the end of the day, how many dollars did the magician earn?",
        ("a - b", "r1 * k"),
    ),
    Frame(
        "multiarith-meals",
        "At a restaurant every adult meal costs {k} dollars, and children eat for free. If a group of {a} people came "
        "in and {b} of them were children, how many dollars did the group pay?",
        ("a - b", "r1 * k"),
    ),
    Frame(
        "multiarith-homework",
        "{name} had {a} math problems and {b} science problems for homework. If {he} finished {c} of the problems at "
        "school, how many problems did {he} still have to do at home?",
        ("a + b", "r1 - c"),
    ),
    Frame(
        "multiarith-enemies",
        "In a video game every enemy that is defeated gives {k} points. If a level has {a} enemies and {name} defeats "
        "all but {b} of them, how many points does {he} earn on this level?",
        ("a - b", "r1 * k"),
    ),
    Frame(
        "multiarith-saved",
        "{name} saved {a} dollars in one month and {b} dollars in the next one. If a game costs {k} dollars, "
        "how many games can {he} buy with all that money, so that nothing is left?",
        ("a + b", "r1 / k"),
    ),
    Frame(
        "multiarith-cookies",
        "For the school fair {name} baked {k} cookies an hour, and {he} baked for {m} hours. "
        "{He} then put all the cookies into bags of {n}. How many bags did {he} fill?",
        ("k * m", "r1 / n"),
    ),
    Frame(
        "multiarith-pictures",
        "{name} had {a} pictures on a camera, deleted half of them and then took {b} new ones. "
        "How many pictures are on the camera now?",
        ("a / 2", "r1 + b"),
    ),
    Frame(
        "multiarith-line",
        "At the fair there were {a} people in line for the bumper cars. If {b} of them got tired of waiting and left "
        "and {c} more people got in line, how many people were then in line?",
        ("a - b", "r1 + c"),
    ),
    Frame(
        "multiarith-slices",
        "At a party {name} cut {k} pizzas into {m} slices each, and the guests ate {a} of the slices. "
        "How many slices of pizza were left over when the party came to its end?",
        ("k * m", "r1 - a"),
    ),
)

# What may stand before a problem. The second group tells a number that does not matter.
SCENES = (
    "One day {name} told this to {other} on the way home from school.",
    "One evening {name} and {other} were sitting in the kitchen and talking.",
    "It was a warm day in the middle of summer, and everybody was outside.",
    "{name} likes to know exactly how many of everything there are.",
    "{other} asked {name} about this and wanted to hear the whole story first.",
    "The town where {name} lives is a quiet place beside a wide river.",
    "{name} has a good friend whose name is {other}, and they meet almost every day.",
    "After lunch {name} took a sheet of paper and wrote everything down.",
    "It had been raining for days, but now the sun was out at last.",
    "{other} once heard about this from a neighbor who knows everybody in the street.",
    "{name} had been looking forward to this for a very long time.",
    "Nobody but {name} knew about it, and that was to change soon.",
    "This is a story about {name}, who never does anything without counting.",
    "On the last day before the holidays nobody wanted to work any more.",
    "{name} works at home, and {his} desk stands beside a large window.",
    "There was a lot of noise in the street, so {other} closed the window.",
)
IDLE_SCENES = (
    "One day {name} got up at {j} in the morning, as {he} always does.",
    "{name} lives at number {g} in a street that is called Mill Lane.",
    "There were {g} people in the park when {name} walked home that day.",
    "{other} had been waiting for {j} hours and was getting hungry.",
    "{name} has known {other} for {j} years, and they live next door to each other.",
    "In the house of {name} there are {j} rooms, and one of them is empty.",
    "The radio said that it would be {g} degrees in the shade that day.",
    "{name} counted {g} cars on the road while {he} was waiting.",
)
