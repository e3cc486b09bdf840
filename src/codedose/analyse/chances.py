"""A design and what it is taken to be like flow in; what it would show flows out, found by simulating it.

The simulator is `analyse.simulate`, with what cancels in differences between arms left out, and with items sorted into
a few classes of equal difficulty, so that a class is one binomial draw. Truth is a difference for these items; arms
between the ends lie on a straight line. `analyse.power` has the same by formula, for items that are all alike.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codedose.analyse.contrasts import NO_SPREAD, trend
from codedose.analyse.moments import Likeness, difficulties
from codedose.analyse.simulate import Spread, bent, chance_of, generator, luck_of, moved
from codedose.analyse.student import beyond, noncentrality

Floats = NDArray[np.float64]
CLASSES = 8  # of items by difficulty; 8 or 64 give the same noise within 1 %
AT_ONCE = 2e6  # numbers held of one block of studies
EDGE = 0.001  # accuracies nearer to 0 or 1 have no log odds worth the name
ROUNDS, CLOSE = 6, 0.01  # a difference that moves by less than this part of itself has settled
DIFFERENCE, TREND = "difference", "trend"  # of the last arm and the first; least-squares slope over all, per 100 %
NO_LUCK = Spread(
    backbone=0, arm_backbone=0, item=0, item_arm=0, shared=0, draw=0, dose=0, draw_arm=0, draw_task=0,
    draw_backbone=0, run=0,
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much a study asks. Its shares lie evenly from 0 to 100 %."""

    tasks: int
    items: int  # of each task
    draws: int
    seeds: int
    backbones: int
    shares: int

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 1 or self.shares < 2:
            raise ValueError(f"a design needs two shares, and at least one of everything else: {self}")

    @property
    def runs(self) -> int:
        """Trainings."""
        return self.draws * self.seeds * self.backbones * self.shares


@dataclass(frozen=True)
class Ask:
    """What is to be found: a difference or a trend, how often (0 to 1), outside what interval; by how many studies."""

    kind: str
    power: float
    confidence: float
    studies: int


@dataclass(frozen=True)
class Found:
    """A figure by simulation and its Monte Carlo standard error."""

    value: float
    error: float


def overall(size: Size, likeness: Likeness, points: float, studies: int, rng: np.random.Generator) -> Floats:
    """Accuracy in percentage points of every arm in every draw, as the analysis averages it: (study, arm, draw).

    `points` is the true difference between the last share and the first. Raises ValueError where no accuracy is left
    for it between 0 and 1.
    """
    shares = np.linspace(0, 1, size.shares)
    classes = classes_of(size.items, 1 if likeness.item == likeness.item_arm == 0 else min(CLASSES, size.items))
    levels, luck = levels_of(size, likeness, classes)
    wanted = levels_mean(levels, luck, classes) + (shares - 0.5) * points / 100
    if not 0 < wanted.min() <= wanted.max() < 1:
        raise ValueError(f"a difference of {points:g} points does not fit between accuracies of 0 and 1")
    every = np.repeat(levels, classes, axis=-1).reshape(-1)
    shifts = moved(np.broadcast_to(every, (size.shares, len(every))), total(luck), wanted)
    block = max(1, int(AT_ONCE / (size.runs * size.tasks * len(classes))))
    sizes = [min(block, studies - at) for at in range(0, studies, block)]
    return np.concatenate([shown(size, levels, shifts, luck, classes, n, rng) for n in sizes])


