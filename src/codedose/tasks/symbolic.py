"""The symbolic tasks: first_letters, last_letters, reverse_list, coin_flip."""

from random import Random

from codedose.tasks.solvers import follow_coin, join_first_letters, join_last_letters, reverse_order
from codedose.tasks.task import Problem, Task
from codedose.tasks.words import LONG_THINGS, NAMES, THINGS, WORDS

WORDS_AT = ((1, 2), (3, 3), (4, 6), (8, 12))  # fewest and most words, for the four levels
WORDS_THEMSELVES = ("a", "i")  # no reader could tell the letter from the word
LISTED_AT = ((2, 3), (3, 4), (5, 7), (9, 12))
PEOPLE_AT = ((1, 2), (3, 3), (4, 6), (8, 12))


def first_letters(rng: Random, level: int) -> Problem:
    return joined(rng, level, "first", 0)


def last_letters(rng: Random, level: int) -> Problem:
    return joined(rng, level, "last", -1)


def joined(rng: Random, level: int, which: str, place: int) -> Problem:
    """The letters at one end of some words; of one word there is nothing to join."""
    words = some(rng, WORDS, WORDS_AT[level - 1])
    answer = "".join(word[place] for word in words)
    if answer in WORDS_THEMSELVES:
        return joined(rng, level, which, place)
    if len(words) == 1:
        return Problem(f'What is the {which} letter of the word "{words[0]}"?', answer)
    return Problem(f'Join the {which} letters of the words "{" ".join(words)}" into one string.', answer)


def reverse_list(rng: Random, level: int) -> Problem:
    things = some(rng, THINGS if level < 3 else THINGS + LONG_THINGS, LISTED_AT[level - 1])
    return Problem(f'Write this list in reverse order: "{", ".join(things)}"', ", ".join(reversed(things)))


def coin_flip(rng: Random, level: int) -> Problem:
    side = rng.choice(("heads", "tails"))
    people = some(rng, NAMES, PEOPLE_AT[level - 1])
    turned = [rng.random() < 0.5 for _ in people]
    deeds = [
        f"{name} {'turns the coin over' if turns else 'leaves the coin as it is'}."
        for name, turns in zip(people, turned, strict=True)
    ]
    question = f"A coin shows {side}. {' '.join(deeds)} Does the coin still show {side}?"
    return Problem(question, "no" if sum(turned) % 2 else "yes")


def some(rng: Random, of: tuple[str, ...], bounds: tuple[int, int]) -> list[str]:
    return rng.sample(of, rng.randint(*bounds))


SYMBOLIC = (
    Task(
        name="first_letters",
        domain="symbolic",
        source="Named by the reference study as First Letter Concatenation. Upstream is a generator "
        "(atfortes/SymbolicReasoningBenchLLM); after last letter concatenation, Wei et al. 2022, arXiv 2201.11903.",
        instruction="Solve this word puzzle.",
        answer_format='End your reply with a line "Answer: <letters>".',
        answer_type="letters",
        generate=first_letters,
        solve=join_first_letters,
    ),
    Task(
        name="last_letters",
        domain="symbolic",
        source="Our choice; the reference study does not name it. Last letter concatenation, Wei et al. 2022, "
        "arXiv 2201.11903; official items from kojima-takeshi188/zero_shot_cot (arXiv 2205.11916).",
        instruction="Solve this word puzzle.",
        answer_format='End your reply with a line "Answer: <letters>".',
        answer_type="letters",
        generate=last_letters,
        solve=join_last_letters,
    ),
    Task(
        name="reverse_list",
        domain="symbolic",
        source="Named by the reference study as Reverse List. Upstream is a generator "
        "(atfortes/SymbolicReasoningBenchLLM); after Wei et al. 2022, arXiv 2201.11903.",
        instruction="Solve this list puzzle.",
        answer_format='End your reply with a line "Answer: <items separated by commas>".',
        answer_type="items",
        generate=reverse_list,
        solve=reverse_order,
    ),
    Task(
        name="coin_flip",
        domain="symbolic",
        source="Our choice; the reference study does not name it. Coin flip, Wei et al. 2022, arXiv 2201.11903; "
        "official items from kojima-takeshi188/zero_shot_cot (arXiv 2205.11916).",
        instruction="Follow the coin.",
        answer_format='End your reply with a line "Answer: yes" or "Answer: no".',
        answer_type="yes_no",
        generate=coin_flip,
        classes=(("yes", "no"),) * 4,
        solve=follow_coin,
    ),
)
