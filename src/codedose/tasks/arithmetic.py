"""The arithmetic tasks: gsm8k, svamp, asdiv, multiarith. Frames become problems with worked solutions."""

import re
from collections.abc import Sequence
from fractions import Fraction
from random import Random

from codedose.tasks.frames import (
    ASDIV_DOUBLE,
    ASDIV_SIMPLE,
    GSM8K_CHAINS,
    MULTIARITH_FRAMES,
    SVAMP_FRAMES,
    Chain,
    Frame,
)
from codedose.tasks.task import Problem, Task
from codedose.tasks.words import MEN, WOMEN

Ranges = tuple[tuple[int, int], tuple[int, int], int]  # amounts, factors, the largest result on the way

RANGES: tuple[Ranges, ...] = (
    ((2, 12), (2, 5), 30),
    ((5, 50), (2, 10), 400),
    ((20, 400), (4, 20), 8_000),
    ((200, 5_000), (12, 60), 400_000),
)
CHAIN_RANGES: tuple[Ranges, ...] = (
    ((2, 12), (2, 6), 100),
    ((5, 30), (2, 9), 1_000),
    ((10, 90), (3, 12), 20_000),
    ((20, 300), (3, 25), 900_000),
)


def svamp(rng: Random, level: int) -> Problem:
    """One step; from level 2 on one number that does not matter, at level 4 two."""
    frame = rng.choice(SVAMP_FRAMES)
    asides = rng.sample(frame.asides, (0, 1, 1, 2)[level - 1])
    text = frame.text.replace(
        "{aside}", "".join(asides[:1]) + "".join(asides[1:]).replace("{x}", "{y}").replace("{z}", "{w}")
    )
    return problem(rng, frame.name, text, frame.steps, frame.things, RANGES[level - 1])


def asdiv(rng: Random, level: int) -> Problem:
    frame = rng.choice(ASDIV_SIMPLE if level < 3 else ASDIV_DOUBLE)
    return problem(rng, frame.name, frame.text, frame.steps, frame.things, RANGES[level - 1])


def multiarith(rng: Random, level: int) -> Problem:
    frame = rng.choice(MULTIARITH_FRAMES)
    return problem(rng, frame.name, frame.text, frame.steps, frame.things, RANGES[level - 1])


def gsm8k(rng: Random, level: int) -> Problem:
    """The first two to six events of a story, and the question that fits its end."""
    chain, length = rng.choice(GSM8K_CHAINS), (2, 3, 4, 6)[level - 1]
    events = chain.events[:length]
    text = " ".join([*(sentence for sentence, _, _ in events), events[-1][2]])
    return problem(rng, chain.name, text, [step for _, step, _ in events], (), CHAIN_RANGES[level - 1])


def problem(
    rng: Random, name: str, text: str, steps: Sequence[str], things: tuple[str, ...], ranges: Ranges
) -> Problem:
    """`text` with names, things and numbers such that every step gives a whole number from 2 to the largest."""
    amounts, factors, largest = ranges
    slots = list(dict.fromkeys(re.findall(r"\{(\w)\}", text)))
    while True:
        numbers = {slot: rng.randint(*(amounts if slot in "abcdxy" else factors)) for slot in slots}
        worked = work_out(steps, numbers, largest=largest)
        if worked:
            break
    question = text.format(**numbers, **people(rng), **nouns(rng, things))
    return Problem(question, worked[-1].rsplit(" ", 1)[1], cluster=name, worked=worked)


def work_out(steps: Sequence[str], numbers: dict[str, int], *, largest: int) -> tuple[str, ...]:
    """Each step written out ("12 + 5 = 17"); nothing where a result is not whole, below 2 or above `largest`."""
    known, worked = dict(numbers), []
    for place, step in enumerate(steps, 1):
        left, sign, right = step.split()
        one, other = known.get(left, 0) or int(left), known.get(right, 0) or int(right)
        result = calculate(one, sign, other)
        if result.denominator != 1 or not 2 <= result <= largest:
            return ()
        known[f"r{place}"] = int(result)
        worked.append(f"{one} {sign} {other} = {result}")
    return tuple(worked)


def calculate(one: int, sign: str, other: int) -> Fraction:
    if sign == "+":
        return Fraction(one + other)
    if sign == "-":
        return Fraction(one - other)
    return Fraction(one * other) if sign == "*" else Fraction(one, other)


def people(rng: Random) -> dict[str, str]:
    """Two names, and the pronouns of the first."""
    woman = rng.random() < 0.5
    first, second = rng.choice(WOMEN if woman else MEN), rng.choice(MEN if woman else WOMEN)
    he, his = ("she", "her") if woman else ("he", "his")
    return {"name": first, "other": second, "he": he, "He": he.capitalize(), "his": his}


def nouns(rng: Random, things: tuple[str, ...]) -> dict[str, str]:
    if not things:
        return {}
    one, other = rng.sample(things, 2)
    return {"things": one, "others": other}


def frame_names() -> list[str]:
    """The names of all problem frames of the four tasks."""
    frames: tuple[Frame | Chain, ...] = (
        *GSM8K_CHAINS, *SVAMP_FRAMES, *ASDIV_SIMPLE, *ASDIV_DOUBLE, *MULTIARITH_FRAMES,
    )  # fmt: skip
    return [frame.name for frame in frames]


INSTRUCTION = "Solve this problem."
FORMAT = 'End your reply with a line "Answer: <number>".'

ARITHMETIC = (
    Task(
        name="gsm8k",
        domain="arithmetic",
        source="Named by the reference study. GSM8K, Cobbe et al. 2021, arXiv 2110.14168.",
        instruction=INSTRUCTION,
        answer_format=FORMAT,
        answer_type="number",
        generate=gsm8k,
    ),
    Task(
        name="svamp",
        domain="arithmetic",
        source="Our choice; the reference study does not name it. SVAMP, Patel et al. 2021, arXiv 2103.07191.",
        instruction=INSTRUCTION,
        answer_format=FORMAT,
        answer_type="number",
        generate=svamp,
    ),
    Task(
        name="asdiv",
        domain="arithmetic",
        source="Our choice; the reference study does not name it. ASDiv, Miao et al. 2020, arXiv 2106.15772.",
        instruction=INSTRUCTION,
        answer_format=FORMAT,
        answer_type="number",
        generate=asdiv,
    ),
    Task(
        name="multiarith",
        domain="arithmetic",
        source="Our choice; the reference study does not name it. MultiArith, Roy and Roth 2015, arXiv 1608.01413.",
        instruction=INSTRUCTION,
        answer_format=FORMAT,
        answer_type="number",
        generate=multiarith,
    ),
)
