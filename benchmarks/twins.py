"""How the four levels of each arithmetic twin compare with the official items that they are the twin of.

    .venv/bin/python benchmarks/twins.py FOLDER

FOLDER holds the official items (gsm8k.jsonl.gz, svamp.jsonl.gz, asdiv.jsonl.gz, multiarith.jsonl.gz).
One row is a feature of the questions: its value in the official set and at each level, and whether the
levels together cover it. A range is covered when they reach from its 5th to its 95th percentile; a share
of at least one in twenty when some level has at least half of it. Prints last how many are covered.

The operations of a problem are read from its numbers alone, with the same rule for both sides: the
shortest calculation with the question's numbers that ends in the gold. Where several differ in their
operations, or none of up to two operations does, they are not told.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from statistics import median

from codedose.tasks import task_named
from codedose.tasks.answers import spelled
from codedose.tasks.official import official
from codedose.tasks.task import LEVELS
from codedose.tasks.twins import generated

TASKS = ("gsm8k", "svamp", "asdiv", "multiarith")
SAMPLE = 300  # generated items a level; the official sets are read whole
MOST_NUMBERS = 7  # of a question whose calculation is looked for: there are too many with more
HALF_IS_ENOUGH = 0.5
COMMON = 0.05  # a share below is not asked for

DIGITS = re.compile(r"(?<![\w/])\$? ?(\d+/\d+|\d[\d,]*(?:\.\d+)?|\.\d+)")
# Words that stand for a number in a calculation but give none away.
MEANT = {
    r"twice|double|half|both|pairs?\b|couple": 2.0, r"triple|thrice|third": 3.0, r"quarter|fourth": 4.0,
    r"week": 7.0, r"dozen|year": 12.0, r"hours?\b|minutes?\b": 60.0, r"percent|%|cents?\b|pennies": 100.0,
}  # fmt: skip

Item = tuple[str, float]  # question, answer


def numbers_in(question: str) -> list[float]:
    """The numbers a question tells, in digits or as words; a fraction such as 3/4 is one."""
    found = []
    for text in DIGITS.findall(question):
        top, _, bottom = text.replace(",", "").partition("/")
        found.append(float(top) / (float(bottom or 1) or 1))
    return found + [float(number) for number in spelled(question)]


def applied(one: float, other: float) -> Iterator[tuple[str, float]]:
    yield "+", one + other
    yield "-", one - other
    yield "*", one * other
    if other:
        yield "/", one / other


def calculation(numbers: Sequence[float], meant: Sequence[float], answer: float) -> tuple[tuple[str, ...], int] | None:
    """The operations that lead to the answer, and how many of `numbers` they take; None where that is not told."""
    if len(numbers) > MOST_NUMBERS:
        return None
    known = [(value, 1 << place) for place, value in enumerate(numbers)] + [(value, 0) for value in meant]
    first = [
        (sign, value, used | other_used)
        for (one, used), (other, other_used) in permutations(known, 2)
        for sign, value in applied(one, other)
    ]
    for steps in (one_step(first, answer), two_steps(first, known, answer)):
        kinds = {signs for signs, _ in steps}
        if kinds:
            return (kinds.pop(), max(used.bit_count() for _, used in steps)) if len(kinds) == 1 else None
    return None


def one_step(first: list[tuple[str, float, int]], answer: float) -> set[tuple[tuple[str, ...], int]]:
    return {((sign,), used) for sign, value, used in first if is_same(value, answer) and used}


def two_steps(
    first: list[tuple[str, float, int]], known: list[tuple[float, int]], answer: float
) -> set[tuple[tuple[str, ...], int]]:
    found = set()
    for sign, value, used in first:
        for other, own in known:
            if own and own & used:
                continue
            for second, result in (
                *applied(value, other),
                *(pair for pair in applied(other, value) if pair[0] in "-/"),
            ):
                if is_same(result, answer):
                    found.add((tuple(sorted((sign, second))), used | own))
    most = max((used.bit_count() for _, used in found), default=0)
    return {(signs, used) for signs, used in found if used.bit_count() == most}


def is_same(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * max(1.0, abs(other))


def described(item: Item) -> dict[str, float | None]:
    """The features of one problem; None where one cannot be told."""
    question, answer = item
    numbers = numbers_in(question)
    meant = [value for words, value in MEANT.items() if re.search(words, question, re.IGNORECASE)]
    found = calculation(numbers, meant, answer)
    signs, used = found or ((), 0)
    return {
        "words": len(question.split()),
        "sentences": len(re.findall(r"[.?!](?:\s|$)", question)),
        "numbers told": len(numbers),
        "largest number": max(numbers, default=None),
        "smallest number": min(numbers, default=None),
        "answer": answer,
        "answer below 2": answer < 2,
        "answer not whole": answer != int(answer),
        "a number as a word": any(True for _ in spelled(question)),
        "a number with decimals": bool(re.search(r"\d\.\d", question)),
        "a fraction": bool(re.search(r"\d/\d|half|halves|thirds?\b|quarters?\b|fourths?\b|fifths?\b", question)),
        "percent": bool(re.search(r"%|percent", question)),
        "money": bool(re.search(r"[$€£¢]|\bdollars?\b|\bcents?\b", question)),
        "a dollar sign": "$" in question,
        "twice, thrice": bool(re.search(r"twice|thrice|triple|double|times as", question)),
        "operations told": found is not None,
        **{f"one step {sign}": signs == (sign,) if found else None for sign in "+-*/"},
        "two steps, sums only": len(signs) == 2 and not set(signs) & set("*/") if found else None,
        "two steps, a sum and a product": {"+-", "*/"} == {part for part in ("+-", "*/") if set(part) & set(signs)}
        if found
        else None,
        "two steps, products only": len(signs) == 2 and not set(signs) & set("+-") if found else None,
        "a number that does not matter": len(numbers) > used if found else None,
    }  # fmt: skip


RANGES = ("words", "sentences", "numbers told", "largest number", "smallest number", "answer")


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def table(items: Sequence[Item]) -> dict[str, tuple[float, float, float] | float]:
    """Of each feature the 5th, 50th and 95th percentile, or the share of problems that have it."""
    rows = [described(item) for item in items]
    found: dict[str, tuple[float, float, float] | float] = {}
    for name in rows[0]:
        values = [float(value) for row in rows if (value := row[name]) is not None]
        if name in RANGES:
            found[name] = (quantile(values, 0.05), median(values), quantile(values, 0.95))
        else:
            found[name] = sum(values) / max(len(values), 1)
    return found


def is_covered(original: object, levels: Sequence[object]) -> bool:
    if isinstance(original, tuple):
        low = min(level[0] for level in levels if isinstance(level, tuple))
        high = max(level[2] for level in levels if isinstance(level, tuple))
        return bool(low <= original[0] and high >= original[2])
    shares = [level for level in levels if isinstance(level, float)]
    return not isinstance(original, float) or original < COMMON or max(shares) >= HALF_IS_ENOUGH * original


def shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{part:,.4g}" for part in value)
    return f"{100 * value:.0f} %" if isinstance(value, float) else str(value)


def numeric(frame: object) -> list[Item]:
    """The questions and answers of a table of items."""
    rows: Callable[[], list[tuple[str, str]]] = frame.select("question", "answer").rows  # type: ignore[attr-defined]
    return [(question, numbers_in(answer.replace("-", ""))[0]) for question, answer in rows()]


def main(folder: Path) -> None:
    covered = asked = 0
    for name in TASKS:
        task = task_named(name)
        original = table(numeric(official(task, folder / f"{name}.jsonl.gz", count=None, seed_name="twins")[0]))
        levels = [table(numeric(generated(task, seed_name="twins", level=level, count=SAMPLE))) for level in LEVELS]
        print(f"\n{name}: official | level 1 | level 2 | level 3 | level 4   (5th, 50th, 95th percentile, or a share)")
        for feature, value in original.items():
            own = [level[feature] for level in levels]
            covers = is_covered(value, own)
            covered, asked = covered + covers, asked + 1
            print(f"  {'' if covers else 'NOT ':4}{feature:32}", " | ".join(shown(each) for each in (value, *own)))
    print(f"\n{covered} of {asked} features covered")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
