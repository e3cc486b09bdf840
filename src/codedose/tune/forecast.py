"""A backbone and its examples -> how long a training will take here and how much memory, from a few of its steps.

The steps are real ones, in processes of their own, as many side by side as there would be trainings; their weights are
thrown away. A step takes a fixed time and one that grows with its tokens.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune.means import Means
from codedose.tune.order import planned

TRIED = 4  # steps from the smallest to the largest; the first that is taken warms up and is not counted

Draw = tuple[Sequence[Encoded], Sequence[int] | None]  # examples by slot, and the steps that take them in (tune.train)


@dataclass(frozen=True)
class Forecast:
    """What one training takes: seconds of its steps, and bytes as tables.TRAINING counts them."""

    seconds: float
    memory: int
    tokens: int


@dataclass(frozen=True)
class Trial:
    """What some steps took: (tokens, seconds) of each, and the most bytes held."""

    steps: tuple[tuple[int, float], ...]
    memory: int


def forecast(
    folder: Path, arms: Sequence[Draw], how: Tune, *, threads: int, copies: int, means: Means
) -> list[Forecast]:
    """What training on the draw of each arm takes, when `copies` trainings of so many threads run side by side.

    Raises what a training raises.
    """
    each = [steps_of(draw, how) for draw in arms]
    chosen = spread_out([step for steps in each for step in steps])
    with ProcessPoolExecutor(copies, get_context("spawn"), initializer=limit, initargs=(threads,)) as pool:
        trials = list(pool.map(attempt, *zip(*[(folder, chosen, how, means)] * copies, strict=True)))
    fixed, a_token = line([step for trial in trials for step in trial.steps])
    memory = max(trial.memory for trial in trials)
    tokens = [sum(map(size, steps)) for steps in each]
    return [Forecast(fixed * len(steps) + a_token * own, memory, own) for steps, own in zip(each, tokens, strict=True)]


def steps_of(draw: Draw, how: Tune) -> list[list[Encoded]]:
    """The examples of every step of a training."""
    examples, taken_in = draw
    return [[examples[slot] for slot in step] for step in planned(len(examples), how, seed=0, taken_in=taken_in)]


def size(step: Sequence[Encoded]) -> int:
    return sum(len(example.tokens) for example in step)


def spread_out(steps: list[list[Encoded]]) -> list[list[Encoded]]:
    """A few steps, from the smallest to the largest in tokens."""
    ordered = sorted(steps, key=size)
    return [ordered[place] for place in np.linspace(0, len(ordered) - 1, TRIED).round().astype(int).tolist()]


def made_up(count: int, tokens: int, loss_tokens: int) -> list[Encoded]:
    """Examples of one length, for a draw that is not there yet."""
    loss = (*[False] * (tokens - loss_tokens), *[True] * loss_tokens)
    return [Encoded(tuple(10 + (place + number) % 50 for place in range(tokens)), loss, "") for number in range(count)]


def limit(threads: int) -> None:
    """Before torch is imported in a process: as many threads as the runner gives a training, and no bars."""
    os.environ |= {"OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}


def attempt(folder: Path, steps: list[list[Encoded]], how: Tune, means: Means) -> Trial:
    """Take these steps and tell what they took, without the first."""
    from codedose.tune import train
    from codedose.tune.ready import inner, ready

    taken_in = [number for number, step in enumerate(steps) for _ in step]
    once = how.model_copy(update={"epochs": 1, "steps": None})
    examples = [example for step in steps for example in step]
    rows = train(
        inner(ready(folder, how, seed=0)), examples, once, seed=0, progress=silent, taken_in=taken_in, means=means
    )
    return Trial(tuple((row["tokens"], row["seconds"]) for row in rows[1:]), rows[-1]["memory"])


def silent(done: int, of: int, note: str) -> None:
    """Nobody waits for single steps."""


def line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Seconds of a step that do not depend on its tokens, and seconds a token: least squares, neither below zero."""
    from scipy.optimize import nnls

    tokens, seconds = (np.array(each, float) for each in zip(*points, strict=True))
    (fixed, a_token), _ = nnls(np.column_stack([np.ones_like(tokens), tokens]), seconds)
    return float(fixed), float(a_token)
