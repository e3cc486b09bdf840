"""The arithmetic tasks: gsm8k, svamp, asdiv, multiarith. Frames become problems with worked solutions.

Level 1 writes its numbers in digits and tells nothing but the problem. From level 2 on there are more kinds of
problems (wider.py), numbers as words, dollar signs and scenes; from level 3 on cents, halves and idle numbers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from codedose.tasks.chains import GSM8K_CHAINS, GSM8K_FRAMES, GSM8K_WIDER, Chain
from codedose.tasks.frames import ASDIV_DOUBLE, ASDIV_SIMPLE, MULTIARITH_FRAMES, SVAMP_FRAMES, Frame
from codedose.tasks.numerals import TENS, UNITS
from codedose.tasks.task import Problem, Task
from codedose.tasks.wider import (
    ASDIV_WIDER_DOUBLE,
    ASDIV_WIDER_SIMPLE,
    IDLE_SCENES,
    MULTIARITH_WIDER,
    SCENES,
    SVAMP_WIDER,
)
from codedose.tasks.words import MEN, WOMEN

Bounds = tuple[int, int]


@dataclass(frozen=True)
class Ranges:
    """The numbers of a level: those told, and the smallest and largest result on the way."""

    amounts: Bounds
    factors: Bounds
    largest: int
    least: int = 1
    cents: bool = True


RANGES = (
    Ranges((2, 12), (2, 5), 30, least=2, cents=False),
    Ranges((2, 60), (2, 10), 600, cents=False),
    Ranges((20, 400), (4, 20), 8_000),
    Ranges((200, 5_000), (12, 60), 400_000),
)
CHAIN_RANGES = (
    Ranges((2, 12), (2, 6), 100, least=2, cents=False),
    Ranges((5, 60), (2, 9), 1_000, cents=False),
    Ranges((10, 400), (2, 20), 20_000),
    Ranges((20, 5_000), (3, 40), 900_000),
)


@dataclass(frozen=True)
class Dress:
    """How a task writes from level 2 on, after its original: the chance that a number is a word, that dollars are
    a sign, that a scene tells an idle number; and the most scenes before a problem, for the four levels."""

    words: float
    signs: float
    idle: float
    scenes: tuple[int, int, int, int]


DRESSES = {
    "gsm8k": Dress(0.1, 0.7, 0.2, (0, 1, 2, 2)),
    "svamp": Dress(0.0, 0.7, 0.0, (0, 0, 1, 2)),
    "asdiv": Dress(0.2, 0.7, 0.3, (0, 1, 2, 3)),
    "multiarith": Dress(0.05, 0.3, 0.2, (0, 1, 1, 1)),
}


def svamp(rng: Random, level: int) -> Problem:
    """One step, seldom two; from level 2 on one number that does not matter, at level 4 two."""
    frame = rng.choice(SVAMP_FRAMES if level == 1 else SVAMP_FRAMES + SVAMP_WIDER)
    asides = rng.sample(frame.asides, (0, 1, 1, 2)[level - 1])
    text = frame.text.replace(
        "{aside}", "".join(asides[:1]) + "".join(asides[1:]).replace("{x}", "{y}").replace("{z}", "{w}")
    )
    return problem(rng, level, "svamp", Frame(frame.name, text, frame.steps, frame.things), RANGES)


def asdiv(rng: Random, level: int) -> Problem:
    """One step at the levels 1 and 2, then mostly two."""
    simple, double = ASDIV_SIMPLE + ASDIV_WIDER_SIMPLE, ASDIV_DOUBLE + ASDIV_WIDER_DOUBLE
    frame = rng.choice((ASDIV_SIMPLE, simple, double, double)[level - 1])
    return problem(rng, level, "asdiv", frame, RANGES)


def multiarith(rng: Random, level: int) -> Problem:
    frame = rng.choice(MULTIARITH_FRAMES if level == 1 else MULTIARITH_FRAMES + MULTIARITH_WIDER)
    return problem(rng, level, "multiarith", frame, RANGES)


def gsm8k(rng: Random, level: int) -> Problem:
    """The first two to six events of a story and the question that fits its end; from level 2 on also shorter ones."""
    if level > 1 and rng.random() < SHORT:
        return problem(rng, level, "gsm8k", rng.choice(GSM8K_FRAMES), CHAIN_RANGES)
    chain = rng.choice(GSM8K_CHAINS if level == 1 else GSM8K_CHAINS + GSM8K_WIDER)
    events = chain.events[: (2, 3, 4, rng.choice((5, 6)) if level == 4 else 0)[level - 1]]
    text = " ".join([*(sentence for sentence, _, _ in events), events[-1][2]])
    frame = Frame(chain.name, text, tuple(step for _, step, _ in events))
    return problem(rng, level, "gsm8k", frame, CHAIN_RANGES)


SHORT = 0.4  # share of gsm8k's problems that tell all in two or three sentences


def problem(rng: Random, level: int, task: str, frame: Frame, ranges: Sequence[Ranges]) -> Problem:
    """The frame with scenes, names, things and numbers such that every step has a result that can be."""
    dress = DRESSES[task] if level > 1 else Dress(0, 0, 0, (0, 0, 0, 0))
    bounds = ranges[level - 1]
    text = " ".join([*scenes(rng, level, dress), frame.text])
    slots = list(dict.fromkeys(re.findall(r"\{(\w)\}", text)))
    while True:
        numbers = {slot: number(rng, slot, bounds) for slot in slots}
        worked = work_out(frame.steps, numbers, bounds)
        if worked:
            break
    told = {slot: written(rng, slot, value, dress.words) for slot, value in numbers.items()}
    question = text.format(**told, **people(rng), **nouns(rng, frame.things))
    question = with_signs(question, always=level > 1 and rng.random() < dress.signs)
    return Problem(capitalised(question), worked[-1].rsplit(" ", 1)[1], cluster=frame.name, worked=worked)


def scenes(rng: Random, level: int, dress: Dress) -> list[str]:
    """Sentences before the problem, none twice; at most one of them tells a number, and only from level 3 on."""
    most = dress.scenes[level - 1]
    if not most:
        return []
    chosen = rng.sample(SCENES, rng.randint(0, most))
    idle = [rng.choice(IDLE_SCENES)] if level > 2 and rng.random() < dress.idle else []
    return [*idle, *chosen]


# ---- numbers


def number(rng: Random, slot: str, ranges: Ranges) -> Fraction:
    """A value for a slot: the letter says of which kind (frames.py)."""
    if slot in "abcdxyg":
        return Fraction(rng.randint(*ranges.amounts))
    if slot == "j":
        return Fraction(rng.randint(2, 12))
    if slot == "h":
        return Fraction(rng.choice(PERCENT if ranges.cents else EASY_PERCENT), 100)
    if slot == "f":
        return rng.choice(list(FRACTIONS))
    whole = Fraction(rng.randint(*ranges.factors))
    if slot not in "uvst" or not ranges.cents or rng.random() < 0.5:
        return whole
    if slot in "st":
        return whole + Fraction(1, 2)
    return whole * (rng.random() < 0.7) + Fraction(
        rng.randint(1, 19), 20
    )  # every third price with cents is below a dollar


EASY_PERCENT = (10, 20, 25, 50, 75)
PERCENT = tuple(range(5, 100, 5))
FRACTIONS = {
    Fraction(1, 2): "half", Fraction(1, 3): "a third", Fraction(2, 3): "two thirds", Fraction(1, 4): "a quarter",
    Fraction(3, 4): "three quarters", Fraction(1, 5): "a fifth",
}  # fmt: skip


def work_out(steps: Sequence[str], numbers: dict[str, Fraction], ranges: Ranges) -> tuple[str, ...]:
    """Each step written out ("12 + 5 = 17", "20% of 80 = 16"); nothing where a result cannot be."""
    known, worked = dict(numbers), []
    for place, step in enumerate(steps, 1):
        left, sign, right = step.split()
        one, other = (known[part] if part in known else Fraction(int(part)) for part in (left, right))
        result = calculate(one, sign, other)
        if not can_be(result, one, sign, other) or not ranges.least <= result <= ranges.largest:
            return ()
        known[f"r{place}"] = result
        first = f"{100 * one}%" if left == "h" else str(one) if sign == "of" else decimal(one)
        worked.append(f"{first} {sign} {decimal(other)} = {decimal(result)}")
    return tuple(worked)


def can_be(result: Fraction, one: Fraction, sign: str, other: Fraction) -> bool:
    """Whole, as counts are; where money or measures with decimals go in, with at most two."""
    if result.denominator == 1:
        return True
    measured = other if sign == "of" else one
    counts = sign == "/" and other.denominator > 1  # how often one goes into another
    inexact = measured.denominator > 1 or (sign in "+-*" and other.denominator > 1)
    return inexact and not counts and 100 % result.denominator == 0


def calculate(one: Fraction, sign: str, other: Fraction) -> Fraction:
    if sign == "+":
        return one + other
    if sign == "-":
        return one - other
    return one / other if sign == "/" else one * other


def decimal(value: Fraction) -> str:
    """A number with at most two decimals: 12, 2.5, 0.25."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".")


