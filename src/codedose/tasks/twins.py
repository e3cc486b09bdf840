"""Generated items: fresh questions that belong to a name, balanced so that a constant guess gains nothing."""

from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass
from math import ceil
from random import Random

import polars as pl

from codedose.errors import StudyError
from codedose.keys import fingerprint, seed_for
from codedose.tables import ITEMS
from codedose.tasks.task import LEVELS, MOST_COMMON, Problem, Task

PATIENCE = 5_000  # questions in a row that may be refused before the level counts as used up
MARKED = 500  # questions caught, and caught again, to estimate how many there are


def generated(task: Task, *, seed_name: str, level: int, count: int, apart: Set[str] = frozenset()) -> pl.DataFrame:
    """`count` items of a level (tables.ITEMS), no question twice, in an order that belongs to the name.

    Where the answers are a closed set each occurs equally often, give or take one; where they are open
    none is the answer of more than one item in twenty. `apart` holds the questions of other sets: one of them is
    taken only where the level has no others left. Raises StudyError for a level or count that cannot be had.
    """
    refuse_level(task, level)
    if count < 1:
        raise StudyError(f"the task {task.name!r} is asked for {count} items; ask for at least 1")
    rng = Random(seed_for("items", seed_name, task.name, level))
    problems = collect(task, rng, level, count, apart)
    rng.shuffle(problems)
    return ITEMS.frame([row(task, level, problem) for problem in problems])


def maker_of(task: Task) -> Callable[[Random, int], Problem]:
    if task.generate is None:
        raise StudyError(f"the task {task.name!r} makes no items; it asks those of its own file")
    return task.generate


def refuse_level(task: Task, level: int) -> None:
    if level not in LEVELS:
        raise StudyError(f"the task {task.name!r} has the levels {LEVELS[0]} to {LEVELS[-1]}, not {level}")


def collect(task: Task, rng: Random, level: int, count: int, apart: Set[str]) -> list[Problem]:
    generate, room = maker_of(task), room_for(task, rng, level, count)
    most = ceil(count * MOST_COMMON)
    most_of_others = 0 if task.classes[level - 1] else most
    found: dict[str, Problem] = {}
    spare: dict[str, Problem] = {}
    refused = 0
    while len(found) < count and refused <= PATIENCE:
        problem = generate(rng, level)
        if problem.question in apart:
            spare[problem.question] = problem
        elif problem.question not in found and room.get(problem.answer, most_of_others):
            room[problem.answer] = room.get(problem.answer, most) - 1
            found[problem.question], refused = problem, 0
            continue
        refused += 1
    for problem in spare.values():
        if len(found) < count and room.get(problem.answer, most_of_others):
            room[problem.answer] = room.get(problem.answer, most) - 1
            found[problem.question] = problem
    if len(found) < count:
        raise StudyError(
            f"the task {task.name!r} at level {level} has room for about {len(found)} different items "
            f"with balanced answers; {count} are asked for: ask for fewer, or take a higher level"
        )
    return list(found.values())


@dataclass(frozen=True)
class Space:
    """How many different questions a level has: `questions`, or more than that where `at_least`."""

    questions: int
    at_least: bool

    def __str__(self) -> str:
        return f"{'more than ' if self.at_least else 'about '}{self.questions:,}"


def space(task: Task, level: int) -> Space:
    """The size of a level's space by capture and recapture (Chapman 1951): two draws, and what they share.

    Questions that are drawn more often than others make the true size larger than the estimate. Where the draws
    share fewer than ten, only a bound is told: the estimate if they had shared ten.
    """
    refuse_level(task, level)
    one, other = (caught(task, level, seed_for("space", task.name, level, draw)) for draw in (1, 2))
    shared = len(one & other)
    found = (len(one) + 1) * (len(other) + 1) // (max(shared, ENOUGH) + 1) - 1
    return Space(round_down(found) if shared < ENOUGH else max(found, len(one | other)), shared < ENOUGH)


def round_down(value: int) -> int:
    """To two digits, as 21,000 of 21,743."""
    unit = int(f"1{'0' * (len(str(value)) - 2)}")
    return value // unit * unit


ENOUGH = 10  # shared by both draws, for an estimate within a third or so


def caught(task: Task, level: int, seed: int) -> set[str]:
    rng, generate = Random(seed), maker_of(task)
    return {generate(rng, level).question for _ in range(MARKED)}


def room_for(task: Task, rng: Random, level: int, count: int) -> Counter[str]:
    """How many items each answer of a closed set may have: the odd ones fall to answers drawn by chance."""
    classes = task.classes[level - 1]
    if not classes:
        return Counter()
    each, odd = divmod(count, len(classes))
    return Counter(dict.fromkeys(classes, each)) + Counter(rng.sample(classes, odd))


def row(task: Task, level: int, problem: Problem) -> dict[str, object]:
    item_id = item_id_of(task, problem.question)
    return {
        "item_id": item_id,
        "task": task.name,
        "domain": task.domain,
        "origin": "generated",
        "level": level,
        "cluster": problem.cluster or item_id,
        "question": problem.question,
        "answer": problem.answer,
    }


def item_id_of(task: Task, question: str) -> str:
    """The item's name: its task and what it asks, so the same question has the same name everywhere."""
    return f"{task.name}-{fingerprint(question)}"
