"""Generated items: fresh questions that belong to a name, balanced so that a constant guess gains nothing."""

from collections import Counter
from math import ceil
from random import Random

import polars as pl

from codedose.errors import StudyError
from codedose.keys import fingerprint, seed_for
from codedose.tables import ITEMS
from codedose.tasks.task import LEVELS, MOST_COMMON, Problem, Task

PATIENCE = 5_000  # questions in a row that may be refused before the level counts as used up


def generated(task: Task, *, seed_name: str, level: int, count: int) -> pl.DataFrame:
    """`count` items of a level (tables.ITEMS), no question twice, in an order that belongs to the name.

    Where the answers are a closed set each occurs equally often, give or take one; where they are open
    none is the answer of more than one item in twenty. Raises StudyError for a level or count that
    cannot be had.
    """
    if level not in LEVELS:
        raise StudyError(f"the task {task.name!r} has the levels {LEVELS[0]} to {LEVELS[-1]}, not {level}")
    if count < 1:
        raise StudyError(f"the task {task.name!r} is asked for {count} items; ask for at least 1")
    rng = Random(seed_for("items", seed_name, task.name, level))
    problems = collect(task, rng, level, count)
    rng.shuffle(problems)
    return ITEMS.frame([row(task, level, problem) for problem in problems])


def collect(task: Task, rng: Random, level: int, count: int) -> list[Problem]:
    room = room_for(task, rng, level, count)
    most = ceil(count * MOST_COMMON)
    found: dict[str, Problem] = {}
    refused = 0
    while len(found) < count:
        problem = task.generate(rng, level)
        if problem.question in found or not room.get(problem.answer, 0 if task.classes[level - 1] else most):
            refused += 1
            if refused > PATIENCE:
                raise StudyError(
                    f"the task {task.name!r} at level {level} has room for about {len(found)} different items "
                    f"with balanced answers; {count} are asked for: ask for fewer, or take a higher level"
                )
            continue
        room[problem.answer] = room.get(problem.answer, most) - 1
        found[problem.question], refused = problem, 0
    return list(found.values())


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