def classes_of(items: int, many: int) -> NDArray[np.int64]:
    """How many items stand in each of `many` classes: as even as can be."""
    return np.diff(np.arange(many + 1) * items // many)


def shown(
    size: Size, levels: Floats, shifts: Floats, luck: Spread, classes: NDArray[np.int64], studies: int,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """(study, arm, draw) of one block: binomial replies of each class, averaged over tasks, seeds and backbones."""
    sizes = (studies, size.backbones, size.draws, size.seeds, size.tasks)
    odds = luck_of(luck, np.linspace(0, 1, size.shares), sizes, rng) + shifts[:, None, None, None]
    right = rng.binomial(classes, chance_of(odds[..., None] + levels)).sum(axis=-1)
    points: Floats = 100 * right.mean(axis=(1, 4, 5)) / size.items
    return points


def levels_of(size: Size, likeness: Likeness, classes: NDArray[np.int64]) -> tuple[Floats, Spread]:
    """Log odds of (task, class), and the luck that has the likeness's spread in percentage points overall."""
    accuracy = np.clip(np.resize(likeness.accuracy, size.tasks), EDGE, 1 - EDGE)
    apart = math.hypot(likeness.item, likeness.item_arm) * places_of(classes)
    flat = np.broadcast_to(np.repeat(apart, classes), (size.tasks, size.items))
    levels = moved(flat, 0.0, accuracy)[:, None] + apart
    slope = 100 * float(bent(np.repeat(levels, classes, axis=-1), 0.0)[1].mean())
    luck = replace(NO_LUCK, draw_arm=likeness.draw / slope, run=likeness.run / slope)
    return levels, luck


def places_of(classes: NDArray[np.int64]) -> Floats:
    """The mean of the standard normal places of each class's items."""
    edges = np.cumsum(classes)
    return np.array([part.mean() for part in np.split(difficulties(int(edges[-1])), edges[:-1])])


def levels_mean(levels: Floats, luck: Spread, classes: NDArray[np.int64]) -> float:
    return float(bent(np.repeat(levels, classes, axis=-1), total(luck))[0].mean())


def total(luck: Spread) -> float:
    return math.hypot(luck.draw_arm, luck.run)


def contrast_of(kind: str, shares: int) -> Floats:
    """Weights of the arms."""
    if kind == TREND:
        return np.array(trend(np.linspace(0, 1, shares), 1)[0])
    return np.array([-1.0, *[0.0] * (shares - 2), 1.0])


def finds(values: Floats, confidence: float) -> Floats:
    """Whether Student's t over draws (last axis) finds each row different from 0; not where draws do not vary."""
    draws = values.shape[-1]
    sd = values.std(axis=-1, ddof=1)
    edge = beyond((1 - confidence) / 2, draws - 1) * sd / math.sqrt(draws)
    found: Floats = ((np.abs(values.mean(axis=-1)) > edge) & (sd > NO_SPREAD)).astype(np.float64)
    return found


def power_of(size: Size, likeness: Likeness, points: float, ask: Ask, *, name: str) -> Found:
    """How often such a study finds a true difference of `points`. `name` decides the chance: another, other studies."""
    size = asked(size, ask.kind)
    rng = generator("power", name, *vars(size).values())
    found = finds(contrasted(overall(size, likeness, points, ask.studies, rng), ask.kind), ask.confidence)
    share = float(found.mean())
    return Found(share, math.sqrt(share * (1 - share) / ask.studies))


def asked(size: Size, kind: str) -> Size:
    """The arms that a contrast has: a difference is between two, whatever stands between them."""
    return replace(size, shares=2) if kind == DIFFERENCE else size


def contrasted(cube: Floats, kind: str) -> Floats:
    """(study, draw) of (study, arm, draw)."""
    values: Floats = np.einsum("sad,a->sd", cube, contrast_of(kind, cube.shape[1]))
    return values


def smallest(size: Size, likeness: Likeness, ask: Ask, *, name: str) -> Found | None:
    """The true difference in percentage points that such a study finds as often as asked; None where there is none.

    The studies of one difference are moved to another one, until the one that is found is the one simulated.
    """
    if size.draws < 2:
        return None
    size = asked(size, ask.kind)
    points = formula(size, likeness, ask)
    for _ in range(ROUNDS):
        rng = generator("smallest", name, *vars(size).values())
        try:
            apart = contrasted(overall(size, likeness, points, ask.studies, rng), ask.kind) - points
        except ValueError:
            return None
        before, points = points, crossing(apart, ask.power, ask.confidence)
        if abs(points - before) < CLOSE * points:
            break
    error = math.sqrt(ask.power * (1 - ask.power) / ask.studies)
    sides = [crossing(apart, min(max(ask.power + side * error, 0.01), 0.99), ask.confidence) for side in (-1, 1)]
    return Found(points, (sides[1] - sides[0]) / 2)


def crossing(apart: Floats, power: float, confidence: float) -> float:
    """By how much values around 0 must be moved for a share `power` of them to be found."""
    from scipy import optimize

    high = 1.0
    while finds(apart + high, confidence).mean() < power and high < 1e4:
        high *= 2
    return float(optimize.bisect(lambda by: finds(apart + by, confidence).mean() - power, 0, high, xtol=1e-4))


def formula(size: Size, likeness: Likeness, ask: Ask) -> float:
    """What `smallest` finds, by formula: normal draws, runs and replies (the model of `analyse.power`)."""
    weights = float((contrast_of(ask.kind, size.shares) ** 2).sum())
    variance = likeness.draw**2 + (likeness.run**2 + reply_noise(size, likeness)) / (size.seeds * size.backbones)
    return math.sqrt(weights * variance / size.draws) * noncentrality(size.draws - 1, ask.power, ask.confidence)


def reply_noise(size: Size, likeness: Likeness) -> float:
    """Variance of one run's overall accuracy by the luck of its replies, in squared points."""
    levels, _ = levels_of(replace(size, items=CLASSES), likeness, classes_of(CLASSES, CLASSES))
    return 100**2 * float(bent(levels, 0.0)[1].mean()) / (size.tasks * size.items)
