"""A study's optimisation -> which slots each optimiser step takes in, and its learning rate. The same for every arm."""

import math
from collections.abc import Iterator, Sequence
from itertools import count as numbers
from itertools import islice

import numpy as np

from codedose.errors import DataError
from codedose.keys import seed_for
from codedose.study import Tune


def planned(count: int, how: Tune, *, seed: int, taken_in: Sequence[int] | None = None) -> list[list[int]]:
    """The slots of every step of a training.

    `taken_in` names the step of an epoch that takes each slot in, where the draw says so (steps of equal tokens);
    else steps hold `how.step_size` examples. Raises DataError when `count` examples do not fill the steps.
    """
    epochs = order(count, how, seed=seed) if taken_in is None else order_of_steps(taken_in, seed=seed)
    if how.steps is not None:
        return list(islice((step for epoch in epochs for step in epoch), how.steps))
    return [step for epoch in islice(epochs, how.epochs) for step in epoch]


def order(count: int, how: Tune, *, seed: int) -> Iterator[list[list[int]]]:
    """Epoch by epoch, without end, the slots of each step: a fresh order each, the same for all arms of a seed."""
    if not count or count % how.step_size:
        raise DataError(f"{count} examples do not fill steps of {how.step_size}")
    for epoch in numbers():
        shuffled = np.random.default_rng(seed_for("order", seed, epoch)).permutation(count).tolist()
        yield [shuffled[start : start + how.step_size] for start in range(0, count, how.step_size)]


def order_of_steps(taken_in: Sequence[int], *, seed: int) -> Iterator[list[list[int]]]:
    """The same where the draw names its steps: every epoch the same steps in a fresh order."""
    slots: dict[int, list[int]] = {step: [] for step in sorted(set(taken_in))}
    for slot, step in enumerate(taken_in):
        slots[step].append(slot)
    steps = list(slots.values())
    for epoch in numbers():
        places = np.random.default_rng(seed_for("order", seed, epoch)).permutation(len(steps)).tolist()
        yield [steps[place] for place in places]


def schedule(step: int, steps: int, how: Tune) -> float:
    """The factor on the learning rate in `step` (from 1): linear warm-up, then as the schedule says."""
    warm = round(how.warmup * steps)
    if step <= warm:
        return step / warm
    done = (step - 1 - warm) / max(1, steps - warm)
    return {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[how.schedule]