# ---- words


def written(rng: Random, slot: str, value: Fraction, words: float) -> str:
    """The number as it is told; `words` is the chance that it is a word where it can be one."""
    if slot == "h":
        return f"{100 * value}{rng.choice(('%', ' percent'))}"
    if slot == "f":
        return rng.choice((FRACTIONS[value], f"{value}")) if value != Fraction(1, 2) else FRACTIONS[value]
    if value.denominator > 1:
        return f"{float(value):.2f}" if slot in "uv" else decimal(value)
    if words and value < 100 and rng.random() < words:
        return as_word(int(value))
    return str(value)


def as_word(value: int) -> str:
    """twelve, forty-seven: a number below 100."""
    tens, ones = divmod(value, 10)
    return UNITS[value] if value < 20 else TENS[tens - 2] + (f"-{UNITS[ones]}" if ones else "")


def with_signs(question: str, *, always: bool) -> str:
    """ "$5" for "5 dollars" everywhere or, unless `always`, in a question in which cents are told."""
    if not always and not re.search(r"\d\.\d\d dollars", question):
        return question
    return re.sub(r"(\d+(?:\.\d\d)?) dollars\b", r"$\1", question)


def capitalised(question: str) -> str:
    return re.sub(r"(?:^|(?<=[.?!] ))[a-z]", lambda first: first[0].upper(), question)


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
        *GSM8K_CHAINS, *GSM8K_WIDER, *GSM8K_FRAMES, *SVAMP_FRAMES, *SVAMP_WIDER, *ASDIV_SIMPLE, *ASDIV_WIDER_SIMPLE,
        *ASDIV_DOUBLE, *ASDIV_WIDER_DOUBLE, *MULTIARITH_FRAMES, *MULTIARITH_WIDER,
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
