"""Accuracies seen so far flow in; what one more cell would be worth flows out, in points that a choice stands to win.

The model, in percentage points: a share s in draw d scores f(s) + u[d] + e, with u what all shares of a draw have in
common, and e the rest: items, runs and what this draw does at this share. f is a quadratic curve whose slope and bend
are known only to lie within some 20 points, plus smooth deviations as large as shares left out were missed by. All are
normal, so that what is believed of f is too, before and after another cell. The worth of cells is the knowledge
gradient (Frazier, Powell and Dayanik 2009): how much better the share that looks best is expected to be once they are
there. One cell alone often changes no choice where a few would; so a share's cells are valued together, as many as are
worth most each (Frazier and Powell 2010).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

LEVEL, STEEP = 100.0, 20.0  # standard deviations of a curve's height, and of its slope and bend, before any is seen
LEAST = 0.1  # percentage points: less noise than this is a matter of few items or draws, and never counted on
STRAY = 0.1
REACH = 0.25  # shares this far apart deviate from the quadratic curve much alike
SEEN = np.linspace(-6, 6, 601)  # what new cells may say, in standard deviations, and the chance of each
CHANCE = stats.norm.pdf(SEEN) / stats.norm.pdf(SEEN).sum()
TOGETHER = (1, 2, 4, 8)  # cells of a share that are valued together


@dataclass(frozen=True)
class Noise:
    """Standard deviations in percentage points: of one share in one draw, of what a draw's shares have in common,
    and of what a curve misses shares by."""

    cell: float
    draw: float
    curve: float


@dataclass(frozen=True)
class Belief:
    """What is believed of f at the shares `at` and then of each draw's u; the draws end with new ones.

    `mean` (shares + draws,) and `spread` (its covariance), in percentage points.
    """

    at: Floats
    mean: Floats
    spread: Floats
    noise: Noise

    @property
    def of_shares(self) -> tuple[Floats, Floats]:
        count = len(self.at)
        return self.mean[:count], self.spread[:count, :count]


def noise_of(points: Floats, missed: Floats) -> list[Noise]:
    """The noise of each row of a cube of accuracies (rows, draws, shares; at least two draws and two shares).

    `missed` (rows,) is the error of shares left out, nan where that is unknown. It rests on few shares; so a curve is
    never taken to be nearer to the truth than a tenth of the range of its accuracies.
    """
    _, draws, shares = points.shape
    rest = points - points.mean(axis=1, keepdims=True) - points.mean(axis=2, keepdims=True)
    rest += points.mean(axis=(1, 2), keepdims=True)
    cell = (rest**2).sum(axis=(1, 2)) / ((draws - 1) * (shares - 1))
    draw = points.mean(axis=2).var(axis=1, ddof=1) - cell / shares
    curve = np.maximum(np.nan_to_num(missed**2 - cell / draws), (STRAY * np.ptp(points.mean(axis=1), axis=1)) ** 2)
    parts = np.sqrt(np.maximum(np.stack([cell, draw, curve], axis=1), [LEAST**2, 0, 0]))
    return [Noise(*each) for each in parts.tolist()]


def believed(shares: Floats, draws: NDArray[np.intp], points: Floats, at: Floats, noise: Noise) -> Belief:
    """What is believed after cells at `shares` in `draws` (numbered from 0) scored `points`; `at` holds all shares."""
    count, every = len(at), int(draws.max()) + 1 + max(TOGETHER)
    prior = np.zeros((count + every, count + every))
    prior[:count, :count] = curves_before(at, noise.curve)
    prior[count:, count:] = np.eye(every) * noise.draw**2
    seen = np.zeros((len(points), len(prior)))
    seen[np.arange(len(points)), np.searchsorted(at, shares)] = 1
    seen[np.arange(len(points)), count + draws] = 1
    level = np.concatenate([np.full(count, points.mean()), np.zeros(every)])
    of_seen = seen @ prior @ seen.T + np.eye(len(points)) * noise.cell**2
    gain = np.linalg.solve(of_seen, seen @ prior).T
    return Belief(at, level + gain @ (points - seen @ level), prior - gain @ seen @ prior, noise)


def curves_before(at: Floats, off: float) -> Floats:
    """The covariance of f at the shares `at` before anything is seen."""
    parts = np.vander(at - 0.5, 3) * np.array([4 * STEEP, STEEP, LEVEL])  # a bend of 1 lifts the ends by a quarter
    near = np.exp(-((at[:, None] - at) ** 2) / (2 * REACH**2))
    return np.asarray(parts @ parts.T + off**2 * near, np.float64)


def worth(belief: Belief, share: float, draws: Sequence[int]) -> float:
    """The points that choosing a share is expected to win by one more cell at `share` in each of `draws`.

    Their mean is all that is looked at; which of them said what would tell little more.
    """
    mean, _ = belief.of_shares
    cells = np.zeros(len(belief.mean))
    cells[int(np.searchsorted(belief.at, share))] = 1
    cells[len(belief.at) + np.array(draws)] = 1 / len(draws)
    moved = belief.spread @ cells
    scale = np.sqrt(cells @ moved + belief.noise.cell**2 / len(draws))
    after = mean[:, None] + np.outer(moved[: len(mean)] / scale, SEEN)
    return max(float(after.max(axis=0) @ CHANCE - mean.max()), 0.0)


def best_together(belief: Belief, share: float, draws: Sequence[int]) -> tuple[int, float]:
    """How many cells at `share`, in the first of `draws`, are worth most for each of them, and their worth together."""
    worths = [(worth(belief, share, draws[:count]), count) for count in TOGETHER]
    found, count = max(worths, key=lambda each: each[0] / each[1])
    return count, found


def at_stake(belief: Belief, rng: np.random.Generator, tries: int = 4000) -> float:
    """The points that the share which looks best is expected to fall short of the best one: all that can be won."""
    mean, spread = belief.of_shares
    values, directions = np.linalg.eigh(spread)
    off = rng.standard_normal((tries, len(mean))) @ (directions * np.sqrt(values.clip(0))).T
    return float((mean + off).max(axis=1).mean() - (mean + off)[:, mean.argmax()].mean())
