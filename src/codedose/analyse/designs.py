"""A wanted difference flows in; the cheapest design that shows it flows out, confirmed by simulation."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from codedose.analyse.chances import Ask, Found, Size, contrast_of, power_of, reply_noise
from codedose.analyse.moments import Likeness
from codedose.analyse.power import FEWEST_DRAWS
from codedose.analyse.student import noncentrality

MORE = 1.05  # times the items, where simulation finds less than the formula says


@dataclass(frozen=True)
class Bounds:
    """Among which designs the cheapest is looked for, and what a training costs, in replies."""

    draws: int  # at most
    seeds: int  # at most
    items: tuple[int, int]  # of each task, at least and at most
    run_cost: float


@dataclass(frozen=True)
class Proposal:
    """A design, its cost in replies, and how often it finds what is wanted."""

    size: Size
    cost: float
    power: Found


def cheapest(size: Size, likeness: Likeness, points: float, ask: Ask, bounds: Bounds) -> Proposal | None:
    """The cheapest design that finds a difference of `points` as often as asked; None where none does.

    Tasks, backbones and shares are those of `size`; draws, seeds and items are chosen. Designs are tried from the
    cheapest on, and given more items until simulation agrees. The power of the one that is chosen is simulated anew,
    so that it is not the luck of having been chosen.
    """
    sizes = candidates(size, likeness, points, ask, bounds)
    queue = [(price(each, bounds.run_cost), tuple(vars(each).values())) for each in sizes]
    heapify(queue)
    while queue:
        cost, numbers = heappop(queue)
        each = Size(*numbers)
        try:
            found = power_of(each, likeness, points, ask, name="chosen")
        except ValueError:
            return None
        if found.value >= ask.power:
            return Proposal(each, cost, power_of(each, likeness, points, ask, name="checked"))
        more = replace(each, items=math.ceil(each.items * MORE))
        if more.items <= bounds.items[1]:
            heappush(queue, (price(more, bounds.run_cost), tuple(vars(more).values())))
    return None


def by_formula(size: Size, likeness: Likeness, points: float, ask: Ask, bounds: Bounds) -> Size | None:
    """The cheapest design by formula alone: at once, and off by what `cheapest` would add."""
    sizes = list(candidates(size, likeness, points, ask, bounds))
    return min(sizes, key=lambda each: (price(each, bounds.run_cost), each.draws, each.seeds)) if sizes else None


def candidates(size: Size, likeness: Likeness, points: float, ask: Ask, bounds: Bounds) -> Iterator[Size]:
    """For each number of draws and seeds the fewest items per task that show `points` by formula."""
    weights = float((contrast_of(ask.kind, size.shares) ** 2).sum())
    one_item = reply_noise(replace(size, items=1), likeness)
    for draws in range(FEWEST_DRAWS, bounds.draws + 1):
        error = points / noncentrality(draws - 1, ask.power, ask.confidence)
        allowed = draws * error**2 / weights - likeness.draw**2
        for seeds in range(1, bounds.seeds + 1):
            for_items = allowed * seeds * size.backbones - likeness.run**2
            if for_items > 0 and one_item / for_items <= bounds.items[1]:
                fewest = max(bounds.items[0], math.ceil(one_item / for_items))
                yield replace(size, draws=draws, seeds=seeds, items=fewest)


def price(size: Size, run_cost: float) -> float:
    """In replies."""
    return size.runs * (run_cost + size.tasks * size.items)
