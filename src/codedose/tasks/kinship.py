"""clutrr: which relation one member of a family is to another, told along a chain of relatives.

A family is built first; the answer is read off it, and the story tells a path through it. So the
answer never depends on a table of compositions: the solver has one, and must agree.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from codedose.tasks.solvers import find_kin
from codedose.tasks.task import Problem, Task
from codedose.tasks.words import MEN, WOMEN

HOPS_AT = ((2, 2), (3, 3), (4, 5), (6, 8))

ANSWERS = (
    "mother", "father", "daughter", "son", "sister", "brother", "grandmother", "grandfather", "granddaughter",
    "grandson", "aunt", "uncle", "niece", "nephew", "mother-in-law", "father-in-law", "daughter-in-law", "son-in-law",
)  # fmt: skip
# A chain of six and more cannot stay within parents and children: there are too few of them to meet nobody twice.
CLASSES = (ANSWERS, ANSWERS, ANSWERS, ANSWERS[6:])
FORMS = {
    **{word: word for word in (*ANSWERS, "wife", "husband")},
    **{word.replace("-", " "): word for word in ANSWERS if "-" in word},
    "mom": "mother", "mum": "mother", "mommy": "mother", "dad": "father", "daddy": "father", "grandma": "grandmother",
    "grandmom": "grandmother", "granny": "grandmother", "grandpa": "grandfather", "granddad": "grandfather",
    "grand-mother": "grandmother", "grand-father": "grandfather", "grand-son": "grandson",
    "grand-daughter": "granddaughter", "grand mother": "grandmother", "grand father": "grandfather",
    "grand son": "grandson", "grand daughter": "granddaughter", "auntie": "aunt", "aunty": "aunt",
}  # fmt: skip


@dataclass(eq=False)
class Person:
    name: str
    woman: bool
    parents: tuple["Person", ...] = ()
    children: list["Person"] = field(default_factory=list)
    spouse: "Person | None" = None

    @property
    def siblings(self) -> list["Person"]:
        return [child for parent in self.parents[:1] for child in parent.children if child is not self]


def family(rng: Random) -> list[Person]:
    """Four generations, about 30 people: every couple shares its children, every name is used once."""
    names = {True: rng.sample(WOMEN, len(WOMEN)), False: rng.sample(MEN, len(MEN))}
    people: list[Person] = []

    def born(woman: bool, parents: tuple[Person, ...] = ()) -> Person:
        person = Person(names[woman].pop(), woman, parents)
        for parent in parents:
            parent.children.append(person)
        people.append(person)
        return person

    def couple_with_children(one: Person, parents: tuple[Person, ...], count: int) -> list[Person]:
        one.spouse = other = born(not one.woman, parents)
        other.spouse = one
        return [born(rng.random() < 0.5, (one, other)) for _ in range(count)]

    def couple(parents: tuple[Person, ...] = ()) -> tuple[Person, ...]:
        one, other = born(True, parents), born(False)
        one.spouse, other.spouse = other, one
        return one, other

    elders = born(rng.random() < 0.5)
    second = couple_with_children(elders, (), rng.randint(3, 4))
    third = [child for one in second[:2] for child in couple_with_children(one, couple(), rng.randint(3, 4))]
    couple_with_children(rng.choice(third), couple(), 2)
    return people


def relation(whose: Person, who: Person) -> str | None:
    """The family word for what `who` is to `whose`, if CLUTRR has one; blood relatives before in-laws."""
    above = [grand for parent in whose.parents for grand in parent.parents]
    below = [grand for child in whose.children for grand in child.children]
    circles = (
        (("mother", "father"), whose.parents),
        (("daughter", "son"), whose.children),
        (("sister", "brother"), whose.siblings),
        (("wife", "husband"), [whose.spouse]),
        (("grandmother", "grandfather"), above),
        (("granddaughter", "grandson"), below),
        (("aunt", "uncle"), [one for parent in whose.parents for one in parent.siblings]),
        (("niece", "nephew"), [child for one in whose.siblings for child in one.children]),
        (("mother-in-law", "father-in-law"), whose.spouse.parents if whose.spouse else ()),
        (("daughter-in-law", "son-in-law"), [child.spouse for child in whose.children]),
    )
    return next((words[0 if who.woman else 1] for words, circle in circles if who in circle), None)


def near(person: Person) -> list[Person]:
    return [*person.parents, *person.children, *person.siblings, *([person.spouse] if person.spouse else [])]


def wander(rng: Random, start: Person, hops: int) -> list[Person]:
    """A random chain of close relatives from `start` that meets nobody twice; shorter where it runs into a dead end."""
    way = [start]
    while len(way) <= hops:
        nexts = [person for person in near(way[-1]) if person not in way]
        if not nexts:
            break
        way.append(rng.choice(nexts))
    return way


def find_way(rng: Random, answer: str, hops: int) -> list[Person]:
    """A chain of `hops` relatives whose last person is the first one's `answer`."""
    while True:
        people = family(rng)
        for _ in range(10 * len(people)):
            way = wander(rng, rng.choice(people), hops)
            if len(way) == hops + 1 and relation(way[0], way[-1]) == answer:
                return way


OUTINGS = ("went to the market with", "wrote a long letter to", "played cards with", "cooked dinner for", "phoned")


def tell(rng: Random, whose: Person, who: Person) -> str:
    word = relation(whose, who)
    return rng.choice(
        (
            f"{whose.name}'s {word} is {who.name}.",
            f"{who.name} is the {word} of {whose.name}.",
            f"{whose.name} {rng.choice(OUTINGS)} {'her' if whose.woman else 'his'} {word} {who.name}.",
        )
    )


def clutrr(rng: Random, level: int) -> Problem:
    """A story of close relatives; from level 2 on some are told from the other side, from level 3 on in any order."""
    answer = rng.choice(CLASSES[level - 1])
    way = find_way(rng, answer, rng.randint(*HOPS_AT[level - 1]))
    links = list(pairwise(way))
    turned = [level > 1 and link != links[-1] and rng.random() < 0.4 for link in links]
    story = [tell(rng, b, a) if back else tell(rng, a, b) for (a, b), back in zip(links, turned, strict=True)]
    if level > 2:
        rng.shuffle(story)
    return Problem(f"{' '.join(story)} What relation is {way[-1].name} to {way[0].name}?", answer)


CLUTRR = Task(
    name="clutrr",
    domain="logical",
    source="Named by the reference study. CLUTRR, Sinha et al. 2019, arXiv 1908.06177.",
    instruction="Find the family relation.",
    answer_format='End your reply with a line "Answer: <family word>".',
    answer_type="word",
    generate=clutrr,
    classes=CLASSES,
    vocabulary=FORMS,
    solve=find_kin,
)
